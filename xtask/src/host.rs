//! What the build host needs: Debian packages and parts of the Rust tool chain, in one place.
//!
//! Installs what is missing and says so; never upgrades, removes or configures anything.

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// A Debian package that the tests or the demo use.
struct Package {
    name: &'static str,
    purpose: &'static str,
    /// With this program in the search path, the package is not needed.
    program: Option<&'static str>,
}

/// A package that is needed by its own name: a library, or a program outside the search path.
const fn part(name: &'static str, purpose: &'static str) -> Package {
    Package {
        name,
        purpose,
        program: None,
    }
}

/// A package that is needed for one program, wherever that comes from.
const fn program(name: &'static str, program: &'static str, purpose: &'static str) -> Package {
    Package {
        name,
        purpose,
        program: Some(program),
    }
}

const PACKAGES: &[Package] = &[
    part("aardvark-dns", "names between containers"),
    part("conmon", "podman's container monitor"),
    program("containerd", "containerd", "the second runtime"),
    part("containernetworking-plugins", "container networks"),
    program("crun", "crun", "OCI runtime"),
    program(
        "docker-registry",
        "docker-registry",
        "a real registry on loopback",
    ),
    program("iproute2", "ip", "networks of the tests' own"),
    part("iptables", "published ports"),
    program("minisign", "minisign", "the reference for our signatures"),
    part("netavark", "podman's networks"),
    program("npm", "npm", "Node-RED for the test images"),
    program("openssl", "openssl", "certificates of the tests' own"),
    program("podman", "podman", "the first runtime"),
    part("python3-venv", "the cross compiler comes from PyPI"),
    program(
        "qemu-user-static",
        "qemu-arm-static",
        "runs the ARM binaries",
    ),
    program("runc", "runc", "OCI runtime"),
    program("skopeo", "skopeo", "copies images between forms"),
    part("uidmap", "rootless containers"),
];

/// Installs the Debian packages that are missing, with sudo unless root.
///
/// # Errors
/// Names the packages to install by hand if apt-get or sudo will not do it.
pub(crate) fn ensure_packages() -> Result<()> {
    ensure(PACKAGES)
}

/// Installs nginx, which only a bench needs: on Debian its installation starts a web server.
///
/// # Errors
/// As [`ensure_packages`].
pub(crate) fn ensure_nginx() -> Result<()> {
    // By name: its program lies in /usr/sbin, which is not in everybody's search path.
    ensure(&[part("nginx", "what the relay is measured beside")])
}

fn ensure(packages: &[Package]) -> Result<()> {
    let missing = missing_of(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing Debian packages:");
    for package in packages
        .iter()
        .filter(|package| missing.contains(&package.name))
    {
        eprintln!("  {:28} {}", package.name, package.purpose);
    }
    let install = || -> Result<()> {
        shell::run(as_root("apt-get")?.args(["update", "--quiet=2"]))?;
        let options = ["install", "--yes", "--quiet=2", "--no-install-recommends"];
        shell::run(as_root("apt-get")?.args(options).args(&missing))
    };
    install().with_context(|| format!("install by hand: apt-get install {}", missing.join(" ")))
}

/// The names of the Debian packages that are missing.
///
/// # Errors
/// If this is not a Debian system.
pub(crate) fn missing_packages() -> Result<Vec<&'static str>> {
    missing_of(PACKAGES)
}

fn missing_of(packages: &[Package]) -> Result<Vec<&'static str>> {
    let is_needed = |package: &&Package| !package.program.is_some_and(shell::is_installed);
    let names: Vec<&str> = packages
        .iter()
        .filter(is_needed)
        .map(|package| package.name)
        .collect();
    if names.is_empty() {
        return Ok(names);
    }
    if !shell::is_installed("dpkg-query") {
        bail!(
            "this is not a Debian system; install by hand what these packages hold: {}",
            names.join(" ")
        );
    }
    // It exits with 1 when it does not know one of them, so only its output counts.
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(&names)
        .output()
        .context("cannot start dpkg-query")?;
    Ok(missing(&names, &String::from_utf8_lossy(&output.stdout)))
}

/// The wanted packages that dpkg's list does not show as installed.
fn missing<'a>(wanted: &[&'a str], dpkg: &str) -> Vec<&'a str> {
    let installed = |name: &str| {
        dpkg.lines()
            .any(|line| line.split_once(' ') == Some((name, "installed")))
    };
    wanted
        .iter()
        .copied()
        .filter(|name| !installed(name))
        .collect()
}

/// Whether this process runs as root.
///
/// # Errors
/// Without a `/proc`.
pub(crate) fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// A command that runs as root: as it is, or through sudo.
fn as_root(program: &str) -> Result<Command> {
    let mut command = if is_root()? {
        Command::new(program)
    } else if shell::is_installed("sudo") {
        let mut sudo = Command::new("sudo");
        if !std::io::stdin().is_terminal() {
            sudo.arg("--non-interactive");
        }
        sudo.arg(program);
        sudo
    } else {
        bail!("not root, and sudo is not installed");
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// Adds a component to the Rust tool chain in use, unless it is there.
///
/// # Errors
/// If rustup cannot be started or cannot add it.
pub(crate) fn ensure_rust_component(name: &str) -> Result<()> {
    ensure_rust("component", name)
}

/// Adds a target's standard library to the Rust tool chain in use, unless it is there.
///
/// # Errors
/// If rustup cannot be started or cannot add it.
pub(crate) fn ensure_rust_target(triple: &str) -> Result<()> {
    ensure_rust("target", triple)
}

fn ensure_rust(kind: &str, name: &str) -> Result<()> {
    let rustup = || {
        let mut command = Command::new("rustup");
        command.current_dir(shell::root()).arg(kind);
        command
    };
    let installed = shell::capture(rustup().args(["list", "--installed"]))?;
    if installed.lines().any(|line| line.trim() == name) {
        return Ok(());
    }
    shell::run(rustup().args(["add", name]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_dpkg_calls_installed_counts() {
        let dpkg = "podman installed\nrunc config-files\npodman-extra installed\n";
        assert_eq!(missing(&["podman", "runc", "crun"], dpkg), ["runc", "crun"]);
        assert!(missing(&["podman"], dpkg).is_empty());
    }
}
