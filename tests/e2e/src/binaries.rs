//! The programs under test.
//!
//! Never tests a stale program: unless the caller names one, it is built first.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use crate::process::run;

/// The path of `agent` or `relay`: `$CORACLE_TEST_AGENT` or `$CORACLE_TEST_RELAY` if set, else
/// the one that `cargo build` makes now.
///
/// # Errors
/// When it does not build.
pub fn binary(name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(format!("CORACLE_TEST_{}", name.to_uppercase())) {
        return Ok(PathBuf::from(path));
    }
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    folder
        .as_ref()
        .map(|folder| folder.join(name))
        .map_err(|error| anyhow!("{error}"))
}

/// Builds both at once and returns the folder that they are in.
fn build() -> Result<PathBuf> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "-p", "agent", "-p", "relay"])
        .current_dir(&root);
    run(&mut command)?.ok()?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    Ok(target.join("debug"))
}
