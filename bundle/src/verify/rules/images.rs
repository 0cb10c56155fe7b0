//! Clauses B25 to B28: what blobs, images and files refer to.

use super::ensure;
use crate::Manifest;
use crate::error::{Refused, Rule};
use crate::limits::{FILE_BYTES_MAX, IMAGE_CONFIG_BYTES_MAX};
use crate::manifest::BlobId;

const EXISTS: Rule = Rule {
    clause: "B25",
    text: "what is referred to exists",
};
const USED: Rule = Rule {
    clause: "B26",
    text: "every blob is of an image or a file, and every image and file is of a service",
};
const CONFIG: Rule = Rule {
    clause: "B27",
    text: "the configuration of an image has at most 1 MiB",
};
const FILE: Rule = Rule {
    clause: "B28",
    text: "a configuration file has at most 1 MiB",
};

pub(super) fn check(manifest: &Manifest) -> Result<(), Refused> {
    let mut blobs = Usage::new(manifest.blobs.len());
    for (i, image) in manifest.images.iter().enumerate() {
        let place = || format!("image {i}");
        let config = blobs.refer(manifest, image.config, place)?;
        ensure(config <= IMAGE_CONFIG_BYTES_MAX, CONFIG, place)?;
        for layer in &image.layers {
            blobs.refer(manifest, *layer, place)?;
        }
    }
    for file in &manifest.files {
        let place = || format!("file {:?}", file.name);
        let bytes = blobs.refer(manifest, file.content, place)?;
        ensure(bytes <= FILE_BYTES_MAX, FILE, place)?;
    }
    let (mut images, mut files) = (
        Usage::new(manifest.images.len()),
        Usage::new(manifest.files.len()),
    );
    for service in &manifest.services {
        let place = || format!("service {}", service.name);
        ensure(images.mark(service.image.0), EXISTS, place)?;
        for mount in &service.files {
            ensure(files.mark(mount.file.0), EXISTS, place)?;
        }
    }
    for (kind, usage) in [("blob", blobs), ("image", images), ("file", files)] {
        if let Some(unused) = usage.0.iter().position(|used| !used) {
            return ensure(false, USED, || format!("{kind} {unused}"));
        }
    }
    Ok(())
}

/// Which entries of a list were referred to.
struct Usage(Vec<bool>);

impl Usage {
    fn new(entries: usize) -> Self {
        Self(vec![false; entries])
    }

    /// Marks an entry; false if there is none.
    fn mark(&mut self, id: u16) -> bool {
        self.0
            .get_mut(usize::from(id))
            .map(|used| *used = true)
            .is_some()
    }

    /// Marks a blob and gives its plain size.
    fn refer(
        &mut self,
        manifest: &Manifest,
        id: BlobId,
        place: impl Fn() -> String,
    ) -> Result<u64, Refused> {
        ensure(self.mark(id.0), EXISTS, place)?;
        Ok(manifest.blob(id).map_or(0, |blob| blob.plain_bytes))
    }
}
