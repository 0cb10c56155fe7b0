//! Drives one app through the state machine: step, make durable, do, answer.
//!
//! One effect at a time for each app. A wish from outside is taken between effects; while a bundle
//! is being staged, or a broken app waits, it may also cut the effect short. Never acts on a state
//! that is not durable.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;

use agent_core::{AppState, Effect, Event, Generation, GenerationId, Illegal, Phase, step};
use bundle::{AppName, Digest, ServiceName, VerifiedBundle};
use smol::Task;
use smol::channel::{Receiver, Sender};
use smol::future::or;

use super::admit::Offer;
use super::failure;
use super::generation::{Loaded, load};
use super::supervise::Supervisor;
use super::trouble::{Doing, LoadError, Trouble};
use super::{Engine, Mode};
use crate::api::{AppliedView, Failure, Progress, Step};
use crate::state::StateError;
use agent_core::retry::full_jitter;

/// The pause before the first new attempt of something that has failed, in milliseconds.
const RETRY_MS: u64 = 1_000;
/// The longest such pause: a quarter of an hour.
const RETRY_MS_MAX: u64 = 900_000;

/// An app of this device, with its driver.
pub(crate) struct App {
    pub(crate) name: AppName,
    state: RefCell<AppState>,
    asks: (Sender<Ask>, Receiver<Ask>),
    watchers: RefCell<Vec<Sender<Notice>>>,
    /// Where the bytes of the incoming generation come from.
    pub(crate) offer: RefCell<Option<Rc<Offer>>>,
    pub(crate) supervisor: Rc<Supervisor>,
    /// Why the last effect failed, in words: the record keeps only the kind.
    pub(crate) detail: RefCell<Option<Detail>>,
    /// Whether the containers of the incoming generation may have been left alone for a while.
    pub(crate) recovering: Cell<bool>,
    /// Whether the device has booted since its containers were last brought up.
    pub(crate) booted: Cell<bool>,
    /// How often bringing up what is committed has failed in a row.
    pub(crate) unreconciled: Cell<Option<u32>>,
    /// How often removing what nobody needs has failed in a row.
    pub(crate) uncollected: Cell<Option<u32>>,
    /// What the bundle that came last calls itself and its services: its head may be gone by the
    /// time that its end is told.
    pub(crate) named: RefCell<Option<Named>>,
    /// Whether this device's settings have been compared with those that run, since the start.
    settings_compared: Cell<bool>,
    task: RefCell<Option<Task<()>>>,
    /// Whether the driver has something to do.
    busy: Cell<bool>,
    rests: (Sender<()>, Receiver<()>),
}

/// The names in a bundle.
pub(crate) struct Named {
    pub(crate) bundle: Digest,
    pub(crate) version: String,
    pub(crate) services: Vec<ServiceName>,
}

impl Named {
    pub(crate) fn new(bundle: &VerifiedBundle) -> Self {
        let manifest = bundle.manifest();
        Self {
            bundle: bundle.digest(),
            version: manifest.version.to_string(),
            services: manifest.services.iter().map(|service| service.name.clone()).collect(),
        }
    }
}

/// What the record does not keep of a failure.
pub(crate) struct Detail {
    /// In words.
    pub(crate) words: String,
    /// The exit code, if it says more than the kind does.
    pub(crate) code: Option<u8>,
}

/// A wish from outside.
pub(crate) struct Ask {
    event: Event,
    offer: Option<Rc<Offer>>,
    answer: Sender<Result<GenerationId, Failure>>,
}

/// What those who wait are told.
#[derive(Clone)]
pub(crate) enum Notice {
    Progress(Progress),
    /// An update has ended.
    Ended {
        generation: GenerationId,
        result: Box<Result<AppliedView, Failure>>,
    },
}

impl App {
    pub(crate) fn new(state: AppState, booted: bool) -> Self {
        Self {
            name: state.name.clone(),
            state: RefCell::new(state),
            asks: smol::channel::bounded(8),
            watchers: RefCell::default(),
            offer: RefCell::default(),
            supervisor: Rc::default(),
            detail: RefCell::default(),
            recovering: Cell::new(false),
            booted: Cell::new(booted),
            unreconciled: Cell::new(None),
            uncollected: Cell::new(None),
            named: RefCell::default(),
            settings_compared: Cell::new(false),
            task: RefCell::default(),
            busy: Cell::new(false),
            rests: smol::channel::bounded(1),
        }
    }

    /// A copy of its state, what is being staged included.
    pub(crate) fn state(&self) -> AppState {
        self.state.borrow().clone()
    }

    /// Everything that is told about this app from now on.
    pub(crate) fn notices(&self) -> Receiver<Notice> {
        let (sender, receiver) = smol::channel::unbounded();
        self.watchers.borrow_mut().push(sender);
        receiver
    }

    /// Whether anybody waits for news.
    pub(crate) fn is_watched(&self) -> bool {
        let mut watchers = self.watchers.borrow_mut();
        watchers.retain(|watcher| !watcher.is_closed());
        !watchers.is_empty()
    }

    pub(crate) fn tell(&self, notice: &Notice) {
        self.watchers.borrow_mut().retain(|watcher| watcher.try_send(notice.clone()).is_ok());
    }

    pub(crate) fn progress(&self, step: Step, what: &str, done: u64, total: u64) {
        let what = what.to_owned();
        self.tell(&Notice::Progress(Progress { step, what, done, total }));
    }

    /// Starts the driver with [`Event::Started`]; one that runs stays.
    pub(crate) fn begin(self: &Rc<Self>, engine: &Rc<Engine>) {
        self.spawn(engine, Some(Event::Started));
    }

    fn spawn(self: &Rc<Self>, engine: &Rc<Engine>, first: Option<Event>) {
        let mut task = self.task.borrow_mut();
        if task.is_none() {
            self.busy.set(true);
            let driver = Rc::clone(engine).drive(Rc::clone(self), first);
            *task = Some(engine.executor.spawn(driver));
        }
    }

    /// Ends the driver wherever it is.
    pub(crate) async fn end(&self) {
        let task = self.task.borrow_mut().take();
        if let Some(task) = task {
            task.cancel().await;
        }
        self.supervisor.stop().await;
    }

    /// Asks without waiting for an answer; forgotten if too many wishes wait already.
    pub(crate) fn suggest(&self, event: Event) {
        let (answer, _) = smol::channel::bounded(1);
        let _ = self.asks.0.try_send(Ask { event, offer: None, answer });
    }

    /// The generation whose end answers a wish that has just been taken.
    fn subject(&self, event: Event) -> GenerationId {
        let state = self.state.borrow();
        let of = match event {
            Event::RemoveAsked => state.current,
            _ => state.incoming(),
        };
        of.map_or(GenerationId(0), |generation| generation.id)
    }

    fn set_busy(&self, busy: bool) {
        self.busy.set(busy);
        if !busy {
            let _ = self.rests.0.try_send(());
        }
    }

    /// Waits until the driver has nothing to do, or only waits for better times.
    pub(crate) async fn at_rest(&self) {
        while self.busy.get() {
            // Closed only together with this app.
            let _ = self.rests.1.recv().await;
        }
    }

    /// Asks for something; answered, with the generation that it is about, once the state machine
    /// has taken or refused it.
    ///
    /// # Errors
    /// [`Failure`], if it makes no sense now or the state cannot be written.
    pub(crate) async fn ask(
        self: &Rc<Self>,
        engine: &Rc<Engine>,
        event: Event,
        offer: Option<Rc<Offer>>,
    ) -> Result<GenerationId, Failure> {
        // Who would have to wait for the end of an update is told at once.
        step(&self.state(), event, 0).map_err(failure::illegal)?;
        self.spawn(engine, None);
        let (answer, answered) = smol::channel::bounded(1);
        let sent = self.asks.0.send(Ask { event, offer, answer }).await;
        match (sent, answered.recv().await) {
            (Ok(()), Ok(result)) => result,
            _ => Err(failure::stopped()),
        }
    }
}

enum Next {
    Answer(Option<Event>),
    Asked(Ask),
}

impl Engine {
    async fn drive(self: Rc<Self>, app: Rc<App>, first: Option<Event>) {
        let mut effects = VecDeque::new();
        if let Some(event) = first {
            app.recovering.set(true);
            effects = self.take(&app, event).await.unwrap_or_default();
        }
        loop {
            let next = match effects.pop_front() {
                Some(effect) => self.carry_out(&app, effect).await,
                None => {
                    app.recovering.set(false);
                    self.rest(&app).await
                }
            };
            match next {
                Next::Answer(None) => {}
                Next::Answer(Some(event)) => {
                    effects.extend(self.take(&app, event).await.unwrap_or_default());
                }
                Next::Asked(ask) => {
                    if let Some(offer) = &ask.offer {
                        app.named.replace(Some(Named::new(offer.source.bundle())));
                    }
                    let before = app.offer.replace(ask.offer.clone());
                    match self.take(&app, ask.event).await {
                        Ok(taken) => {
                            effects = taken;
                            // Who asked may have gone; the wish stands.
                            let _ = ask.answer.try_send(Ok(app.subject(ask.event)));
                        }
                        Err(refused) => {
                            app.offer.replace(before);
                            let _ = ask.answer.try_send(Err(refused));
                        }
                    }
                }
            }
        }
    }

    /// Nothing to do: waits for a wish, or until it is time to reconcile again.
    async fn rest(self: &Rc<Self>, app: &Rc<App>) -> Next {
        let runs = app.state().phase == Phase::Idle && app.unreconciled.get().is_none();
        if self.mode == Mode::Daemon && runs && !app.settings_compared.replace(true) {
            self.offer_new_settings(app);
        }
        app.set_busy(false);
        let asked = async {
            match app.asks.1.recv().await {
                Ok(ask) => Next::Asked(ask),
                // This app holds a sender itself.
                Err(_) => Next::Answer(None),
            }
        };
        let failures = app.unreconciled.get().max(app.uncollected.get());
        let failures = failures.filter(|_| self.mode == Mode::Daemon);
        let next = match failures {
            None => asked.await,
            Some(failures) => {
                let again = async {
                    self.wait_to_retry(failures).await;
                    Next::Answer(None)
                };
                or(asked, again).await
            }
        };
        app.set_busy(true);
        if let (Next::Answer(None), Phase::Idle) = (&next, app.state().phase) {
            if app.unreconciled.get().is_some() {
                self.reconcile(app, app.state().current).await;
            }
            self.collect(app).await;
        }
        next
    }

    async fn wait_to_retry(&self, failures: u32) {
        let wait = full_jitter(failures, RETRY_MS, RETRY_MS_MAX, self.host.random());
        self.host.sleep(RETRY_MS + wait).await;
    }

    /// Carries an effect out. Wishes that make sense cut it short where nothing has been stopped.
    async fn carry_out(self: &Rc<Self>, app: &Rc<App>, effect: Effect) -> Next {
        let phase = app.state().phase;
        let may_be_cut = matches!(
            phase,
            Phase::Staging { .. } | Phase::Staged { .. } | Phase::Broken { .. }
        );
        let mut work = pin!(self.run(app, effect));
        if !may_be_cut {
            return Next::Answer(work.await);
        }
        loop {
            let answer = async { Next::Answer(work.as_mut().await) };
            let asked = async {
                match app.asks.1.recv().await {
                    Ok(ask) => Next::Asked(ask),
                    Err(_) => std::future::pending().await,
                }
            };
            match or(answer, asked).await {
                Next::Asked(ask) => match step(&app.state(), ask.event, 0) {
                    Ok(_) => return Next::Asked(ask),
                    Err(illegal) => {
                        let _ = ask.answer.try_send(Err(failure::illegal(illegal)));
                    }
                },
                answer => return answer,
            }
        }
    }

    /// Steps the machine and makes the new state durable; the effects may then begin.
    async fn take(self: &Rc<Self>, app: &Rc<App>, event: Event) -> Result<VecDeque<Effect>, Failure> {
        let before = app.state();
        let (next, effects) = match step(&before, event, self.host.now_s()) {
            Ok(stepped) => stepped,
            Err(illegal) => {
                if illegal == Illegal::OutOfTurn {
                    log::error!("app={} cause={illegal}", app.name);
                }
                return Err(failure::illegal(illegal));
            }
        };
        if let Err(error) = self.persist(&before, &next) {
            let failed = failure::state(&error, &self.config.state_dir);
            log::error!("app={} phase={} cause={error}", app.name, phase_name(&before.phase));
            self.give_up(app, &before, &failed).await;
            return Err(failed);
        }
        if before.phase != next.phase {
            log_transition(&app.name, &next);
        }
        if !matches!(next.phase, Phase::Staging { .. }) {
            // The bundle's file is needed for staging only; a stick may be pulled from here on.
            app.offer.replace(None);
        }
        *app.state.borrow_mut() = next;
        Ok(effects.into())
    }

    /// A state that cannot be made durable: whoever waits is told, what was staged is dropped if
    /// it can be, everything else stays as it is until the next start.
    async fn give_up(self: &Rc<Self>, app: &Rc<App>, before: &AppState, failed: &Failure) {
        let Some(incoming) = before.incoming() else {
            return;
        };
        app.tell(&Notice::Ended {
            generation: incoming.id,
            result: Box::new(Err(failed.clone())),
        });
        if let Phase::Staging { .. } = before.phase {
            *app.state.borrow_mut() = before.durable();
            self.discard(app, incoming).await;
        }
    }

    /// Makes a state durable. A commit moves the clock's floor to the bundle's issue time.
    fn persist(&self, before: &AppState, next: &AppState) -> Result<(), StateError> {
        let mut state = self.state.borrow_mut();
        let mut record = state.record().clone();
        let durable = next.durable();
        let never_had = AppState::new(next.name.clone());
        if record.app(&next.name).unwrap_or(&never_had) != &durable {
            record.set(durable).map_err(|_| StateError::TooManyApps)?;
        }
        if let Some(current) = next.current.filter(|_| before.current != next.current)
            && let Ok(committed) = self.load(current)
        {
            record.clock_floor = record.clock_floor.max(committed.manifest().issued_at);
        }
        state.commit(record)
    }

    /// Takes a generation from the disk.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn load(&self, generation: Generation) -> Result<Rc<Loaded>, LoadError> {
        let trust = bundle::TrustStore::load(&self.config.keys_dir).map_err(LoadError::Trust)?;
        load(&self.objects, &trust, generation).map(Rc::new)
    }

    async fn run(self: &Rc<Self>, app: &Rc<App>, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Stage(incoming) => Some(match self.stage(app, incoming).await {
                Ok(()) => Event::StageDone,
                Err(trouble) => Event::StageFailed(note(app, &trouble, Doing::Stage)),
            }),
            Effect::Discard(incoming) => {
                self.discard(app, incoming).await;
                None
            }
            // Locks and windows come with their own issues.
            Effect::AwaitClearance => Some(Event::Cleared),
            Effect::Switch { from, to } => Some(match self.switch(app, from, to).await {
                Ok(()) => Event::SwitchDone,
                Err(trouble) => Event::SwitchFailed(note(app, &trouble, Doing::Switch)),
            }),
            Effect::Try(incoming) => Some(match self.try_out(app, incoming).await {
                Ok(()) => Event::TrialPassed,
                Err(cause) => Event::TrialFailed(cause),
            }),
            Effect::Restore { failed, to } => Some(match self.restore(app, failed, to).await {
                Ok(()) => Event::RestoreDone,
                Err(trouble) => {
                    log::error!("app={} phase=restoring cause={trouble}", app.name);
                    Event::RestoreFailed(trouble.cause(Doing::Restore))
                }
            }),
            Effect::RetryLater { attempts } => {
                // Nobody should wait for the end of this.
                app.set_busy(false);
                self.wait_to_retry(u32::from(attempts)).await;
                app.set_busy(true);
                Some(Event::RetryDue)
            }
            Effect::Reconcile(current) => {
                self.reconcile(app, current).await;
                None
            }
            Effect::RemoveAll => {
                self.remove_all(app).await;
                Some(Event::RemoveDone)
            }
            Effect::Collect => {
                self.collect(app).await;
                None
            }
            Effect::Report(outcome) => {
                self.report(app, outcome);
                None
            }
        }
    }
}

/// Keeps the words of a failure for whoever asked, and gives the kind for the record.
pub(crate) fn note(app: &App, trouble: &Trouble, doing: Doing) -> agent_core::Cause {
    log::error!("app={} phase={doing:?} cause={trouble}", app.name);
    app.detail.replace(Some(Detail {
        words: trouble.to_string(),
        code: failure::special_code(trouble),
    }));
    trouble.cause(doing)
}

fn log_transition(app: &AppName, state: &AppState) {
    let phase = phase_name(&state.phase);
    match state.phase {
        Phase::Idle => match state.current {
            Some(current) => log::info!("app={app} generation={} phase={phase}", current.id),
            None => log::info!("app={app} phase={phase}"),
        },
        Phase::RollingBack { failed, cause, .. } | Phase::Broken { failed, cause } => {
            log::warn!("app={app} generation={} phase={phase} cause={cause:?}", failed.id);
        }
        _ => match state.incoming() {
            Some(incoming) => log::info!("app={app} generation={} phase={phase}", incoming.id),
            None => log::info!("app={app} phase={phase}"),
        },
    }
}

pub(crate) fn phase_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Idle => "idle",
        Phase::Staging { .. } => "staging",
        Phase::Staged { .. } => "staged",
        Phase::Switching { .. } => "switching",
        Phase::Trial { .. } => "trial",
        Phase::RollingBack { .. } => "rolling_back",
        Phase::Broken { .. } => "broken",
        Phase::Removing => "removing",
    }
}
