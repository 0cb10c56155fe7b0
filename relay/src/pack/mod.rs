//! `relay pack`: a Compose file and images → one signed, reproducible bundle.
//!
//! The way of a pack: [`compose`] (what runs) → `plan` (which image comes from where) →
//! [`source`] and `image` (blobs) → [`bundle::build`] (the file) → its own verification →
//! a rename into place. The same input gives the same bytes: no clock is read here, no
//! environment variable gets into a bundle. A crash leaves at most a hidden temporary file and
//! folder beside the output, never a part of a bundle under its name.

pub mod compose;
pub mod env_file;
mod error;
mod image;
mod mtime;
mod progress;
pub mod source;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bundle::build::{Builder, Compression, SecretKey};
use bundle::manifest::{
    AgentVersion, File as ManifestFile, Image, ImageId, Service, TYPE_TAG, Target,
};
use bundle::{
    AppName, Arch, Depth, DeviceId, Digest, Label, Manifest, Refused, TrustStore, VersionLabel,
};
use serde::Serialize;

pub use error::{ImageError, PackError};
pub use progress::Progress;

use compose::{Composed, ComposedService};
use image::Packer;
use source::{Access, Net, Source};

/// The oldest agent that runs what is packed here.
const AGENT_MIN: AgentVersion = AgentVersion(0, 1, 0);

/// What to pack.
#[derive(Clone, Debug)]
pub struct Request {
    /// The Compose file.
    pub compose: PathBuf,
    /// The app.
    pub app: AppName,
    /// Its version.
    pub version: VersionLabel,
    /// Its place in the order of the app's bundles.
    pub seq: u64,
    /// Its security floor.
    pub epoch: u64,
    /// The architecture of the images.
    pub arch: Arch,
    /// The fleet.
    pub fleet: Label,
    /// Device classes; empty means any.
    pub classes: Vec<Label>,
    /// Devices; empty means any.
    pub devices: Vec<DeviceId>,
    /// When it is issued: seconds since 1970.
    pub issued_at: u64,
    /// When it expires, if ever.
    pub not_after: Option<u64>,
    /// Services and where their images come from.
    pub images: Vec<(String, Source)>,
    /// A file of `NAME=value` lines for `${NAME}` in the Compose file.
    pub env_file: Option<PathBuf>,
    /// Credentials for registries, if not from the usual places.
    pub registry_auth_file: Option<PathBuf>,
    /// Secret keys that sign; none makes a draft.
    pub keys: Vec<PathBuf>,
    /// How hard blobs are compressed.
    pub compression: Compression,
    /// Where the bundle goes; an existing file is replaced.
    pub out: PathBuf,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where the bundle is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its identity: `sha256:` and the digest of the manifest.
    pub digest: String,
    /// The app.
    pub app: String,
    /// The version.
    pub version: String,
    /// The sequence number.
    pub seq: u64,
    /// How many services it runs.
    pub services: usize,
    /// How many different images these have.
    pub images: usize,
    /// How many different layers these have.
    pub layers: usize,
    /// How many blobs the payload has.
    pub blobs: usize,
    /// What these are unpacked, in bytes.
    pub plain_bytes: u64,
    /// The ids of the keys that signed it.
    pub keys: Vec<String>,
}

/// Packs a bundle. `password` is asked for each key that is encrypted.
///
/// # Errors
/// [`PackError`]; the output is then as it was before.
pub fn pack(
    request: &Request,
    password: &dyn Fn(&Path) -> io::Result<String>,
    progress: &Progress,
) -> Result<Report, PackError> {
    let composed = read_compose(request)?;
    for warning in &composed.warnings {
        progress.warn(warning);
    }
    let sources = sources(&composed.services, &request.images)?;
    let keys = load_keys(&request.keys, password)?;

    let folder = match request.out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |error| PackError::Io { path, error }
    };
    let spool = tempfile::Builder::new()
        .prefix(".relay-pack-")
        .tempdir_in(folder)
        .map_err(at(folder))?;
    let (manifest, builder) = gather(request, composed, &sources, spool.path(), progress)?;

    let mut out = tempfile::Builder::new()
        .prefix(".relay-pack-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(at(folder))?;
    progress.step("writing and signing", 0);
    let mut writer = BufWriter::new(out.as_file_mut());
    let digest = builder
        .finish(manifest, &keys, &mut writer)
        .map_err(PackError::Build)?;
    writer.flush().map_err(at(&request.out))?;
    drop(writer);
    out.as_file().sync_all().map_err(at(&request.out))?;
    let report = check(out.path(), digest, &keys, request, progress)?;
    out.persist(&request.out)
        .map_err(|error| at(&request.out)(error.error))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))?;
    progress.clear();
    Ok(report)
}

fn read_compose(request: &Request) -> Result<Composed, PackError> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| PackError::Io {
            path: path.to_path_buf(),
            error,
        })
    };
    let env = match &request.env_file {
        None => BTreeMap::new(),
        Some(path) => env_file::parse(&read(path)?)
            .map_err(|error| PackError::EnvFile {
                path: path.clone(),
                error,
            })?
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
    };
    let text = read(&request.compose)?;
    let folder = request.compose.parent().unwrap_or(Path::new(""));
    let file = request.compose.display().to_string();
    compose::read(&text, &file, folder, &request.app, env).map_err(PackError::Compose)
}

/// Where the image of each service comes from, in the order of the services.
fn sources(
    services: &[ComposedService],
    images: &[(String, Source)],
) -> Result<Vec<Source>, PackError> {
    for (index, (name, _)) in images.iter().enumerate() {
        if images[..index].iter().any(|(other, _)| other == name) {
            return Err(PackError::ImageTwice(name.clone()));
        }
        let mut names = services.iter().map(|service| &service.service.name);
        if !names.any(|known| known.as_str() == name) {
            return Err(PackError::NoSuchService {
                name: name.clone(),
                services: services
                    .iter()
                    .map(|service| service.service.name.to_string())
                    .collect(),
            });
        }
    }
    services
        .iter()
        .map(|service| {
            let given = images
                .iter()
                .find(|(name, _)| name == service.service.name.as_str());
            match (given, &service.image) {
                (Some((_, source)), _) => Ok(source.clone()),
                (None, Some(image)) => pinned(image).ok_or_else(|| PackError::NoImage {
                    place: service.place.clone(),
                    image: Some(image.clone()),
                }),
                (None, None) => Err(PackError::NoImage {
                    place: service.place.clone(),
                    image: None,
                }),
            }
        })
        .collect()
}

/// `image:` as a registry source, if it names host and digest.
fn pinned(image: &str) -> Option<Source> {
    let (host, _) = image.split_once('/')?;
    if !host.contains(['.', ':']) && host != "localhost" {
        return None;
    }
    format!("registry:{image}").parse().ok()
}

fn load_keys(
    paths: &[PathBuf],
    password: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Vec<SecretKey>, PackError> {
    paths
        .iter()
        .map(|path| {
            SecretKey::load(path, || password(path)).map_err(|error| PackError::Key {
                path: path.clone(),
                error,
            })
        })
        .collect()
}

/// Collects all content and makes the manifest.
fn gather(
    request: &Request,
    composed: Composed,
    sources: &[Source],
    spool: &Path,
    progress: &Progress,
) -> Result<(Manifest, Builder), PackError> {
    let io = |error| PackError::Io {
        path: spool.to_path_buf(),
        error,
    };
    let blobs = spool.join("blobs");
    fs::create_dir(&blobs).map_err(io)?;
    let net = Net::new().map_err(io)?;
    let access = Access {
        arch: request.arch,
        spool,
        auth_file: request.registry_auth_file.as_deref(),
        net: &net,
    };
    let builder = Builder::new(&blobs);
    let mut packer = Packer::new(builder, request.arch, request.compression, progress);

    let mut images: Vec<Image> = Vec::new();
    let mut known: Vec<(&Source, ImageId)> = Vec::new();
    let mut services: Vec<Service> = Vec::new();
    for (mut service, source) in composed.services.into_iter().zip(sources) {
        let seen = known.iter().find(|(other, _)| *other == source);
        service.service.image = match seen {
            Some((_, id)) => *id,
            None => {
                let name = service.service.name.as_str();
                let id = add_image(&mut packer, &mut images, name, source, &access, progress)
                    .map_err(|error| PackError::Image {
                        source: source.to_string(),
                        error,
                    })?;
                known.push((source, id));
                id
            }
        };
        services.push(service.service);
    }
    let mut files = Vec::new();
    for file in composed.files {
        let content = packer
            .add_bytes(&file.content)
            .map_err(|error| match error {
                ImageError::Build(error) => PackError::Build(error),
                error => PackError::Image {
                    source: file.name.to_string(),
                    error,
                },
            })?;
        files.push(ManifestFile {
            name: file.name,
            content,
            template: file.template,
        });
    }
    let manifest = Manifest {
        tag: TYPE_TAG,
        app: request.app.clone(),
        version: request.version.clone(),
        seq: request.seq,
        epoch: request.epoch,
        issued_at: request.issued_at,
        not_after: request.not_after,
        target: Target {
            arch: request.arch,
            fleet: request.fleet.clone(),
            classes: sorted(&request.classes),
            devices: sorted(&request.devices),
            agent_min: AGENT_MIN,
        },
        keyring_min: 0,
        services,
        volumes: composed.volumes,
        networks: composed.networks,
        files,
        variables: composed.variables,
        policy: composed.policy,
        images,
        blobs: Vec::new(),
        extensions: Vec::new(),
    };
    Ok((manifest, packer.builder))
}

/// Each once, in one order, so that the order of flags changes nothing.
fn sorted<T: Ord + Clone>(names: &[T]) -> Vec<T> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

fn add_image(
    packer: &mut Packer<'_>,
    images: &mut Vec<Image>,
    name: &str,
    source: &Source,
    access: &Access<'_>,
    progress: &Progress,
) -> Result<ImageId, ImageError> {
    progress.step(&format!("{name}: reading {source}"), 0);
    let opened = source.open(access)?;
    let image = packer.add_image(name, &opened)?;
    progress.done(&format!(
        "{name}: image {} in {} layers",
        Digest::of(&opened.config).short(),
        image.layers.len()
    ));
    let index = match images.iter().position(|known| *known == image) {
        Some(index) => index,
        None => {
            images.push(image);
            images.len() - 1
        }
    };
    // More images than an id can number are refused by the builder.
    Ok(ImageId(u16::try_from(index).unwrap_or(u16::MAX)))
}

/// Reads the bundle back as a device would, and says what it holds.
fn check(
    path: &Path,
    digest: Digest,
    keys: &[SecretKey],
    request: &Request,
    progress: &Progress,
) -> Result<Report, PackError> {
    let io = |error| PackError::Io {
        path: path.to_path_buf(),
        error,
    };
    let mut file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let head = bundle::read_head(&mut file).map_err(PackError::SelfCheck)?;
    let manifest = if keys.is_empty() {
        // A draft: no device takes it, and whoever signs it checks it then.
        crate::unverified::read(&head)
            .map(|bundle| bundle.manifest)
            .map_err(PackError::SelfCheck)?
    } else {
        let texts = keys.iter().map(|key| (None, key.public_text())).collect();
        let trust = TrustStore::from_keys(texts)
            .map_err(|_| PackError::SelfCheck(Refused::NoTrustedKey(Vec::new())))?;
        let verified = bundle::verify(head, &trust).map_err(PackError::SelfCheck)?;
        progress.step("checking what was written", bytes);
        bundle::verify_payload(&verified, &file, Depth::Stored, &mut |done| {
            progress.set(done);
        })
        .map_err(PackError::SelfCheck)?;
        verified.manifest().clone()
    };
    let mut layers: Vec<_> = manifest
        .images
        .iter()
        .flat_map(|image| &image.layers)
        .collect();
    layers.sort();
    layers.dedup();
    Ok(Report {
        path: request.out.clone(),
        bytes,
        digest: digest.to_string(),
        app: manifest.app.to_string(),
        version: manifest.version.to_string(),
        seq: manifest.seq,
        services: manifest.services.len(),
        images: manifest.images.len(),
        layers: layers.len(),
        blobs: manifest.blobs.len(),
        plain_bytes: manifest.blobs.iter().map(|blob| blob.plain_bytes).sum(),
        keys: keys.iter().map(|key| key.id().to_string()).collect(),
    })
}
