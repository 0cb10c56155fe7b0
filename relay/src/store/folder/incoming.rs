//! A file on its way in: written and hashed as it comes, then checked as a bundle, then renamed.
//!
//! Dropping it at any point removes it. Never judges a signature unless the relay was given keys.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use bundle::build::UnsignedBundle;
use bundle::{Depth, Digest, KeyId, Manifest, Refused, TrustStore, read_head, verify};
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;

use super::{BundleFolder, FolderError, sync};
use crate::domain::release::Bundle;

/// A file that is coming in.
#[derive(Debug)]
pub(crate) struct Incoming {
    folder: BundleFolder,
    file: File,
    path: TempPath,
    hasher: Sha256,
    bytes: u64,
}

/// A file that has come in and is a sound bundle.
#[derive(Debug)]
pub(crate) struct Checked {
    folder: BundleFolder,
    file: File,
    path: TempPath,
    bundle: Bundle,
}

impl Incoming {
    pub(super) async fn new(folder: BundleFolder) -> Result<Self, FolderError> {
        blocking(move || {
            let at = &folder.0.incoming;
            // For a web server that gives the files to devices in the relay's stead.
            let (file, path) = tempfile::Builder::new()
                .permissions(Permissions::from_mode(0o644))
                .tempfile_in(at)
                .map_err(FolderError::io(at))?
                .into_parts();
            Ok(Self {
                folder,
                file,
                path,
                hasher: Sha256::new(),
                bytes: 0,
            })
        })
        .await
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`FolderError::TooLarge`], [`FolderError::Full`] or [`FolderError::Io`].
    pub(crate) async fn write(
        mut self,
        chunk: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Self, FolderError> {
        let bytes_max = self.folder.bytes_max();
        self.bytes = self.bytes.saturating_add(chunk.as_ref().len() as u64);
        if self.bytes > bytes_max {
            return Err(FolderError::TooLarge(bytes_max));
        }
        blocking(move || {
            self.hasher.update(chunk.as_ref());
            self.file
                .write_all(chunk.as_ref())
                .map_err(FolderError::io(&self.path))?;
            Ok(self)
        })
        .await
    }

    /// Checks what has come: framing, manifest and its rules, every stored digest of the payload,
    /// and signatures if the folder was opened with keys.
    ///
    /// # Errors
    /// [`FolderError::Refused`], or [`FolderError::Io`].
    pub(crate) async fn check(self) -> Result<Checked, FolderError> {
        blocking(move || {
            let file = Digest::of_hasher(self.hasher);
            let source = File::open(&self.path).map_err(FolderError::io(&self.path))?;
            let head = read_head(&mut &source).map_err(FolderError::Refused)?;
            let (manifest, digest, keys) = examine(head, &source, self.folder.0.trust.as_ref())
                .map_err(FolderError::Refused)?;
            let bundle = Bundle {
                file,
                bytes: self.bytes,
                digest,
                app: manifest.app,
                version: manifest.version,
                seq: manifest.seq,
                epoch: manifest.epoch,
                issued_at: manifest.issued_at,
                not_after: manifest.not_after,
                target: manifest.target,
                variables: manifest.variables,
                keys: keys.iter().map(ToString::to_string).collect(),
            };
            Ok(Checked {
                folder: self.folder,
                file: self.file,
                path: self.path,
                bundle,
            })
        })
        .await
    }
}

fn examine(
    head: Vec<u8>,
    source: &File,
    trust: Option<&TrustStore>,
) -> Result<(Manifest, Digest, Vec<KeyId>), Refused> {
    let none = &mut |_| {};
    if let Some(trust) = trust {
        let bundle = verify(head, trust)?;
        bundle::verify_payload(&bundle, source, Depth::Stored, none)?;
        let keys = bundle.signers().to_vec();
        return Ok((bundle.manifest().clone(), bundle.digest(), keys));
    }
    let bundle = UnsignedBundle::check(&head)?;
    bundle.verify_payload(source, Depth::Stored, none)?;
    let keys = bundle.keys().to_vec();
    Ok((bundle.manifest().clone(), bundle.digest(), keys))
}

impl Checked {
    /// What it is.
    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Puts it in place, durably: in place of itself, if it was there. A crash in the middle leaves
    /// it in `incoming`, or in place.
    ///
    /// # Errors
    /// [`FolderError::Full`] or [`FolderError::Io`].
    pub(crate) async fn keep(self) -> Result<(), FolderError> {
        blocking(move || {
            let to: PathBuf = self.folder.path(&self.bundle.file);
            self.file.sync_all().map_err(FolderError::io(&self.path))?;
            self.path
                .persist(&to)
                .map_err(|error| FolderError::io(&to)(error.error))?;
            sync(&self.folder.0.bundles)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FolderError> + Send + 'static,
) -> Result<T, FolderError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Only a runtime that is shutting down does not carry work out.
        Err(error) => Err(FolderError::Io(
            PathBuf::from("incoming"),
            std::io::Error::other(error),
        )),
    }
}
