//! The same image in the other forms that `relay pack` reads.
//!
//! Never changes the image's configuration, so its image id stays the same.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::command;

/// An OCI layout folder with the content of an archive.
///
/// # Errors
/// When the archive cannot be read or the disk is full.
pub fn oci_dir(archive: &Path) -> Result<PathBuf> {
    let cache = Cache::open()?;
    cache.once(&entry(archive, "oci")?, |path| {
        tar::Archive::new(File::open(archive)?).unpack(path)?;
        Ok(())
    })
}

/// A docker-archive (as `docker save` writes it) of an OCI archive; needs skopeo.
///
/// # Errors
/// When skopeo is missing or fails.
pub fn docker_archive(archive: &Path) -> Result<PathBuf> {
    let cache = Cache::open()?;
    cache.once(&entry(archive, "docker.tar")?, |path| {
        let scratch = cache.scratch()?;
        let mut skopeo = Command::new("skopeo");
        skopeo
            .args(["--insecure-policy", "--tmpdir"])
            .arg(scratch.path())
            .args(["copy", "--quiet"])
            .arg(format!("oci-archive:{}", archive.display()))
            .arg(format!(
                "docker-archive:{}:localhost/test-image:latest",
                path.display()
            ));
        command::output(&mut skopeo)?;
        fs::metadata(path).context("skopeo wrote no archive")?;
        Ok(())
    })
}

fn entry(archive: &Path, suffix: &str) -> Result<String> {
    let name = archive
        .file_name()
        .and_then(|name| name.to_str())
        .context("not a file's path")?;
    let stem = name
        .strip_suffix(".oci.tar")
        .context("not an archive of this crate")?;
    Ok(format!("images/{stem}.{suffix}"))
}
