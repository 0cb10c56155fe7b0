//! A bundle file, opened once: all that is ever read of it comes through one descriptor.
//!
//! Whoever swaps the file or its bytes after the check gains nothing: each piece is hashed again
//! when it is used. Never opens a path twice (RAUC CVE-2020-25860).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bundle::manifest::Blob;
use bundle::{BlobReader, Digest, Refused, TrustStore, VerifiedBundle};
use runtime_shim::ImageContent;

/// An open bundle whose head has been verified.
pub(crate) struct Source {
    file: Arc<File>,
    bundle: Arc<VerifiedBundle>,
    /// What went wrong while somebody else read from it: a runtime reports such things in words.
    fault: Arc<Mutex<Option<Refused>>>,
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
            fault: Arc::default(),
        })
    }

    /// What it says.
    pub(crate) fn bundle(&self) -> &VerifiedBundle {
        &self.bundle
    }

    /// The open file.
    pub(crate) fn file(&self) -> &Arc<File> {
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
    pub(crate) fn take_fault(&self) -> Option<Refused> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl ImageContent for Source {
    fn open(&self, plain: &Digest) -> io::Result<Box<dyn Read + Send>> {
        let blobs = &self.bundle.manifest().blobs;
        let blob = blobs.iter().find(|blob| blob.plain == *plain);
        let blob = blob.ok_or(io::ErrorKind::NotFound)?;
        let reader = BlobReader::new(Arc::clone(&self.file), blob, self.bundle.payload_offset());
        Ok(Box::new(Noting {
            reader,
            fault: Arc::clone(&self.fault),
        }))
    }
}

/// A reader that notes why it failed.
struct Noting {
    reader: BlobReader<Arc<File>>,
    fault: Arc<Mutex<Option<Refused>>>,
}

impl Read for Noting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            let refused = Refused::from(error);
            let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            *fault = Some(refused.clone());
            refused.into()
        })
    }
}
