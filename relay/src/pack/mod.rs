//! `relay pack`: a Compose file and images → one signed, reproducible bundle.
//!
//! The way of a pack: [`compose`] (what runs) → `assign` (which image comes from where) →
//! `gather` ([`source`], `image`: blobs) → [`bundle::build`] (the file) → `check` →
//! a rename into place. The same input gives the same bytes: no clock is read here, no
//! environment variable gets into a bundle. A crash leaves at most a hidden temporary file and
//! folder beside the output, never a part of a bundle under its name.

mod assign;
mod check;
pub mod compose;
pub mod env_file;
mod error;
mod gather;
mod image;
mod mtime;
mod progress;
pub mod source;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bundle::build::{Compression, SecretKey};
use bundle::{AppName, Arch, DeviceId, Label, VersionLabel};

pub use check::Report;
pub use error::{ImageError, PackError};
pub use progress::Progress;

use assign::assign;
use check::check;
use compose::Composed;
use gather::gather;
use source::Source;

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
    let sources = assign(&composed.services, &request.images)?;
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
