//! An app of this device: its state, and the ways to its driver.
//!
//! Never steps the state machine: [`super::driver`] does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use agent_core::{AppState, Event, Generation, step};
use bundle::{AppName, Digest, ServiceName, VerifiedBundle};
use relay_api::device::Evidence;
use smol::Task;
use smol::channel::{Receiver, Sender};

use super::Engine;
use super::admit::Offer;
use super::failure;
use super::host::spawn;
use super::supervise::Supervisor;
use crate::api::{AppliedView, Failure, Progress, Step};

/// An app of this device, with its driver.
pub(crate) struct App {
    pub(crate) name: AppName,
    pub(super) state: RefCell<AppState>,
    pub(super) asks: (Sender<Ask>, Receiver<Ask>),
    watchers: RefCell<Vec<Sender<Notice>>>,
    /// Where the bytes of the incoming generation come from.
    pub(crate) offer: RefCell<Option<Rc<Offer>>>,
    pub(crate) supervisor: Rc<Supervisor>,
    /// Why the last effect failed, in words: the record keeps only the kind.
    pub(crate) detail: RefCell<Option<Detail>>,
    /// Which rollout wanted what was offered last, and before it; none: somebody on site did.
    wanted: Cell<[Option<Wanted>; 2]>,
    /// What a generation left behind that is being rolled back.
    pub(super) evidence: RefCell<Option<(Generation, Vec<Evidence>)>>,
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
    pub(super) settings_compared: Cell<bool>,
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
            services: manifest
                .services
                .iter()
                .map(|service| service.name.clone())
                .collect(),
        }
    }
}

/// A bundle, and the rollout that wanted it.
#[derive(Clone, Copy)]
struct Wanted {
    bundle: Digest,
    rollout: Option<u64>,
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
    pub(super) event: Event,
    pub(super) offer: Option<Rc<Offer>>,
    pub(super) answer: Sender<Result<Option<Generation>, Failure>>,
}

/// What those who wait are told.
#[derive(Clone)]
pub(crate) enum Notice {
    Progress(Progress),
    /// An update has ended.
    Ended {
        /// All of it: numbers are used up only by what was staged whole.
        generation: Generation,
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
            wanted: Cell::default(),
            evidence: RefCell::default(),
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

    /// Notes which rollout wants a bundle. Not durable: after a crash nobody knows any longer, and
    /// the relay goes by the bundle.
    pub(super) fn note_wanted(&self, bundle: Digest, rollout: Option<u64>) {
        let [before, _] = self.wanted.get();
        self.wanted.set([Some(Wanted { bundle, rollout }), before]);
    }

    /// The rollout that wanted a bundle, or none if somebody on site did; none at all if this agent
    /// was not asked for it since its start.
    pub(super) fn wanted_by(&self, bundle: &Digest) -> Option<Option<u64>> {
        let wanted = self.wanted.get();
        let mut wanted = wanted.iter().flatten();
        let wanted = wanted.find(|wanted| wanted.bundle == *bundle);
        wanted.map(|wanted| wanted.rollout)
    }

    /// Whether anybody waits for news.
    pub(crate) fn is_watched(&self) -> bool {
        let mut watchers = self.watchers.borrow_mut();
        watchers.retain(|watcher| !watcher.is_closed());
        !watchers.is_empty()
    }

    pub(crate) fn tell(&self, notice: &Notice) {
        self.watchers
            .borrow_mut()
            .retain(|watcher| watcher.try_send(notice.clone()).is_ok());
    }

    pub(crate) fn progress(&self, step: Step, what: &str, done: u64, total: u64) {
        let what = what.to_owned();
        self.tell(&Notice::Progress(Progress {
            step,
            what,
            done,
            total,
        }));
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
            *task = Some(spawn(&engine.executor, driver));
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
        let _ = self.asks.0.try_send(Ask {
            event,
            offer: None,
            answer,
        });
    }

    /// The generation whose end answers a wish that has just been taken.
    pub(super) fn subject(&self, event: Event) -> Option<Generation> {
        let state = self.state.borrow();
        match event {
            Event::RemoveAsked => state.current,
            _ => state.incoming(),
        }
    }

    pub(super) fn set_busy(&self, busy: bool) {
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
    ) -> Result<Option<Generation>, Failure> {
        // Who would have to wait for the end of an update is told at once.
        step(&self.state(), event, 0).map_err(failure::illegal)?;
        self.spawn(engine, None);
        let (answer, answered) = smol::channel::bounded(1);
        let sent = self
            .asks
            .0
            .send(Ask {
                event,
                offer,
                answer,
            })
            .await;
        match (sent, answered.recv().await) {
            (Ok(()), Ok(result)) => result,
            _ => Err(failure::stopped()),
        }
    }
}
