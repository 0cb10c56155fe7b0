//! The engine: carries out what `agent-core` decides, and answers the command line.
//!
//! A bundle's way through it: [`source`] opens it once, or [`desired`] has it fetched ([`fetch`],
//! [`intake`]) → [`admit`] verifies it and asks whether it may run here → [`driver`] steps the
//! state machine, makes each state durable, and calls [`stage`] → [`switch`] → [`trial`] → commit,
//! or [`restore`]. [`supervise`] keeps what is committed running, [`collect`] removes what nobody
//! needs. [`check_in`] speaks to the relay, [`pursue`] tries what it names, [`reports`] tells it
//! what happened. One thread; blocking work is handed to [`host`]. Never decides a transition, and
//! never starts an effect whose intent is not durable.

mod admit;
mod answer;
mod app;
mod binds;
mod bring_up;
mod check_in;
mod collect;
mod desired;
mod doctor;
mod driver;
mod enroll;
mod evidence;
mod facts;
mod failure;
mod fetch;
mod generation;
mod host;
mod intake;
mod link;
mod logs;
mod ours;
mod plan;
mod ports;
mod probe;
mod pursue;
mod rebuild;
mod reconcile;
mod report;
mod reports;
mod restore;
mod source;
mod stage;
mod status;
mod supervise;
mod switch;
#[cfg(test)]
mod tests;
mod there;
mod trial;
mod trouble;
mod verify;
mod volumes;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use agent_core::AppState;
use agent_core::admit::TimeFloor;
use bundle::{AppName, DeviceId, Digest};
use runtime_shim::Runtime;
use smol::LocalExecutor;

use crate::api::Failure;
use crate::config::Config;
use crate::state::{
    EvidenceFiles, History, Intents, Lock, Objects, Opened, Reports, Spool, StateFile, bindings,
};
use app::App;
pub(crate) use host::{Host, Later, blocking, spawn};
use link::Link;
pub(crate) use ports::Ports;
pub use verify::verify_bundle;

/// What an engine may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything, and supervise until told to shut down.
    Daemon,
    /// Everything for one request; what runs afterwards is not supervised.
    OneShot,
    /// Look only: takes no lock and writes nothing.
    ReadOnly,
}

/// The engine.
pub struct Engine {
    config: Config,
    mode: Mode,
    device: DeviceId,
    host: Rc<dyn Host>,
    runtime: Rc<dyn Runtime>,
    vfs: Rc<dyn crate::state::vfs::Vfs>,
    executor: Rc<LocalExecutor<'static>>,
    state: RefCell<StateFile>,
    /// No usable record was found: what runs is left alone until the record is rebuilt.
    lost: Cell<bool>,
    objects: Objects,
    history: History,
    /// What the relay does not know yet.
    reports: Reports,
    evidence: EvidenceFiles,
    /// What was refused last of each app to a rollout: which, its bundle, exit code, cause.
    refused: RefCell<BTreeMap<AppName, (u64, Digest, u8, String)>>,
    #[cfg(test)]
    enrolled: Cell<bool>,
    intents: Intents,
    spool: Spool,
    /// The folder of rendered configuration files.
    files: PathBuf,
    /// The folder of copies of volumes.
    volumes: PathBuf,
    apps: RefCell<BTreeMap<AppName, Rc<App>>>,
    /// Whether the runtime runs without root, as it last said.
    rootless: Cell<bool>,
    /// Whether the device has booted since the agent last ran.
    booted: Cell<bool>,
    /// What is certain about the time.
    time_floor: Cell<TimeFloor>,
    /// Wakes whoever speaks to the relay.
    nudges: (smol::channel::Sender<()>, smol::channel::Receiver<()>),
    /// What ties this device to its relay.
    link: Link,
    _lock: Option<Lock>,
}

impl Engine {
    /// Opens the state folder and finds the runtime; nothing at the runtime is touched yet.
    ///
    /// # Errors
    /// [`Failure`]: the configuration or the state cannot be used, or another agent holds it.
    pub fn open(
        config: Config,
        mode: Mode,
        executor: Rc<LocalExecutor<'static>>,
    ) -> Result<Rc<Self>, Failure> {
        let lock = match mode {
            Mode::ReadOnly => None,
            _ => Some(
                Lock::take(&config.state_dir)
                    .map_err(|e| failure::locked(&e, &config.state_dir))?,
            ),
        };
        let ports = Ports::of_this_machine(&config)?;
        Self::with_ports(config, mode, executor, ports, lock)
    }

    /// As [`Engine::open`], on other ports.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub(crate) fn with_ports(
        config: Config,
        mode: Mode,
        executor: Rc<LocalExecutor<'static>>,
        ports: Ports,
        lock: Option<Lock>,
    ) -> Result<Rc<Self>, Failure> {
        let device = config.device().map_err(|e| failure::usage(&e))?;
        let Ports {
            vfs,
            host,
            runtime,
            dial,
        } = ports;
        let dir = &config.state_dir;
        let bindings = bindings(config.device_id.as_ref());
        let write = mode != Mode::ReadOnly;
        let opened = StateFile::open(Rc::clone(&vfs), dir, &bindings, write);
        let objects = Objects::new(Rc::clone(&vfs), dir.join("objects"));
        let (mut state, lost, fresh) = match opened.map_err(|e| failure::state(&e, dir))? {
            Opened::Good(state) => (state, false, false),
            Opened::Lost(state) => (state, true, false),
            Opened::Fresh(state) => {
                // A record comes before the first object.
                let lost = objects.names().is_ok_and(|names| !names.is_empty());
                (state, lost, !lost)
            }
        };
        if write {
            let made = make_folders(&*vfs, dir).map_err(|e| failure::io("the state folder", &e));
            made?;
            if fresh {
                state.create().map_err(|e| failure::state(&e, dir))?;
            }
        }
        let time_floor = TimeFloor::new(admit::build_time(), host.now_ms());
        let engine = Rc::new(Self {
            time_floor: Cell::new(time_floor),
            mode,
            device,
            host,
            runtime,
            executor,
            lost: Cell::new(lost),
            state: RefCell::new(state),
            objects,
            reports: Reports::open(Rc::clone(&vfs), dir.join("reports"), write),
            refused: RefCell::default(),
            evidence: EvidenceFiles::new(Rc::clone(&vfs), dir.join("evidence")),
            #[cfg(test)]
            enrolled: Cell::new(false),
            history: History::new(Rc::clone(&vfs), dir.join("history.jsonl")),
            intents: Intents::new(Rc::clone(&vfs), dir.join("staging")),
            spool: Spool::new(Rc::clone(&vfs), dir.join("spool")),
            files: dir.join("files"),
            volumes: dir.join("volumes"),
            link: Link::open(Rc::clone(&vfs), dir, dial),
            vfs,
            apps: RefCell::default(),
            rootless: Cell::new(false),
            booted: Cell::new(false),
            nudges: smol::channel::bounded(1),
            _lock: lock,
            config,
        });
        engine.note_boot();
        let known: Vec<AppState> = engine.state.borrow().record().apps.to_vec();
        for state in known {
            engine.add_app(state);
        }
        Ok(engine)
    }

    /// Takes up whatever was under way when the agent last ended, and sees to it that what is
    /// committed runs. As a daemon it supervises from here on; else it returns once the apps have
    /// come to rest.
    pub async fn start(self: &Rc<Self>) {
        if self.mode == Mode::ReadOnly {
            return;
        }
        if self.mode == Mode::Daemon {
            self.begin_to_speak();
        }
        let mut attempts = 0;
        while self.lost.get() {
            self.rebuild().await;
            if self.lost.get() {
                if self.mode != Mode::Daemon {
                    return;
                }
                self.pause(&mut attempts).await;
            }
        }
        for (name, _) in self.intents.open().unwrap_or_default() {
            self.app(&name);
        }
        let apps: Vec<Rc<App>> = self.apps.borrow().values().cloned().collect();
        for app in &apps {
            app.begin(self);
        }
        if self.mode == Mode::OneShot {
            for app in &apps {
                app.at_rest().await;
            }
        }
    }

    /// Ends supervision and leaves the containers running. An update that is under way stays
    /// where its last durable step has it, and is taken up at the next start.
    pub async fn shutdown(self: &Rc<Self>) {
        self.end_to_speak().await;
        let apps: Vec<Rc<App>> = self.apps.borrow().values().cloned().collect();
        for app in apps {
            app.end().await;
        }
    }

    /// The app of this name, new if this device has never had it.
    fn app(self: &Rc<Self>, name: &AppName) -> Rc<App> {
        let known = self.apps.borrow().get(name).cloned();
        known.unwrap_or_else(|| self.add_app(AppState::new(name.clone())))
    }

    fn add_app(self: &Rc<Self>, state: AppState) -> Rc<App> {
        let app = Rc::new(App::new(state, self.booted.get()));
        self.apps
            .borrow_mut()
            .insert(app.name.clone(), Rc::clone(&app));
        app
    }

    /// Compares the kernel's id of this boot with the one that was noted last, and notes it: one
    /// small write for each boot.
    fn note_boot(&self) {
        let (id, path) = (self.host.boot_id(), self.config.state_dir.join("boot"));
        let noted = crate::state::vfs::read(&*self.vfs, &path, 256)
            .ok()
            .flatten();
        let same = noted.as_deref() == Some(id.as_bytes());
        self.booted.set(!same);
        if !same && self.mode != Mode::ReadOnly {
            // If it cannot be noted, the next start takes itself for the first of this boot, and
            // starts what has ended: harmless.
            let _ = crate::state::vfs::replace(&*self.vfs, &path, id.as_bytes(), 0o600);
        }
    }
}

/// Makes the folders below the state folder, durably: what is synced into them later is lost if
/// they are.
fn make_folders(vfs: &dyn crate::state::vfs::Vfs, dir: &Path) -> std::io::Result<()> {
    let folders = [
        "objects", "staging", "files", "volumes", "reports", "evidence",
    ];
    let folders = folders.map(|name| dir.join(name));
    for folder in &folders {
        vfs.create_dir(folder)?;
    }
    vfs.sync_dir(dir)?;
    match dir.parent() {
        Some(parent) => vfs.sync_dir(parent),
        None => Ok(()),
    }
}
