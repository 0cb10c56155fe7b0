//! Manifests and services for tests.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use bundle::manifest::*;
use bundle::{AppName, Arch, Digest, Label, Manifest, ServiceName, VersionLabel};

use crate::resolve::{ResolvedFile, ResolvedService};

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

/// A service that has nothing but an image.
pub(crate) fn service(name: &str) -> Service {
    Service {
        read_only: true,
        ..Service::new(ServiceName::new(name).unwrap(), ImageId(0))
    }
}

pub(crate) fn depends(on: &[&str]) -> Vec<Dependency> {
    let dependency = |name: &&str| Dependency {
        service: ServiceName::new(name).unwrap(),
        condition: Condition::Started,
    };
    on.iter().map(dependency).collect()
}

/// A blob whose plain digest is that of `content`.
pub(crate) fn blob(content: &str, stored_bytes: u64, plain_bytes: u64) -> Blob {
    Blob {
        stored: Digest::of(content.to_string().to_uppercase().as_bytes()),
        stored_bytes,
        plain: Digest::of(content.as_bytes()),
        plain_bytes,
        offset: 0,
        encoding: Encoding::Zstd,
        pieces: Vec::new(),
    }
}

/// A manifest for any device of fleet "default" on amd64, without services.
pub(crate) fn manifest() -> Manifest {
    Manifest {
        tag: TYPE_TAG,
        app: AppName::new("kiosk").unwrap(),
        version: VersionLabel::new("1.0").unwrap(),
        seq: 1,
        epoch: 0,
        issued_at: 1_700_000_000,
        not_after: None,
        target: Target {
            arch: Arch::Amd64,
            fleet: label("default"),
            classes: Vec::new(),
            devices: Vec::new(),
            agent_min: AgentVersion(0, 1, 0),
        },
        keyring_min: 0,
        services: Vec::new(),
        volumes: Vec::new(),
        networks: Vec::new(),
        files: Vec::new(),
        variables: Vec::new(),
        policy: Policy::default(),
        images: vec![Image {
            config: BlobId(0),
            layers: Vec::new(),
        }],
        blobs: vec![blob("config", 1, 1)],
        extensions: Vec::new(),
    }
}

/// The services as if resolved, without files.
pub(crate) fn resolved(services: Vec<Service>) -> Vec<ResolvedService> {
    let resolve = |service: Service| ResolvedService {
        spec: Digest::of(service.name.as_str().as_bytes()),
        image: Digest::of(b"config"),
        files: Vec::<ResolvedFile>::new(),
        service,
    };
    services.into_iter().map(resolve).collect()
}
