//! A podman service of a test's own.
//!
//! Never reads or changes the machine's podman: storage, networks, locks, events and
//! configuration are all below the sandbox's folder.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::Sandbox;
use crate::process::{Background, Outcome, run};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// `podman system service` on a socket, with a store of its own. Dropping it removes all its
/// containers and ends it.
pub struct PodmanService {
    sandbox: Sandbox,
    folder: PathBuf,
    service: Option<Background>,
}

impl PodmanService {
    /// Starts the service and waits until it answers.
    ///
    /// # Errors
    /// When podman or one of its helpers is missing, or it does not answer in time.
    pub fn start(sandbox: &Sandbox) -> Result<Self> {
        let folder = sandbox.folder("podman")?;
        for inner in ["networks", "tmp", "run", "root", "hooks"] {
            fs::create_dir_all(folder.join(inner))?;
        }
        let quoted = |path: &str| format!("{:?}", folder.join(path).display().to_string());
        // The limits are podman's defaults made lower: raising them needs CAP_SYS_RESOURCE. Soft
        // and hard are the same, since podman 4.3 swaps the two when asked over its socket.
        fs::write(
            folder.join("containers.conf"),
            format!(
                "[containers]\n\
                 default_ulimits = [\"nofile=4096:4096\", \"nproc=8192:8192\"]\n\
                 log_driver = \"k8s-file\"\n\
                 [engine]\n\
                 runtime = \"{}\"\n\
                 cgroup_manager = \"cgroupfs\"\n\
                 events_logger = \"file\"\n\
                 lock_type = \"file\"\n\
                 hooks_dir = [{}]\n\
                 tmp_dir = {}\n\
                 [network]\n\
                 network_backend = \"netavark\"\n\
                 network_config_dir = {}\n",
                oci_runtime()?,
                quoted("hooks"),
                quoted("tmp"),
                quoted("networks"),
            ),
        )?;
        fs::write(
            folder.join("storage.conf"),
            format!(
                "[storage]\ndriver = \"{}\"\ngraphroot = {}\nrunroot = {}\n",
                storage_driver(&folder)?,
                quoted("root"),
                quoted("run"),
            ),
        )?;
        fs::write(
            folder.join("registries.conf"),
            "unqualified-search-registries = []\n",
        )?;
        let policy = sandbox
            .folder("home/.config/containers")?
            .join("policy.json");
        fs::write(
            policy,
            r#"{"default": [{"type": "insecureAcceptAnything"}]}"#,
        )?;

        let mut podman = Self {
            sandbox: sandbox.clone(),
            folder,
            service: None,
        };
        podman.start_again()?;
        Ok(podman)
    }

    /// Starts the service after [`Self::stop`] or [`Self::kill`]; its store is what it was.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = self.command()?;
        command.args(["system", "service", "--time", "0"]);
        command.arg(format!("unix://{}", self.socket().display()));
        let log = self.folder.join("service.log");
        let mut service = Background::start("the podman service", &mut command, &log)?;
        service.wait_ready(START_DEADLINE, |_| ping(&self.socket()).ok().flatten())?;
        self.service = Some(service);
        Ok(())
    }

    /// Ends the service; containers run on.
    ///
    /// # Errors
    /// When its process cannot be ended.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut service) = self.service.take() {
            service.stop()?;
        }
        Ok(())
    }

    /// Ends the service as `kill -9` does; containers run on.
    ///
    /// # Errors
    /// When its process cannot be ended.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut service) = self.service.take() {
            service.kill()?;
        }
        Ok(())
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("podman.sock")
    }

    /// The socket as the agent's `--runtime` wants it: `podman:///…`.
    #[must_use]
    pub fn runtime(&self) -> String {
        format!("podman://{}", self.socket().display())
    }

    /// The service's process id, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.service.as_ref().map(Background::id)
    }

    /// Runs podman's own command line on the same store.
    ///
    /// # Errors
    /// When podman cannot be started; a failure of the command is in the outcome.
    pub fn podman(&self, arguments: &[&str]) -> Result<Outcome> {
        run(self.command()?.args(arguments))
    }

    /// The names of the running containers, sorted.
    ///
    /// # Errors
    /// When podman fails.
    pub fn running(&self) -> Result<Vec<String>> {
        let list = self.podman(&["ps", "--format", "{{.Names}}"])?.ok()?.stdout;
        let mut names: Vec<String> = list.lines().map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// Loads an OCI archive and names it `localhost/NAME:latest`; returns the image id
    /// (`sha256:…`).
    ///
    /// # Errors
    /// When podman fails.
    pub fn load(&self, archive: &Path, name: &str) -> Result<String> {
        let id = test_images::info(archive)?.image_id;
        let archive = format!("oci-archive:{}", archive.display());
        self.podman(&["pull", "--quiet", &archive])?.ok()?;
        self.podman(&["tag", &id, &format!("localhost/{name}:latest")])?
            .ok()?;
        Ok(id)
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.sandbox.command("podman")?;
        let path = |name: &str| self.folder.join(name);
        command
            .env("CONTAINERS_CONF", path("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", path("storage.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", path("registries.conf"))
            .env("TMPDIR", path("tmp"))
            // conmon leaves a file named `oom` where it was started.
            .current_dir(&self.folder)
            .arg("--root")
            .arg(path("root"))
            .arg("--runroot")
            .arg(path("run"))
            .arg("--tmpdir")
            .arg(path("tmp"));
        Ok(command)
    }

    fn clean_up(&mut self) -> Result<()> {
        let removed = self.podman(&["rm", "--all", "--force", "--time", "0"])?;
        self.stop()?;
        removed.ok().map(drop)
    }
}

impl Drop for PodmanService {
    fn drop(&mut self) {
        if std::env::var_os("CORACLE_E2E_KEEP").is_some() && thread::panicking() {
            return;
        }
        if let Err(error) = self.clean_up() {
            eprintln!("e2e: cleaning up podman: {error:#}");
        }
    }
}

/// runc if there is one: crun refuses the mixed cgroup hierarchy of some machines.
fn oci_runtime() -> Result<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let there = |name: &&str| folders.iter().any(|folder| folder.join(name).exists());
    ["runc", "crun"].into_iter().find(there).context(
        "neither runc nor crun is installed: `cargo xtask test` installs what the tests need",
    )
}

/// overlayfs does not stack on overlayfs, which is what a test within a container has below it.
fn storage_driver(folder: &Path) -> Result<&'static str> {
    let below = nix::sys::statfs::statfs(folder)?.filesystem_type();
    let stacked = below == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC;
    Ok(if stacked { "vfs" } else { "overlay" })
}

/// Asks the socket for `_ping`; `None` while nothing listens.
fn ping(socket: &Path) -> Result<Option<()>> {
    let Ok(mut stream) = UnixStream::connect(socket) else {
        return Ok(None);
    };
    stream.set_read_timeout(Some(START_DEADLINE))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: podman\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.contains("200 OK") {
        bail!("podman answers its socket with {answer}");
    }
    Ok(Some(()))
}
