//! Tools that come from PyPI, each in a virtual environment of its own under `target/`.
//!
//! Never touches the system's Python packages.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// The virtual environment that holds `package` at exactly `version`; made on the first call.
///
/// A crash in the middle leaves a folder without its stamp, and the next call starts afresh.
///
/// # Errors
/// If Python's venv module or the package cannot be had; the text names the command that failed.
pub(crate) fn venv(package: &str, version: &str) -> Result<PathBuf> {
    let dir = shell::target_dir()
        .join("xtask")
        .join(format!("{package}-{version}"));
    let stamp = dir.join("complete");
    if stamp.exists() {
        return Ok(dir);
    }
    eprintln!("installing {package} {version} from PyPI");
    shell::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&dir),
    )
    .context("Python's venv module is needed (Debian: python3-venv)")?;
    shell::run(
        Command::new(dir.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--no-deps"])
            .arg(format!("{package}=={version}")),
    )?;
    fs::write(&stamp, "")?;
    Ok(dir)
}
