//! Puts a bundle together: blobs one by one into a spool folder, then head and payload.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::compress::{Compression, compress};
use super::error::BuildError;
use super::key::SecretKey;
use crate::error::Refused;
use crate::head::Head;
use crate::limits::{BLOB_BYTES_MAX, BLOBS_MAX, PIECE_BYTES, SIGNATURES_MAX};
use crate::manifest::{Blob, BlobId, Encoding};
use crate::trust::TrustStore;
use crate::verify::{decode_and_check, verify};
use crate::{Digest, Manifest};

/// Builds one bundle. The same blobs in the same order, manifest and keys give the same bytes.
///
/// Its spool folder must be its own; what it leaves there after an error or a crash is for the
/// caller to delete with the folder.
#[derive(Debug)]
pub struct Builder {
    spool: PathBuf,
    blobs: Vec<Blob>,
}

impl Builder {
    /// A builder that keeps blobs in `spool`, an existing and empty folder, until
    /// [`Builder::finish`]; it takes as much space as the bundle, and twice the largest blob.
    pub fn new(spool: &Path) -> Self {
        Self {
            spool: spool.to_path_buf(),
            blobs: Vec::new(),
        }
    }

    /// Adds a blob with this content, or finds the one that has it already. `progress` is told
    /// how many plain bytes are compressed.
    ///
    /// # Errors
    /// [`BuildError`]: reading, the spool folder, or a limit of the format.
    pub fn add_blob(
        &mut self,
        plain: &mut dyn Read,
        compression: Compression,
        progress: &mut dyn FnMut(u64),
    ) -> Result<BlobId, BuildError> {
        let id = u16::try_from(self.blobs.len()).map_err(|_| BuildError::TooManyBlobs)?;
        let path = self.path(id);
        let (digest, bytes) = self.spool_plain(plain, &path)?;
        if let Some(known) = self.blobs.iter().position(|blob| blob.plain == digest) {
            fs::remove_file(&path).map_err(|error| BuildError::Spool(path, error))?;
            progress(bytes);
            // Positions are below `BLOBS_MAX`, which fits.
            return Ok(BlobId(known as u16));
        }
        if self.blobs.len() == BLOBS_MAX {
            return Err(BuildError::TooManyBlobs);
        }
        let encoding = match compression {
            Compression::None => Encoding::Raw,
            Compression::Zstd { level } => self.try_zstd(&path, bytes, level, progress)?,
        };
        progress(bytes);
        let stored = hash_pieces(&path).map_err(|error| BuildError::Spool(path, error))?;
        let offset = self
            .blobs
            .last()
            .map_or(0, |blob| blob.offset + blob.stored_bytes);
        self.blobs.push(Blob {
            stored: stored.digest,
            stored_bytes: stored.bytes,
            plain: digest,
            plain_bytes: bytes,
            offset,
            encoding,
            pieces: stored.pieces,
        });
        Ok(BlobId(id))
    }

    /// What was added with this id: its digests and sizes.
    pub fn blob(&self, id: BlobId) -> Option<&Blob> {
        self.blobs.get(usize::from(id.0))
    }

    /// Completes `manifest` with the blobs, signs it with each key, and writes the bundle.
    /// Without keys it writes a draft, to be signed elsewhere (see [`super::join`]).
    ///
    /// # Errors
    /// [`BuildError`]: among others, [`BuildError::Refused`] for whatever [`crate::verify()`] would
    /// refuse. Then nothing was written; any other error may leave a part in `out`.
    pub fn finish(
        self,
        mut manifest: Manifest,
        signers: &[SecretKey],
        out: &mut dyn Write,
    ) -> Result<Digest, BuildError> {
        if !manifest.blobs.is_empty() {
            return Err(BuildError::ManifestHasBlobs);
        }
        manifest.blobs = self.blobs.clone();
        let bytes = postcard::to_allocvec(&manifest).map_err(|_| Refused::Manifest)?;
        let head = sign_head(&manifest, &bytes, signers)?;
        out.write_all(&head).map_err(BuildError::Output)?;
        for (id, blob) in self.blobs.iter().enumerate() {
            let path = self.path(id as u16);
            let spool_error = |error| BuildError::Spool(path.clone(), error);
            let file = File::open(&path).map_err(spool_error)?;
            let copied =
                io::copy(&mut file.take(blob.stored_bytes), out).map_err(BuildError::Output)?;
            if copied != blob.stored_bytes {
                return Err(spool_error(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        out.flush().map_err(BuildError::Output)?;
        Ok(Digest::of(&bytes))
    }

    fn path(&self, id: u16) -> PathBuf {
        self.spool.join(format!("blob-{id}"))
    }

    /// Copies the plain bytes into the spool folder: their digest and number.
    fn spool_plain(&self, plain: &mut dyn Read, path: &Path) -> Result<(Digest, u64), BuildError> {
        let spool_error = |error| BuildError::Spool(path.to_path_buf(), error);
        let mut file = File::create(path).map_err(spool_error)?;
        let mut hasher = Sha256::new();
        let mut bytes = 0u64;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let got = match plain.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(BuildError::Source(error)),
            };
            bytes += got as u64;
            if bytes > BLOB_BYTES_MAX {
                return Err(BuildError::BlobTooLarge);
            }
            hasher.update(&buffer[..got]);
            file.write_all(&buffer[..got]).map_err(spool_error)?;
        }
        Ok((Digest::of_hasher(hasher), bytes))
    }

    /// Replaces a spooled blob by its zstd frame, if that is smaller.
    fn try_zstd(
        &self,
        path: &Path,
        bytes: u64,
        level: u8,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Encoding, BuildError> {
        let packed = path.with_extension("zst");
        let spool_error = |error| BuildError::Spool(packed.clone(), error);
        let mut source = File::open(path).map_err(spool_error)?;
        let mut out = BufWriter::new(File::create(&packed).map_err(spool_error)?);
        compress(&mut source, bytes, level, &mut out, progress).map_err(|error| match error {
            // Both ends of the compressor are in the spool folder.
            BuildError::Source(error) | BuildError::Output(error) => spool_error(error),
            error => error,
        })?;
        let file = out
            .into_inner()
            .map_err(|error| spool_error(error.into_error()))?;
        if file.metadata().map_err(spool_error)?.len() < bytes {
            fs::rename(&packed, path).map_err(spool_error)?;
            Ok(Encoding::Zstd)
        } else {
            fs::remove_file(&packed).map_err(spool_error)?;
            Ok(Encoding::Raw)
        }
    }
}

/// Signs the encoded manifest and makes sure that a device which trusts the keys accepts it.
fn sign_head(
    manifest: &Manifest,
    bytes: &[u8],
    signers: &[SecretKey],
) -> Result<Vec<u8>, BuildError> {
    if signers.len() > SIGNATURES_MAX {
        return Err(BuildError::TooManySignatures);
    }
    // No time in it, or the same input would not give the same bytes.
    let comment = format!(
        "coracle app {} version {} seq {}",
        manifest.app, manifest.version, manifest.seq
    );
    let records = signers
        .iter()
        .map(|key| key.sign(bytes, &comment))
        .collect();
    let head = Head {
        records,
        manifest: bytes,
    }
    .encode()
    .ok_or(BuildError::HeadTooLarge)?;
    if signers.is_empty() {
        decode_and_check(bytes)?;
        return Ok(head);
    }
    let keys = signers
        .iter()
        .map(|key| (None, key.public_text()))
        .collect();
    let trust = TrustStore::from_keys(keys).map_err(|_| BuildError::Signature)?;
    match verify(head.clone(), &trust) {
        Ok(_) => Ok(head),
        Err(Refused::DuplicateKey(id)) => Err(BuildError::DuplicateKey(id)),
        Err(refused) => Err(refused.into()),
    }
}

/// The digests of a stored blob.
struct Stored {
    digest: Digest,
    bytes: u64,
    /// As in [`Blob::pieces`]: empty for one piece.
    pieces: Vec<Digest>,
}

fn hash_pieces(path: &Path) -> io::Result<Stored> {
    let mut file = BufReader::new(File::open(path)?);
    let mut whole = Sha256::new();
    let mut bytes = 0u64;
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let got = (&mut file)
            .take(u64::from(PIECE_BYTES))
            .read_to_end(&mut piece)?;
        if got == 0 {
            break;
        }
        bytes += got as u64;
        whole.update(&piece);
        pieces.push(Digest::of(&piece));
    }
    if pieces.len() == 1 {
        pieces.clear();
    }
    Ok(Stored {
        digest: Digest::of_hasher(whole),
        bytes,
        pieces,
    })
}
