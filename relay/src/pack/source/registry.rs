//! Images from a registry, by digest (OCI distribution specification).
//!
//! Never follows a tag: what a digest names is the same tomorrow. HTTPS, but plain HTTP to
//! registries on this machine, which no network stands between.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bundle::Arch;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use super::OpenImage;
use super::auth;
use super::error::SourceError;
use super::oci::{self, Blobs, Descriptor};
use crate::net::Net;

/// What a manifest may be.
const MANIFEST_TYPES: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// `HOST/NAME@sha256:…`; a name without a host is docker.io's.
pub(crate) fn parse(text: &str) -> Result<Reference, SourceError> {
    let reference: Reference = text
        .parse()
        .map_err(|_| SourceError::Unknown(format!("registry:{text}")))?;
    match reference.digest().map(str::parse::<bundle::Digest>) {
        Some(Ok(_)) => Ok(reference),
        Some(Err(_)) => Err(SourceError::DigestForm(text.to_string())),
        None => Err(SourceError::NotPinned(text.to_string())),
    }
}

/// The image with this digest, or the one for `arch` out of the index with this digest.
pub(crate) fn open(
    reference: &Reference,
    arch: Arch,
    auth_file: Option<&Path>,
    net: &Net,
) -> Result<OpenImage, SourceError> {
    let registry = reference.resolve_registry().to_string();
    let auth = auth::find(&registry, reference.repository(), auth_file)?;
    let protocol = if is_loopback(&registry) {
        ClientProtocol::HttpsExcept(vec![registry])
    } else {
        ClientProtocol::Https
    };
    let variable = |upper: &str, lower: &str| {
        let value = std::env::var(upper).or_else(|_| std::env::var(lower)).ok();
        value.filter(|value| !value.is_empty())
    };
    let client = Client::try_from(ClientConfig {
        protocol,
        connect_timeout: Some(Duration::from_secs(20)),
        read_timeout: Some(Duration::from_secs(60)),
        user_agent: concat!("coracle-relay/", env!("CARGO_PKG_VERSION")),
        https_proxy: variable("HTTPS_PROXY", "https_proxy"),
        no_proxy: variable("NO_PROXY", "no_proxy"),
        ..ClientConfig::default()
    })?;
    let blobs = RegistryBlobs {
        client,
        reference: reference.clone(),
        auth,
        net: net.clone(),
    };
    let digest = reference.digest().unwrap_or_default().to_string();
    let root = blobs.manifest_by_digest(&digest)?;
    oci::check_digest("the manifest", &digest, &root)?;
    oci::open(Box::new(blobs), &root, arch)
}

/// Whether a registry (`host[:port]`) is on this machine.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

struct RegistryBlobs {
    client: Client,
    reference: Reference,
    auth: RegistryAuth,
    net: Net,
}

impl RegistryBlobs {
    fn manifest_by_digest(&self, digest: &str) -> Result<Vec<u8>, SourceError> {
        let reference = Reference::with_digest(
            self.reference.registry().to_string(),
            self.reference.repository().to_string(),
            digest.to_string(),
        );
        let pulled = self.net.run(self.client.pull_manifest_raw(
            &reference,
            &self.auth,
            MANIFEST_TYPES,
        ));
        Ok(pulled?.0.to_vec())
    }
}

impl Blobs for RegistryBlobs {
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>, SourceError> {
        self.manifest_by_digest(&descriptor.digest)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read>, SourceError> {
        let wanted = OciDescriptor {
            digest: descriptor.digest.clone(),
            size: i64::try_from(descriptor.size).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let stream = self
            .net
            .run(self.client.pull_blob_stream(&self.reference, &wanted))?;
        Ok(self.net.reader(stream.stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests() {
        let digest = bundle::Digest::of(b"x");
        assert!(parse(&format!("127.0.0.1:5000/app@{digest}")).is_ok());
        assert!(parse(&format!("ghcr.io/a/b:tag@{digest}")).is_ok());
        assert!(matches!(
            parse("ghcr.io/a/b:1"),
            Err(SourceError::NotPinned(_))
        ));
        assert!(matches!(parse("A B"), Err(SourceError::Unknown(_))));
    }

    #[test]
    fn plain_http_on_loopback_only() {
        for registry in [
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "localhost",
        ] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in ["ghcr.io", "10.0.0.1:5000", "localhost.example:5000"] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }
}
