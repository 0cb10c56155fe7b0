//! From a path to an offer: everything that may refuse a bundle, before anything changes.
//!
//! In the order in which a device asks: is it a bundle that somebody trusted has signed, is it for
//! this device, does it move forward, do the settings fit, is every byte there, is there space,
//! does the runtime answer. Never writes anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use agent_core::admit::{self, Admitted, Clock, Device, LocalPolicy};
use agent_core::plan::Plan;
use agent_core::resolve::ResolvedApp;
use agent_core::{AppState, Generation, GenerationId};
use bundle::manifest::AgentVersion;
use bundle::{AppName, Arch, Depth, Manifest, TrustStore, Values, VerifiedBundle};

use super::Engine;
use super::desired::Rest;
use super::failure;
use super::generation::{resolve_fetched, resolve_source};
use super::host::{blocking, blocking_with_progress};
use super::source::Source;
use super::trouble::Trouble;
use crate::api::{Failure, Progress, Step, Update};

/// Space that is left for others on each file system: logs, other apps, the system itself.
const RESERVE_BYTES: u64 = 16 << 20;

/// A bundle that may become the next generation.
pub(crate) struct Offer {
    /// Where its bytes come from.
    pub(crate) source: Arc<Source>,
    /// This device's values of its variables.
    pub(crate) values: Values,
    /// Its content; the number is given by the state machine.
    pub(crate) generation: Generation,
    /// What would change.
    pub(crate) plan: Plan,
    /// Bytes that copies of volumes would take.
    pub(crate) copy_bytes: u64,
    /// The rollout that wants it; none if somebody on site does.
    pub(crate) rollout: Option<u64>,
    /// Where what was not fetched can be fetched; none if the source has everything.
    pub(crate) rest: Option<Rest>,
}

/// Why a bundle does not become an offer.
pub(crate) struct Rejected {
    pub(crate) failure: Failure,
    /// Its verified head, if it has one.
    pub(crate) bundle: Option<Arc<VerifiedBundle>>,
}

impl From<Failure> for Rejected {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            bundle: None,
        }
    }
}

impl Engine {
    /// Whether the bundle at this path may be installed.
    ///
    /// # Errors
    /// [`Rejected`].
    pub(crate) async fn admit(
        self: &Rc<Self>,
        path: &Path,
        updates: &dyn Fn(Update),
    ) -> Result<Offer, Rejected> {
        let source = self.open_source(path).await?;
        let bundle = source.shared_bundle();
        let manifest = bundle.manifest();
        let known = |failure| Rejected {
            failure,
            bundle: Some(Arc::clone(&bundle)),
        };
        let (values, generation, admitted) = self.examine(&bundle).map_err(known)?;
        // Before it is called current, too: whoever brings a damaged copy should know.
        self.verify_payload(&source, updates).await.map_err(known)?;
        is_new(manifest, admitted).map_err(known)?;
        self.offer(source, values, generation).await.map_err(known)
    }

    /// The offer of a bundle that was examined, and of which everything is at hand.
    ///
    /// # Errors
    /// [`Failure`]: the runtime does not answer, or there is no space.
    pub(crate) async fn offer(
        &self,
        source: Arc<Source>,
        values: Values,
        generation: Generation,
    ) -> Result<Offer, Failure> {
        // The runtime is asked what it has: it has to answer from here on.
        self.reachable().await?;
        let planned = self.plan_for(&source, &values).await;
        let (plan, copy_bytes) = planned.map_err(|trouble| failure::trouble(&trouble))?;
        self.check_space(plan.needs.peak_disk_bytes, copy_bytes)
            .await?;
        Ok(Offer {
            source,
            values,
            generation,
            plan,
            copy_bytes,
            rollout: None,
            rest: None,
        })
    }

    /// Opens a bundle and verifies its head.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn open_source(&self, path: &Path) -> Result<Arc<Source>, Failure> {
        let trust = TrustStore::load(&self.config.keys_dir).map_err(|e| failure::trust(&e))?;
        let owned = path.to_path_buf();
        let opened = blocking(&*self.host, move || Source::open(&owned, &trust)).await;
        let opened = opened.map_err(|e| failure::io("the bundle", &e))?;
        opened
            .map(Arc::new)
            .map_err(|refused| failure::refused_at(path, &refused))
    }

    /// Everything that the signed head alone decides.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn examine(
        &self,
        bundle: &VerifiedBundle,
    ) -> Result<(Values, Generation, Admitted), Failure> {
        let manifest = bundle.manifest();
        self.check_target(manifest)?;
        let policy = self.local_policy()?;
        admit::policy(manifest, &policy).map_err(|e| failure::not_admitted(&e))?;
        manifest
            .services
            .iter()
            .try_for_each(|service| self.check_binds(service))?;
        let values = self.values_for(manifest)?;
        let generation = Generation {
            id: GenerationId(0),
            seq: manifest.seq,
            epoch: manifest.epoch,
            bundle: bundle.digest(),
            variables: values.digest(),
        };
        let never_had = AppState::new(manifest.app.clone());
        let state = self
            .apps
            .borrow()
            .get(&manifest.app)
            .map_or(never_had, |app| app.state());
        let admitted =
            admit::sequence(&state, &generation).map_err(|e| failure::not_admitted(&e))?;
        Ok((values, generation, admitted))
    }

    /// Whether a bundle is for this device, and has not certainly expired.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn check_target(&self, manifest: &Manifest) -> Result<(), Failure> {
        let device = this_device(&self.config, &self.device)?;
        admit::target(manifest, &device).map_err(|e| failure::not_admitted(&e))?;
        admit::expiry(manifest, self.clock()).map_err(|e| failure::not_admitted(&e))
    }

    /// What is certain about the time.
    pub(crate) fn clock(&self) -> Clock {
        let (mut time_floor, now_ms) = (self.time_floor.get(), self.host.now_ms());
        time_floor.raise(self.state.borrow().record().clock_floor, now_ms);
        self.time_floor.set(time_floor);
        time_floor.clock(now_ms)
    }

    pub(crate) fn local_policy(&self) -> Result<LocalPolicy, Failure> {
        let path = &self.config.policy_file;
        match fs::read_to_string(path) {
            Ok(text) => {
                basic_toml::from_str(&text).map_err(|e| failure::policy(path, &e.to_string()))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(LocalPolicy::default()),
            Err(e) => Err(failure::policy(path, &e.to_string())),
        }
    }

    /// This device's values of an app's variables.
    ///
    /// # Errors
    /// [`Failure`] if they do not fit the schema.
    pub(crate) fn values_for(&self, manifest: &Manifest) -> Result<Values, Failure> {
        let app = manifest.app.as_str();
        let none = BTreeMap::new();
        let own = self.config.variables.get(app).unwrap_or(&none);
        let relay = self.link.values(manifest);
        Values::resolve(&manifest.variables, own, &relay).map_err(|e| failure::values(app, &e))
    }

    async fn verify_payload(
        &self,
        source: &Arc<Source>,
        updates: &dyn Fn(Update),
    ) -> Result<(), Failure> {
        let bundle = source.bundle();
        let (total, what) = (
            bundle.file_bytes() - bundle.payload_offset(),
            bundle.manifest().app.to_string(),
        );
        let show = |done| {
            let what = what.clone();
            updates(Update::Progress(Progress {
                step: Step::Verify,
                what,
                done,
                total,
            }));
        };
        show(0);
        let shared = Arc::clone(source);
        let job = move |progress: &mut dyn FnMut(u64)| {
            bundle::verify_payload(shared.bundle(), &**shared.file(), Depth::Stored, progress)
        };
        let verified = blocking_with_progress(&*self.host, job, &show).await;
        verified
            .map_err(|e| failure::io("the bundle", &e))?
            .map_err(|e| failure::refused(&e))
    }

    /// What installing a bundle would change, and the bytes that copies of volumes would take.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn plan_for(
        &self,
        source: &Arc<Source>,
        values: &Values,
    ) -> Result<(Plan, u64), Trouble> {
        let manifest = source.bundle().manifest();
        let next: ResolvedApp = if source.is_whole() {
            // From a stick, perhaps a slow one.
            let (shared, given) = (Arc::clone(source), values.clone());
            let next = blocking(&*self.host, move || resolve_source(&shared, &given)).await;
            next.map_err(Trouble::file("the bundle"))??
        } else {
            resolve_fetched(source, values, &self.objects)?
        };
        let there = self.there(manifest).await?;
        let running = self.running(&manifest.app);
        let running = running.as_ref().map(|running| &running.app);
        let copied = match running {
            Some(_) => {
                self.copy_bytes(&manifest.app, &manifest.policy.restore_on_rollback)
                    .await?
            }
            None => 0,
        };
        Ok((
            Plan::new(running, &next, &|digest| there.contains(digest), manifest),
            copied,
        ))
    }

    /// The committed generation of an app, if there is one that can be verified.
    pub(crate) fn running(&self, app: &AppName) -> Option<Rc<super::generation::Loaded>> {
        let app = self.apps.borrow().get(app).cloned()?;
        self.load_if_trusted(&app, app.state().current?)
    }

    /// Whether so much fits into the runtime's store, and so much into the state folder; together,
    /// where both lie on one file system.
    ///
    /// # Errors
    /// [`Failure`] if not, or if the runtime does not answer.
    pub(crate) async fn check_space(
        &self,
        store_bytes: u64,
        state_bytes: u64,
    ) -> Result<(), Failure> {
        let info = self
            .runtime_info()
            .await
            .map_err(|t| failure::trouble(&t))?;
        let (store, state_dir) = (info.store.as_path(), self.config.state_dir.as_path());
        let both = store_bytes.saturating_add(state_bytes);
        let places = if on_one_file_system(store, state_dir) {
            vec![(state_dir, both)]
        } else {
            vec![(store, store_bytes), (state_dir, state_bytes)]
        };
        for (place, bytes) in places {
            let needed = bytes.saturating_add(RESERVE_BYTES);
            // A store that cannot be seen from here is the runtime's to complain about.
            if let Ok(free) = self.host.free_bytes(place)
                && free < needed
            {
                return Err(failure::no_space(place, needed, free));
            }
        }
        Ok(())
    }
}

/// Whether both paths are there and lie on the same file system.
fn on_one_file_system(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path| fs::metadata(path).map(|found| found.dev()).ok();
    device(a).is_some_and(|a| device(b) == Some(a))
}

/// Whether there is anything to do.
///
/// # Errors
/// [`Failure`] if it runs already, or is being installed.
pub(crate) fn is_new(manifest: &Manifest, admitted: Admitted) -> Result<(), Failure> {
    let (app, version) = (manifest.app.as_str(), manifest.version.as_str());
    match admitted {
        Admitted::New => Ok(()),
        Admitted::AlreadyCurrent => Err(failure::already_current(app, version)),
        Admitted::UnderWay => Err(failure::under_way(app)),
    }
}

/// What this device is, as far as bundles ask.
///
/// # Errors
/// [`Failure`] if no bundle can be for such a machine.
pub(crate) fn this_device(
    config: &crate::config::Config,
    id: &bundle::DeviceId,
) -> Result<Device, Failure> {
    Ok(Device {
        arch: Arch::native().ok_or_else(failure::no_arch)?,
        fleet: config.fleet.clone(),
        class: config.device_class.clone(),
        id: id.clone(),
        agent: agent_version(),
        keyring: 0,
    })
}

/// The version of this agent.
pub(crate) fn agent_version() -> AgentVersion {
    let part = |text: &str| text.parse().unwrap_or(0);
    AgentVersion(
        part(env!("CARGO_PKG_VERSION_MAJOR")),
        part(env!("CARGO_PKG_VERSION_MINOR")),
        part(env!("CARGO_PKG_VERSION_PATCH")),
    )
}

/// When this agent was built, if the build said so: seconds since 1970-01-01 UTC.
pub(crate) fn build_time() -> u64 {
    option_env!("SOURCE_DATE_EPOCH")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
