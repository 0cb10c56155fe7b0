//! `cargo xtask tidy`: the house style as a test.
//!
//! This file finds the tracked files and prints what is wrong; the rules are pure functions in
//! the files below, each from text to problems.

mod imports;
mod links;
mod lints;
mod source;
mod words;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{Command, Usage, shell};

pub(crate) const COMMAND: Command = Command {
    name: "tidy",
    summary: "the house style: headers, lengths, imports, links",
    help: "\
Usage: cargo xtask tidy

Checks every tracked file: modules open with //!, no source file is over 700 lines and no script
over 50, every crate forbids unsafe code, imports between crates run one way, nothing names a
machine's path or a package registry's host, and relative links in *.md lead somewhere.
",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    match args.next().map_err(Usage::from)? {
        None => check(),
        Some(other) => Err(Usage::from(other.unexpected()).into()),
    }
}

/// One thing to mend.
#[derive(Debug, PartialEq)]
struct Problem {
    /// Path from the top folder.
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    text: String,
}

impl Problem {
    fn new(path: &str, line: usize, text: impl Into<String>) -> Problem {
        Problem {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// One package of the workspace, as `cargo metadata` shows it.
#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// Absent for ordinary dependencies, else `dev` or `build`.
    kind: Option<String>,
    features: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// Checks every rule, and prints each problem.
///
/// # Errors
/// If there is a problem, or git or cargo cannot be asked.
pub(crate) fn check() -> Result<()> {
    let root = shell::root();
    let mut git = process::Command::new("git");
    let list = shell::capture(git.current_dir(&root).args(["ls-files", "-z"]))?;
    let files: Vec<&str> = list
        .split('\0')
        .filter(|path| root.join(path).is_file())
        .collect();
    let metadata =
        shell::capture(shell::cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    let packages = serde_json::from_str::<Metadata>(&metadata)
        .context("cargo metadata")?
        .packages;
    let crate_dirs: Vec<&str> = packages
        .iter()
        .filter_map(|package| relative_dir(&package.manifest_path, &root))
        .collect();

    let mut problems = imports::check(&packages);
    for path in &files {
        let bytes = fs::read(root.join(path)).with_context(|| format!("reading {path}"))?;
        // Vectors and images have no lines.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        problems.extend(source::check(path, &text, &crate_dirs));
        problems.extend(words::check(path, &text));
        if path.ends_with("Cargo.toml") {
            problems.extend(lints::check(path, &text));
        }
        if path.ends_with(".md") {
            problems.extend(links::check(path, &text, |target| {
                root.join(target).exists()
            }));
        }
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => bail!("1 problem in {} files", files.len()),
        count => bail!("{count} problems in {} files", files.len()),
    }
}

/// The folder of a manifest, from the top folder.
fn relative_dir<'a>(manifest: &'a str, root: &Path) -> Option<&'a str> {
    Path::new(manifest)
        .parent()?
        .strip_prefix(root)
        .ok()?
        .to_str()
}
