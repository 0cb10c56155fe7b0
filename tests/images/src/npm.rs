//! A program from npm with its dependencies, as a file tree.
//!
//! Never runs a package's scripts.

use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::tree::Tree;
use crate::{Arch, Builder};

/// Installs `package` (`name@version`) and what it depends on below `path`, without source maps,
/// type declarations and Markdown files.
pub(crate) fn add(builder: &Builder, tree: &mut Tree, path: &str, package: &str) -> Result<()> {
    builder.say(&format!("npm: installing {package}"));
    let folder = builder.cache.scratch()?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--omit=dev",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ])
    .args([
        "--no-update-notifier",
        "--loglevel=error",
        "--os=linux",
        "--libc=glibc",
    ])
    .arg(format!("--cpu={}", builder.arch.node()))
    .arg("--prefix")
    .args([folder.path().as_os_str(), package.as_ref()]);
    if builder.arch == Arch::ArmV7 {
        npm.arg("--force");
    }
    command::output(npm.current_dir(folder.path()))?;
    let skip = |name: &str| {
        // The hidden lock file has the registry's address in it and is of no use at run time.
        name == ".package-lock.json"
            || [".map", ".d.ts", ".md"]
                .iter()
                .any(|suffix| name.ends_with(suffix))
    };
    tree.add_folder(
        &format!("{path}/node_modules"),
        &folder.path().join("node_modules"),
        &skip,
    )
}
