//! Debian packages: which ones a layer needs, and their files.
//!
//! apt resolves, fetches and checks signatures, in a private folder whose package database says
//! what the layers below hold; so a layer gets exactly what apt would install on top of them.
//! Never touches the machine's own apt or dpkg state, never needs root, never runs a package's
//! install scripts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::tree::Tree;
use crate::{Builder, Version};

/// Packages that only install scripts, init systems or administrators use. They count as
/// installed, so that neither they nor what they need comes into an image.
const ASSUMED: &[&str] = &[
    "adduser",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "iproute2",
    "lsb-base",
    "passwd",
    "perl-base",
    "sysvinit-utils",
    "tar",
];

/// A package in a layer.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// apt with a state of its own.
struct Apt {
    root: PathBuf,
    arch: &'static str,
}

/// Adds `packages` and what they depend on to `tree`, except what `below` holds already. With a
/// `release`, all of `packages` have one version: the newest that Debian offers for `V2`, the one
/// before it for `V1` (the same one if there is no other). Returns what was added.
pub(crate) fn add(
    builder: &Builder,
    tree: &mut Tree,
    packages: &[&str],
    release: Option<Version>,
    below: &[Package],
) -> Result<Vec<Package>> {
    let arch = builder.arch.debian();
    let _lock = builder.cache.lock(&format!("apt-{arch}"))?;
    let apt = Apt {
        root: builder.cache.path("apt").join(arch),
        arch,
    };
    let fresh = apt.prepare(builder)?;
    let added = match apt.fetch(builder, packages, release, below) {
        // Debian drops a release from its pool once the next one is out.
        Err(_) if !fresh => {
            apt.update(builder)?;
            apt.fetch(builder, packages, release, below)?
        }
        other => other?,
    };
    for (package, file) in &added {
        let tar = command::output(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(file))?;
        tree.add_package(tar.as_slice())
            .with_context(|| format!("reading {}", package.name))?;
    }
    Ok(added.into_iter().map(|(package, _)| package).collect())
}

impl Apt {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let option = |name: &str, value: &dyn std::fmt::Display| format!("-o{name}={value}");
        let state = self.root.join("state");
        let mut command = Command::new(program);
        command
            .env("LC_ALL", "C")
            .arg(option("Dir::State", &state.display()))
            .arg(option(
                "Dir::State::status",
                &state.join("status").display(),
            ))
            .arg(option("Dir::Cache", &self.root.join("cache").display()))
            .arg(option("APT::Architecture", &self.arch))
            .arg(option("APT::Architectures", &self.arch))
            .arg(option("APT::Sandbox::User", &"root"))
            .arg(option("Acquire::Languages", &"none"))
            .arg(option("Acquire::Retries", &"3"))
            .arg("-qq")
            .args(arguments);
        command::text(&mut command)
    }

    /// Makes the private state, with package lists if it has none. Returns whether it fetched them.
    fn prepare(&self, builder: &Builder) -> Result<bool> {
        if self.root.join("complete").exists() {
            return Ok(false);
        }
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.root.join(folder))?;
        }
        self.installed(&[])?;
        self.update(builder)?;
        Ok(true)
    }

    fn update(&self, builder: &Builder) -> Result<()> {
        builder.say("apt: fetching the package lists (into the cache folder)");
        self.run("apt-get", &["update"])?;
        // Without a network, apt-get only warns.
        let lists = fs::read_dir(self.root.join("state/lists"))?;
        let names = lists.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let names = names.collect::<std::io::Result<Vec<String>>>()?;
        if !names.iter().any(|name| name.contains("_Packages")) {
            anyhow::bail!("no package list could be fetched: is there a network?");
        }
        fs::write(self.root.join("complete"), "")?;
        Ok(())
    }

    /// Says which packages count as installed.
    fn installed(&self, below: &[Package]) -> Result<()> {
        let mut status = String::new();
        let assumed = ASSUMED.iter().map(|name| (*name, "999"));
        let below = below
            .iter()
            .map(|package| (package.name.as_str(), package.version.as_str()));
        for (name, version) in assumed.chain(below) {
            status.push_str(&format!(
                "Package: {name}\nStatus: install ok installed\nVersion: {version}\n\
                 Architecture: {}\nMulti-Arch: foreign\nMaintainer: none\nDescription: none\n\n",
                self.arch
            ));
        }
        fs::write(self.root.join("state/status"), status)?;
        Ok(())
    }

    fn version(&self, package: &str, release: Version) -> Result<String> {
        let table = self.run("apt-cache", &["madison", package])?;
        let mut versions: Vec<&str> = table
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(str::trim)
            .collect();
        versions.dedup();
        let version = match release {
            Version::V2 => versions.first(),
            Version::V1 => versions.get(1).or(versions.first()),
        };
        let version = version.with_context(|| format!("the package lists have no {package}"))?;
        Ok((*version).to_owned())
    }

    /// Resolves and downloads; returns each package with the path of its file.
    fn fetch(
        &self,
        builder: &Builder,
        packages: &[&str],
        release: Option<Version>,
        below: &[Package],
    ) -> Result<Vec<(Package, PathBuf)>> {
        self.installed(below)?;
        let folder = builder.cache.path("debs");
        let mut wanted: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
        if let (Some(release), Some(first)) = (release, packages.first()) {
            let version = self.version(first, release)?;
            wanted = packages
                .iter()
                .map(|name| format!("{name}={version}"))
                .collect();
        }
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let install = ["install", "--no-install-recommends", "-y"];
        let plan = self.run(
            "apt-get",
            &[&install[..], &["--print-uris"], &wanted].concat(),
        )?;
        let files = plan
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .map(|file| Ok((parse_file_name(file)?, folder.join(file))))
            .collect::<Result<Vec<_>>>()?;
        let missing = files.iter().filter(|(_, path)| !path.exists()).count();
        if missing > 0 {
            builder.say(&format!(
                "apt: downloading {missing} packages for {}",
                wanted.join(" ")
            ));
            // apt checks each file against the signed lists and moves it in place when it is whole.
            let archives = format!("-oDir::Cache::archives={}", folder.display());
            let download = [archives.as_str(), "--download-only"];
            self.run("apt-get", &[&install[..], &download, &wanted].concat())?;
        }
        Ok(files)
    }
}

/// `libc6_2.36-9+deb12u14_amd64.deb`, with `%3a` for the colon of an epoch.
fn parse_file_name(file: &str) -> Result<Package> {
    let mut parts = file.split('_');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(version), Some(_)) => Ok(Package {
            name: name.to_owned(),
            version: version.replace("%3a", ":"),
        }),
        _ => bail!("apt named a file {file}, which is not a package's"),
    }
}
