//! The manifest: everything that a signature covers, as types.
//!
//! Encoded with postcard; the order of the fields is the format (`docs/bundle-format.md`), so
//! fields are never moved. What grows later comes as an [`Extension`]. Nothing here checks rules
//! *between* fields: [`crate::verify()`] does, after the signature.

mod blob;
mod policy;
mod service;
mod text;
mod variable;

pub use blob::{Blob, BlobId, Encoding, File, FileId, Image, ImageId};
pub use policy::{Policy, SwitchMode};
pub use service::{
    BindMount, Condition, Dependency, Device, Diagnostic, FileMount, HealthCheck, Limits, Logging,
    NetworkAttachment, NetworkMode, Port, Probe, Protocol, Restart, Service, Tmpfs, Ulimit,
    VolumeMount,
};
pub use text::Text;
pub use variable::{Variable, VariableKind};

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::bounded::list;
use crate::limits::{
    BLOBS_MAX, FILES_MAX, IMAGES_MAX, LIST_MAX, SERVICES_MAX, TARGETS_MAX, VARIABLES_MAX,
};
use crate::{AppName, Arch, DeviceId, Label, NetworkName, VersionLabel, VolumeName};

/// The type tag of a bundle's manifest: separates it from every other thing that a release key
/// may ever sign.
pub const TYPE_TAG: [u8; 8] = *b"crcl-app";

/// What a bundle says, signed as one piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`TYPE_TAG`].
    pub tag: [u8; 8],
    /// The app that this bundle is a version of.
    pub app: AppName,
    /// The version as people write it.
    pub version: VersionLabel,
    /// The order of an app's bundles: a device accepts only a higher one than it has committed.
    pub seq: u64,
    /// The security floor: once committed, no bundle with a lower epoch runs again.
    pub epoch: u64,
    /// When the bundle was made: seconds since 1970-01-01 UTC.
    pub issued_at: u64,
    /// When it stops being acceptable, if ever: seconds since 1970-01-01 UTC.
    pub not_after: Option<u64>,
    /// Which devices it is for.
    pub target: Target,
    /// The oldest keyring version under which it may be accepted; 0 for plain key files.
    pub keyring_min: u32,
    /// The containers that the app consists of; none retires the app.
    #[serde(deserialize_with = "list::<_, _, SERVICES_MAX>")]
    pub services: Vec<Service>,
    /// Named volumes of the app.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub volumes: Vec<VolumeName>,
    /// Bridge networks of the app.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub networks: Vec<NetworkName>,
    /// Configuration files, by digest.
    #[serde(deserialize_with = "list::<_, _, FILES_MAX>")]
    pub files: Vec<File>,
    /// The per-device settings that the app has.
    #[serde(deserialize_with = "list::<_, _, VARIABLES_MAX>")]
    pub variables: Vec<Variable>,
    /// How to switch, try and give up.
    pub policy: Policy,
    /// The images that services name.
    #[serde(deserialize_with = "list::<_, _, IMAGES_MAX>")]
    pub images: Vec<Image>,
    /// The payload, in its order.
    #[serde(deserialize_with = "list::<_, _, BLOBS_MAX>")]
    pub blobs: Vec<Blob>,
    /// What later versions of the format add.
    #[serde(deserialize_with = "list::<_, _, LIST_MAX>")]
    pub extensions: Vec<Extension>,
}

/// Which devices a bundle is for; all conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The processor architecture of its images.
    pub arch: Arch,
    /// The fleet.
    pub fleet: Label,
    /// Device classes, one of which the device must have; empty means any.
    #[serde(deserialize_with = "list::<_, _, TARGETS_MAX>")]
    pub classes: Vec<Label>,
    /// The only devices that may run it; empty means any.
    #[serde(deserialize_with = "list::<_, _, TARGETS_MAX>")]
    pub devices: Vec<DeviceId>,
    /// The oldest agent that may run it.
    pub agent_min: AgentVersion,
}

/// An agent's version, ordered as semantic versioning orders major, minor and patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgentVersion(
    /// Major.
    pub u16,
    /// Minor.
    pub u16,
    /// Patch.
    pub u16,
);

/// Something that a later version of the format adds to the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Which, from the table in `docs/bundle-format.md`.
    pub id: u16,
    /// Whether an agent that does not know it must refuse the bundle.
    pub critical: bool,
    /// Its content.
    #[serde(deserialize_with = "list::<_, _, { crate::limits::TEXT_BYTES_MAX }>")]
    pub body: Vec<u8>,
}

impl Manifest {
    /// The blob with this id. Verified manifests hold only ids that exist.
    pub fn blob(&self, id: BlobId) -> Option<&Blob> {
        self.blobs.get(usize::from(id.0))
    }

    /// The image that a service names.
    pub fn image(&self, id: ImageId) -> Option<&Image> {
        self.images.get(usize::from(id.0))
    }

    /// The file with this id.
    pub fn file(&self, id: FileId) -> Option<&File> {
        self.files.get(usize::from(id.0))
    }

    /// The digest of an image's configuration: the image id that registries and runtimes show.
    pub fn image_digest(&self, id: ImageId) -> Option<crate::Digest> {
        Some(self.blob(self.image(id)?.config)?.plain)
    }
}
