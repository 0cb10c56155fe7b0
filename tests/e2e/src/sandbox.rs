//! A folder and a network for one test.
//!
//! Never removes anything but the folders that sandboxes made, and never ends a process whose
//! command line does not name one of these.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::process::{run, wait_until};

/// The ending of the file beside a sandbox that says to leave it.
const KEPT: &str = "kept";

thread_local! {
    static ISOLATED: Cell<bool> = const { Cell::new(false) };
}

/// Where everything of one test is. Cheap to clone; the last clone that is dropped removes it,
/// unless `CORACLE_E2E_KEEP` is set.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: Flock<File>,
}

impl Sandbox {
    /// A sandbox with a network and a `/run` of its own. The calling thread moves there for the
    /// rest of its life, and all that it starts with it: create, use and drop everything in the
    /// thread of the test. The kernel removes both after their last process.
    ///
    /// # Errors
    /// Without root, or when a tool is missing.
    pub fn new() -> Result<Self> {
        require_root()?;
        if !ISOLATED.get() {
            // Later there is no network to fetch packages from.
            test_images::ensure_all()?;
        }
        Self::isolated(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
    }

    /// A sandbox in the machine's own network, as the demo needs it: its ports must be free. Only
    /// `/run` is its own.
    ///
    /// # Errors
    /// Without root, or when the folder cannot be made.
    pub fn on_host() -> Result<Self> {
        Self::isolated(CloneFlags::CLONE_NEWNS)
    }

    fn isolated(from: CloneFlags) -> Result<Self> {
        require_root()?;
        if !ISOLATED.get() {
            isolate(from).context("making namespaces for the sandbox")?;
            ISOLATED.set(true);
        }
        // On the disk: /tmp is often memory. Short: a socket's path has 108 bytes at most.
        let base = PathBuf::from("/var/tmp/coracle-e2e");
        fs::create_dir_all(&base)?;
        let _turn = lock(&base.join("turn"), FlockArg::LockExclusive)?;
        // What a demo kept is for the next demo to clear away, not for tests.
        sweep(&base, !from.contains(CloneFlags::CLONE_NEWNET))?;
        let folder = tempfile::Builder::new()
            .prefix("s")
            .rand_bytes(6)
            .tempdir_in(&base)?
            .keep();
        let lock_path = folder.with_extension("lock");
        let lock = lock(&lock_path, FlockArg::LockExclusiveNonblock)?;
        Ok(Self {
            inner: Arc::new(Inner {
                folder,
                lock_path,
                _lock: lock,
            }),
        })
    }

    /// The sandbox's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.folder
    }

    /// Leaves everything as it is, processes too, until the next [`Self::on_host`].
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn keep(self) -> Result<()> {
        fs::write(self.inner.folder.with_extension(KEPT), "")?;
        std::mem::forget(self);
        Ok(())
    }

    /// A folder within it, made if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path().join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A command with an environment that holds nothing of the caller's but `PATH`.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("RUST_BACKTRACE", "1");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", self.folder("home")?)
            .env("TMPDIR", self.folder("tmp")?);
        Ok(command)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if std::env::var_os("CORACLE_E2E_KEEP").is_some() {
            eprintln!("e2e: kept {}", self.folder.display());
            return;
        }
        if let Err(error) = remove(&self.folder, &self.lock_path) {
            eprintln!("e2e: removing {}: {error:#}", self.folder.display());
        }
    }
}

/// Moves this thread into new namespaces. `/run` is always among what is new: podman keeps
/// addresses and its name server there, whatever its own configuration says.
fn isolate(from: CloneFlags) -> Result<()> {
    unshare(from)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(
        Some("run"),
        "/run",
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )?;
    if from.contains(CloneFlags::CLONE_NEWNET) {
        run(Command::new("ip").args(["link", "set", "lo", "up"]))?.ok()?;
    }
    Ok(())
}

fn require_root() -> Result<()> {
    if !geteuid().is_root() {
        bail!("end-to-end tests start containers and networks of their own: run them as root");
    }
    Ok(())
}

fn lock(path: &Path, kind: FlockArg) -> Result<Flock<File>> {
    let file = File::create(path).with_context(|| format!("opening {}", path.display()))?;
    Flock::lock(file, kind).map_err(|(_, error)| error.into())
}

/// Removes what tests left that were killed: folders whose lock nobody holds; kept ones if asked.
fn sweep(base: &Path, kept_too: bool) -> Result<()> {
    for entry in fs::read_dir(base)? {
        let lock_path = entry?.path();
        if lock_path
            .extension()
            .is_none_or(|extension| extension != "lock")
        {
            continue;
        }
        if let Ok(_lock) = lock(&lock_path, FlockArg::LockExclusiveNonblock) {
            let folder = lock_path.with_extension("");
            let kept = folder.with_extension(KEPT).exists() && !kept_too;
            if folder.exists() && (kept || std::env::var_os("CORACLE_E2E_KEEP").is_some()) {
                continue;
            }
            remove(&folder, &lock_path)?;
        }
    }
    Ok(())
}

/// Ends the processes of the folder, unmounts all below it, and removes it.
fn remove(folder: &Path, lock_path: &Path) -> Result<()> {
    for process in processes_of(folder)? {
        // It may have ended by itself since.
        let _ = kill(process, Signal::SIGKILL);
    }
    wait_until(
        "left-over processes to end",
        Duration::from_secs(10),
        || Ok(processes_of(folder)?.is_empty().then_some(())),
    )?;
    for mount in mounts_below(folder)? {
        umount2(&mount, MntFlags::MNT_DETACH)
            .with_context(|| format!("unmounting {}", mount.display()))?;
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let mark = folder.with_extension(KEPT);
    if mark.exists() {
        fs::remove_file(mark)?;
    }
    Ok(fs::remove_file(lock_path)?)
}

/// Processes, but this one, that name the folder in their command line or environment (podman,
/// conmon, aardvark-dns, agents) or run in a container whose files are in it.
fn processes_of(folder: &Path) -> Result<Vec<Pid>> {
    let name = folder.as_os_str().as_encoded_bytes();
    let contains = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|it| it == part);
    let containers = fs::read_dir(folder.join("podman/run/overlay-containers"));
    let containers: Vec<_> = containers
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(id) = path
            .file_name()
            .and_then(|name| name.to_str()?.parse::<i32>().ok())
        else {
            continue;
        };
        // A process that ended meanwhile has none of these, and a dead one no command line.
        let read = |name: &str| fs::read(path.join(name)).unwrap_or_default();
        let (line, groups) = (read("cmdline"), read("cgroup"));
        let named = contains(&line, name) || contains(&read("environ"), name);
        let contained = containers
            .iter()
            .any(|id| contains(&groups, id.as_encoded_bytes()));
        if id != Pid::this().as_raw() && !line.is_empty() && (named || contained) {
            found.push(Pid::from_raw(id));
        }
    }
    Ok(found)
}

/// The mount points below a folder in this thread's namespace, innermost first.
fn mounts_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let points = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from);
    let mut points: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    points.reverse();
    Ok(points)
}
