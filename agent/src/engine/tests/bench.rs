//! The bench that the tests work on: a device in a temporary folder, a runtime in memory, a
//! release key, and a clock that jumps to whatever is waited for next.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bundle::build::{Builder, Compression, SecretKey, key};
use bundle::manifest::*;
use bundle::{AppName, Arch, Label, ServiceName, VersionLabel};
use runtime_shim::Container;
use runtime_shim::fake::Fake;
use smol::LocalExecutor;

use super::super::host::{Host, Later};
use super::super::ports::Dial;
use super::super::{Engine, Mode, Ports};
use crate::api::{AppView, AppliedView, Failure, Reply, Request};
use crate::config::Config;
use crate::relay::RemoteError;
use crate::state::vfs::{RealVfs, Vfs};

/// Virtual time after which a test is stuck: 30 days.
const STUCK_MS: u64 = 30 * 86_400_000;

/// A machine whose time passes only when nothing else happens.
pub(super) struct TestHost {
    now_ms: Cell<u64>,
    sleepers: RefCell<BTreeMap<(u64, u64), Waker>>,
    next: Cell<u64>,
    random: Cell<u64>,
    pub(super) free_bytes: Cell<u64>,
    pub(super) boot: Cell<u32>,
}

/// When the virtual clock starts: 2025-06-15.
pub(super) const EPOCH_S: u64 = 1_750_000_000;

impl TestHost {
    fn new() -> Self {
        Self {
            now_ms: Cell::new(0),
            sleepers: RefCell::default(),
            next: Cell::new(0),
            random: Cell::new(1),
            free_bytes: Cell::new(u64::MAX),
            boot: Cell::new(1),
        }
    }

    /// How many wait for a timer.
    pub(super) fn sleepers(&self) -> usize {
        self.sleepers.borrow().len()
    }

    /// Whoever waited is gone.
    pub(super) fn forget_sleepers(&self) {
        self.sleepers.borrow_mut().clear();
    }

    /// Jumps to the next instant that anybody waits for. Says whether there was one.
    fn advance(&self) -> bool {
        let next = self.sleepers.borrow_mut().pop_first();
        if let Some(((at, _), waker)) = next {
            self.now_ms.set(self.now_ms.get().max(at));
            assert!(
                self.now_ms.get() < STUCK_MS,
                "stuck: nothing happens for 30 days"
            );
            waker.wake();
            return true;
        }
        false
    }
}

/// Forgets its sleeper when it is dropped, so that no time passes for it.
struct Sleep {
    host: Rc<TestHost>,
    key: (u64, u64),
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.host.now_ms.get() >= self.key.0 {
            return Poll::Ready(());
        }
        self.host
            .sleepers
            .borrow_mut()
            .insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.host.sleepers.borrow_mut().remove(&self.key);
    }
}

/// The port; the machine itself is shared with the test.
struct HostPort(Rc<TestHost>);

impl Host for HostPort {
    fn now_s(&self) -> u64 {
        EPOCH_S + self.0.now_ms.get() / 1000
    }
    fn now_ms(&self) -> u64 {
        self.0.now_ms.get()
    }
    fn sleep(&self, ms: u64) -> Later<()> {
        let host = Rc::clone(&self.0);
        host.next.set(host.next.get() + 1);
        let key = (host.now_ms.get() + ms, host.next.get());
        Box::pin(Sleep { host, key })
    }
    fn random(&self) -> u64 {
        // splitmix64: the same numbers in every run.
        let seed = self.0.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.random.set(seed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 27)
    }
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.free_bytes.get())
    }
    fn sync_fs(&self, _: &Path) -> Later<io::Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn boot_id(&self) -> String {
        format!("boot-{}", self.0.boot.get())
    }
    fn run(&self, job: Box<dyn FnOnce() + Send>) -> Later<()> {
        Box::pin(async move { job() })
    }
}

/// A device, a runtime, a release key.
pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    pub(super) fake: Fake,
    pub(super) host: Rc<TestHost>,
    pub(super) config: Config,
    pub(super) vfs: Rc<dyn Vfs>,
    pub(super) key: SecretKey,
    /// Whether its agents spool reports without having enrolled.
    pub(super) enrolled: Cell<bool>,
    /// The way to the relay; there is none unless a test puts one there.
    pub(super) dial: Dial,
}

impl Bench {
    pub(super) fn new() -> Self {
        // In memory where there is such a place: what is synced here never meets a power cut.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        Self::within(dir.unwrap())
    }

    /// A bench whose files lie in this folder.
    pub(super) fn within(dir: tempfile::TempDir) -> Self {
        let keys = dir.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let (secret, public) = key::generate(None).unwrap();
        fs::write(keys.join("release.pub"), public).unwrap();
        let config = Config {
            state_dir: dir.path().join("state"),
            keys_dir: keys,
            policy_file: dir.path().join("policy.toml"),
            device_id: Some("test-1".parse().unwrap()),
            ..Config::default()
        };
        let fake = Fake::new();
        fake.set_store(dir.path().join("store"));
        Self {
            fake,
            host: Rc::new(TestHost::new()),
            config,
            vfs: Rc::new(RealVfs),
            enrolled: Cell::new(false),
            dial: Rc::new(|_| Err(RemoteError::Unreachable("there is no relay".into()))),
            key: SecretKey::from_text(&secret, || unreachable!()).unwrap(),
            dir,
        }
    }

    /// A running daemon, come to rest.
    pub(super) fn daemon(&self) -> Agent {
        let agent = self.agent(Mode::Daemon);
        let engine = Rc::clone(&agent.engine);
        agent.run(async move { engine.start().await });
        agent.settle();
        agent
    }

    pub(super) fn agent(&self, mode: Mode) -> Agent {
        self.try_agent(mode)
            .map_err(|failure| failure.message)
            .unwrap()
    }

    pub(super) fn try_agent(&self, mode: Mode) -> Result<Agent, Failure> {
        let executor = Rc::new(LocalExecutor::new());
        let ports = Ports {
            vfs: Rc::clone(&self.vfs),
            host: Rc::new(HostPort(Rc::clone(&self.host))),
            runtime: Rc::new(self.fake.clone()),
            dial: Rc::clone(&self.dial),
        };
        let engine =
            Engine::with_ports(self.config.clone(), mode, Rc::clone(&executor), ports, None)?;
        engine.enrolled.set(self.enrolled.get());
        Ok(Agent {
            engine,
            executor,
            host: Rc::clone(&self.host),
        })
    }

    /// The machine, for those who wait on its clock.
    pub(super) fn machine(&self) -> Rc<dyn Host> {
        Rc::new(HostPort(Rc::clone(&self.host)))
    }

    /// The folder of a volume.
    pub(super) fn volume(&self, name: &str) -> PathBuf {
        let app = AppName::new("shop").unwrap();
        smol::block_on(runtime_shim::Runtime::ensure_volume(&self.fake, &app, name)).unwrap()
    }

    /// Both slots of the state file.
    pub(super) fn slots(&self) -> Vec<Option<Vec<u8>>> {
        let slot = |name| fs::read(self.config.state_dir.join(name)).ok();
        vec![slot("state.a"), slot("state.b")]
    }

    /// Everything below the state folder that is there to stay, with its content.
    pub(super) fn state_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(dir: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, into);
                } else {
                    into.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(&self.config.state_dir, &mut files);
        files
    }

    /// What runs: service and generation of each running container of the device.
    pub(super) fn running(&self) -> BTreeMap<String, u32> {
        let all = self.fake.all_containers();
        let running = all.iter().filter(|c| super::super::ours::is_running(c));
        running
            .map(|c| (service_of(c), super::super::ours::generation_of(c)))
            .collect()
    }
}

fn service_of(container: &Container) -> String {
    container
        .label("coracle.service")
        .unwrap_or(&container.name)
        .to_owned()
}

/// An agent that works.
pub(super) struct Agent {
    pub(super) engine: Rc<Engine>,
    executor: Rc<LocalExecutor<'static>>,
    host: Rc<TestHost>,
}

impl Agent {
    /// Runs until `future` is done; time passes only when nothing else happens.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return done;
            }
            if !self.tick() && future.as_mut().poll(&mut context).is_pending() && !self.tick() {
                assert!(self.host.advance(), "stuck: nobody waits for anything");
            }
        }
    }

    /// Lets something run beside the test.
    pub(super) fn spawn<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> smol::Task<T> {
        self.executor.spawn(future)
    }

    fn tick(&self) -> bool {
        let mut any = false;
        while self.executor.try_tick() {
            any = true;
        }
        any
    }

    /// Runs one task for one step; says whether there was one.
    pub(super) fn single_step(&self) -> bool {
        self.executor.try_tick() || self.host.advance()
    }

    /// Runs whatever can run now, without letting time pass.
    pub(super) fn settle(&self) {
        self.tick();
    }

    /// Lets virtual time pass, doing what falls due.
    pub(super) fn pass_ms(&self, ms: u64) {
        let port = HostPort(Rc::clone(&self.host));
        self.run(port.sleep(ms));
        self.tick();
    }

    pub(super) fn ask(&self, request: Request) -> Result<Reply, Failure> {
        let engine = Rc::clone(&self.engine);
        let answer = self.run(async move { engine.handle(request, &|_| {}).await });
        self.settle();
        answer
    }

    pub(super) fn apply(&self, bundle: &Path) -> Result<AppliedView, Failure> {
        match self.ask(Request::Apply {
            bundle: bundle.to_path_buf(),
        })? {
            Reply::Applied(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }

    /// The exit code of an apply.
    pub(super) fn apply_code(&self, bundle: &Path) -> u8 {
        self.apply(bundle)
            .map_or_else(|failure| failure.code, |_| 0)
    }

    pub(super) fn app(&self, name: &str) -> Option<AppView> {
        match self.ask(Request::Status).unwrap() {
            Reply::Status(status) => status.apps.into_iter().find(|app| app.app == name),
            other => panic!("{other:?}"),
        }
    }

    /// The agent is killed: nothing of it is ever polled again.
    pub(super) fn kill(self) {
        std::mem::forget(self);
    }

    pub(super) fn stop(self) {
        let engine = Rc::clone(&self.engine);
        self.run(async move { engine.shutdown().await });
    }
}

/// A bundle to build.
pub(super) struct Recipe {
    pub(super) manifest: Manifest,
    images: Vec<String>,
    files: Vec<String>,
    layers: Vec<Vec<u8>>,
}

impl Recipe {
    /// An app `shop` with the services `web` and `db`; `web`'s image changes with `seq`.
    pub(super) fn new(seq: u64) -> Self {
        let service = |name: &str, image: u16| {
            let name = ServiceName::new(name).unwrap();
            plain_service(name, ImageId(image))
        };
        Self {
            manifest: Manifest {
                tag: TYPE_TAG,
                app: AppName::new("shop").unwrap(),
                version: VersionLabel::new(&format!("{seq}.0")).unwrap(),
                seq,
                epoch: 0,
                issued_at: EPOCH_S - 1000 + seq,
                not_after: None,
                target: Target {
                    arch: Arch::native().unwrap(),
                    fleet: Label::new("default").unwrap(),
                    classes: vec![],
                    devices: vec![],
                    agent_min: AgentVersion(0, 0, 0),
                },
                keyring_min: 0,
                services: vec![service("web", 0), service("db", 1)],
                volumes: vec![],
                networks: vec!["default".parse().unwrap()],
                files: vec![],
                variables: vec![],
                policy: Policy {
                    trial_s: 30,
                    healthy_within_s: 60,
                    ..Policy::default()
                },
                images: vec![],
                blobs: vec![],
                extensions: vec![],
            },
            images: vec![format!("web {seq}"), "db".to_owned()],
            files: vec![],
            layers: vec![],
        }
    }

    /// A bundle that stops the app.
    pub(super) fn retired(seq: u64) -> Self {
        let mut recipe = Self::new(seq);
        recipe.images.clear();
        recipe.manifest.services.clear();
        recipe.manifest.networks.clear();
        recipe
    }

    pub(super) fn edit(mut self, edit: impl FnOnce(&mut Manifest)) -> Self {
        edit(&mut self.manifest);
        self
    }

    /// Adds a layer below those of `web`: so many bytes that do not compress, the same for the same
    /// `seed`.
    pub(super) fn layer(mut self, seed: u64, bytes: usize) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        self.layers.push((0..bytes).map(|_| next()).collect());
        self
    }

    /// Adds a templated file, mounted into the first service.
    pub(super) fn file(mut self, text: &str) -> Self {
        self.manifest.services[0].files.push(FileMount {
            file: FileId(self.files.len() as u16),
            target: text_of("/etc/shop.conf"),
            mode: 0o440,
            uid: 0,
            gid: 0,
        });
        self.files.push(text.to_owned());
        self
    }

    /// Builds it, signed, into the bench's folder.
    pub(super) fn build(self, bench: &Bench) -> PathBuf {
        self.build_with(bench, &bench.key)
    }

    pub(super) fn build_with(mut self, bench: &Bench, key: &SecretKey) -> PathBuf {
        let spool = tempfile::tempdir().unwrap();
        let mut builder = Builder::new(spool.path());
        let mut add = |content: Vec<u8>| {
            builder
                .add_blob(&mut &content[..], Compression::default(), &mut |_| {})
                .unwrap()
        };
        for image in &self.images {
            let config = add(format!("{{\"config\":\"{image}\"}}").into_bytes());
            let below = std::mem::take(&mut self.layers);
            let mut layers: Vec<_> = below.into_iter().map(&mut add).collect();
            layers.push(add(image.repeat(5000).into_bytes()));
            self.manifest.images.push(Image { config, layers });
        }
        for (i, file) in self.files.iter().enumerate() {
            let content = add(file.clone().into_bytes());
            self.manifest.files.push(File {
                name: text_of(&format!("file {i}")),
                content,
                template: true,
            });
        }
        let path = bench.dir.path().join(format!(
            "{}-{}.bin",
            self.manifest.app, self.manifest.version
        ));
        let mut out = fs::File::create(&path).unwrap();
        builder
            .finish(self.manifest, std::slice::from_ref(key), &mut out)
            .unwrap();
        path
    }
}

pub(super) fn text_of(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// A command as health check, every ten seconds.
pub(super) fn exec_health() -> HealthCheck {
    HealthCheck {
        probe: Probe::Exec(vec![text_of("check")]),
        interval_ms: 10_000,
        timeout_ms: 1_000,
        retries: 2,
        start_period_ms: 0,
    }
}

fn plain_service(name: ServiceName, image: ImageId) -> Service {
    Service {
        network: NetworkMode::Bridge(vec![NetworkAttachment {
            network: "default".parse().unwrap(),
            aliases: vec![],
        }]),
        no_new_privileges: false,
        ..Service::new(name, image)
    }
}
