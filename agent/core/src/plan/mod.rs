//! What changes when a generation takes the place of another: services, bytes, disk.
//!
//! Never acts on it: `agent plan` shows it, staging and switching follow it.

#[cfg(test)]
mod tests;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bundle::manifest::{BlobId, ImageId};
use bundle::{Digest, Manifest, ServiceName};

use crate::resolve::ResolvedApp;

/// What happens to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Its container stays, untouched.
    Keep,
    /// It is new.
    Create,
    /// Its container gives way to a new one.
    Replace,
    /// It goes.
    Remove,
}

impl Action {
    /// The word for it in `agent plan --json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

/// What a device lacks of a bundle. The signed manifest alone decides it, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The images to bring in, in the manifest's order.
    pub images: Vec<ImageId>,
    /// The blobs to fetch, each once, in the payload's order.
    pub blobs: Vec<BlobId>,
    /// Stored bytes of these blobs.
    pub fetch_bytes: u64,
    /// The most disk that is taken at a time while bringing in, in bytes, over what is taken now.
    ///
    /// Plain bytes of the lacking layers, configurations and files (what stays), and again the
    /// lacking layers of the one image that has most of them (the one temporary copy: images come
    /// in one after another). Copies of volumes (`restore_on_rollback`) are for the caller to add.
    pub peak_disk_bytes: u64,
}

impl Needs {
    /// What of `manifest` is lacking where `have` tells what is there, as in [`Plan::new`].
    pub fn new(have: &dyn Fn(&Digest) -> bool, manifest: &Manifest) -> Self {
        let images = lacking_images(have, manifest);
        let mut blobs = BTreeSet::new();
        let mut copy_bytes_max = 0;
        for image in images.iter().filter_map(|id| manifest.image(*id)) {
            let layers = lacking(&image.layers, have, manifest);
            copy_bytes_max = copy_bytes_max.max(plain_bytes(&layers, manifest));
            blobs.extend(layers);
            blobs.insert(image.config);
        }
        blobs.extend(lacking(&mounted_files(manifest), have, manifest));
        let stored = |id: &BlobId| manifest.blob(*id).map_or(0, |blob| blob.stored_bytes);
        Self {
            fetch_bytes: sum(blobs.iter().map(stored)),
            peak_disk_bytes: plain_bytes(&blobs, manifest).saturating_add(copy_bytes_max),
            images,
            blobs: blobs.into_iter().collect(),
        }
    }
}

/// What changes, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What happens to each service: those of the next generation in its order, then those that
    /// go.
    pub services: Vec<(ServiceName, Action)>,
    /// What is lacking.
    pub needs: Needs,
    /// Stored bytes of the whole payload: what a device without anything would fetch.
    pub full_bytes: u64,
}

impl Plan {
    /// The way from `running` (nothing, if none) to `next`, which `manifest` made.
    ///
    /// `have` tells of a digest whether the device has what it names: of an image id, whether
    /// the runtime has the image; of a diffID, the layer; of a file's plain digest, the file. To
    /// say no of layers and files is never wrong, only dearer.
    pub fn new(
        running: Option<&ResolvedApp>,
        next: &ResolvedApp,
        have: &dyn Fn(&Digest) -> bool,
        manifest: &Manifest,
    ) -> Self {
        Self {
            services: services(running, next),
            needs: Needs::new(have, manifest),
            full_bytes: sum(manifest.blobs.iter().map(|blob| blob.stored_bytes)),
        }
    }

    /// The services whose containers stop or start: all but those that are kept.
    pub fn touched(&self) -> impl Iterator<Item = &ServiceName> {
        self.services
            .iter()
            .filter(|(_, action)| *action != Action::Keep)
            .map(|(name, _)| name)
    }
}

/// The contents of the files that services mount, each once: what a device has to have of them.
pub fn mounted_files(manifest: &Manifest) -> Vec<BlobId> {
    let mounts = manifest.services.iter().flat_map(|service| &service.files);
    let contents: BTreeSet<BlobId> = mounts
        .filter_map(|mount| Some(manifest.file(mount.file)?.content))
        .collect();
    contents.into_iter().collect()
}

fn services(running: Option<&ResolvedApp>, next: &ResolvedApp) -> Vec<(ServiceName, Action)> {
    let arriving = next.services.iter().map(|service| {
        let name = &service.service.name;
        let action = match running.and_then(|app| app.service(name)) {
            None => Action::Create,
            Some(old) if old.spec == service.spec => Action::Keep,
            Some(_) => Action::Replace,
        };
        (name.clone(), action)
    });
    let old = running.map_or(&[][..], |app| &app.services);
    let going = old
        .iter()
        .map(|service| &service.service.name)
        .filter(|name| next.service(name).is_none())
        .map(|name| (name.clone(), Action::Remove));
    arriving.chain(going).collect()
}

fn lacking_images(have: &dyn Fn(&Digest) -> bool, manifest: &Manifest) -> Vec<ImageId> {
    let there = |id: &ImageId| {
        let config = manifest.image(*id).map(|image| image.config);
        let config = config.and_then(|config| manifest.blob(config));
        config.is_some_and(|config| have(&config.plain))
    };
    let used = manifest.services.iter().map(|service| service.image);
    let ids: BTreeSet<ImageId> = used.filter(|id| !there(id)).collect();
    ids.into_iter().collect()
}

fn lacking(
    ids: &[BlobId],
    have: &dyn Fn(&Digest) -> bool,
    manifest: &Manifest,
) -> BTreeSet<BlobId> {
    let lacks = |id: &&BlobId| manifest.blob(**id).is_some_and(|blob| !have(&blob.plain));
    ids.iter().filter(lacks).copied().collect()
}

fn plain_bytes(ids: &BTreeSet<BlobId>, manifest: &Manifest) -> u64 {
    sum(ids
        .iter()
        .map(|id| manifest.blob(*id).map_or(0, |blob| blob.plain_bytes)))
}

/// Declared sizes are bounded, but a sum that cannot wrap needs no proof (RAUC CVE-2026-34155).
fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}
