//! A bundle file, opened once: all that is ever read of it comes through one descriptor.
//!
//! The file may be whole, or have only those blobs that were fetched. Whoever swaps the file or its bytes after the check gains nothing: each piece is hashed again
//! when it is used. Never opens a path twice (RAUC CVE-2020-25860).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bundle::manifest::Blob;
use bundle::{BlobReader, Digest, ReadAt, Refused, TrustStore, VerifiedBundle};
use runtime_shim::ImageContent;

/// The bytes of a bundle, wherever they lie.
pub(crate) type Bytes = dyn ReadAt + Send + Sync;

/// An open bundle whose head has been verified.
pub(crate) struct Source {
    file: Arc<Bytes>,
    bundle: Arc<VerifiedBundle>,
    /// The plain digests of the blobs that are there; none if all are.
    there: Option<Mutex<BTreeSet<Digest>>>,
    /// What went wrong while somebody else read from it: a runtime reports such things in words.
    fault: Arc<Mutex<Option<Fault>>>,
}

/// Why content could not be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bundle cannot be read, or its bytes are not those that were signed.
    Refused(Refused),
    /// It was taken to be on the device already, and was not fetched.
    NotFetched(Digest),
}

impl Source {
    /// Opens a file and verifies its head. Blocks.
    ///
    /// # Errors
    /// [`Refused`], with [`Refused::Read`] if it cannot be opened or read.
    pub(crate) fn open(path: &Path, trust: &TrustStore) -> Result<Self, Refused> {
        let mut file = File::open(path).map_err(|e| Refused::Read(e.kind()))?;
        let head = bundle::read_head(&mut file)?;
        let bundle = bundle::verify(head, trust)?;
        Ok(Self {
            file: Arc::new(file),
            bundle: Arc::new(bundle),
            there: None,
            fault: Arc::default(),
        })
    }

    /// A bundle of which only its head and what [`Source::add`] names have come.
    pub(crate) fn in_part(file: Arc<Bytes>, bundle: Arc<VerifiedBundle>) -> Self {
        Self {
            file,
            bundle,
            there: Some(Mutex::default()),
            fault: Arc::default(),
        }
    }

    /// These blobs, by their plain digests, have come.
    pub(crate) fn add(&self, blobs: impl IntoIterator<Item = Digest>) {
        if let Some(there) = &self.there {
            lock(there).extend(blobs);
        }
    }

    /// Whether every blob is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.there.is_none()
    }

    /// Whether the blob with this plain digest can be read from here.
    pub(crate) fn has(&self, plain: &Digest) -> bool {
        self.there
            .as_ref()
            .is_none_or(|there| lock(there).contains(plain))
    }

    /// What it says.
    pub(crate) fn bundle(&self) -> &VerifiedBundle {
        &self.bundle
    }

    /// The open file.
    pub(crate) fn file(&self) -> &Arc<Bytes> {
        &self.file
    }

    /// A shared handle on what it says.
    pub(crate) fn shared_bundle(&self) -> Arc<VerifiedBundle> {
        Arc::clone(&self.bundle)
    }

    /// The plain bytes of a blob that is small enough for memory. Blocks.
    ///
    /// # Errors
    /// As [`BlobReader`].
    pub(crate) fn read_blob(&self, blob: &Blob) -> Result<Vec<u8>, Refused> {
        let mut reader = BlobReader::new(&*self.file, blob, self.bundle.payload_offset());
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// What went wrong while a runtime read from it, if anything did.
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        lock(&self.fault).take()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ImageContent for Source {
    fn open(&self, plain: &Digest) -> io::Result<Box<dyn Read + Send>> {
        let blobs = &self.bundle.manifest().blobs;
        let blob = blobs.iter().find(|blob| blob.plain == *plain);
        let blob = blob.ok_or(io::ErrorKind::NotFound)?;
        if !self.has(plain) {
            *lock(&self.fault) = Some(Fault::NotFetched(*plain));
            return Err(io::ErrorKind::NotFound.into());
        }
        let reader = BlobReader::new(Arc::clone(&self.file), blob, self.bundle.payload_offset());
        Ok(Box::new(Noting {
            reader,
            fault: Arc::clone(&self.fault),
        }))
    }
}

/// A reader that notes why it failed.
struct Noting {
    reader: BlobReader<Arc<Bytes>>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Read for Noting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            let refused = Refused::from(error);
            *lock(&self.fault) = Some(Fault::Refused(refused.clone()));
            refused.into()
        })
    }
}
