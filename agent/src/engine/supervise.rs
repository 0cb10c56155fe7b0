//! Watches the containers of an app: waits for their ends, starts them again, probes them.
//!
//! Nothing here wakes up without cause: a wait ends when a process does, a probe has its
//! interval. Never stops a container, and leaves all of them running when it is dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use agent_core::retry::full_jitter;
use agent_core::supervise::{RestartDecision, failures_after, on_exit};
use agent_core::trial::{Health, Observation};
use bundle::ServiceName;
use relay_api::device::{Event, ServiceState};
use runtime_shim::{ContainerId, ExitStatus, RuntimeError};
use smol::channel::Sender;
use smol::{Task, lock};

use super::Engine;
use super::generation::Loaded;
use super::host::spawn;
use super::ours::{find, is_running};
use super::probe::ProbeFailure;
use super::reports::Allowances;
use super::trouble::Trouble;

/// The wait before a runtime that did not answer is asked again, in milliseconds.
pub(crate) const RETRY_MS: u64 = 500;
/// The longest such wait.
pub(crate) const RETRY_MS_MAX: u64 = 60_000;

/// What is known of a service that is being watched.
pub(crate) struct Watched {
    /// Its place in the manifest.
    pub(crate) place: usize,
    /// Its container.
    pub(crate) container: RefCell<ContainerId>,
    /// How often it was started again after it had exited.
    pub(crate) restarts: Cell<u32>,
    /// Whether its health check passes.
    pub(crate) healthy: Cell<Option<bool>>,
    /// Why its last health check failed, if it did.
    pub(crate) ill: RefCell<Option<ProbeFailure>>,
    /// Whether it waits to be started again.
    pub(crate) restarting: Cell<bool>,
    /// Whether it has ended for good, as its policy says.
    ended: Cell<bool>,
    failures: Cell<u32>,
    started_ms: Cell<u64>,
    /// Whether it ran when watching began, or was started since: an end that came before was
    /// told then, or nobody saw it.
    ran: Cell<bool>,
    /// Whether the relay was told last that it is ill.
    told_ill: Cell<bool>,
    /// Wakes the probe after a start.
    starts: (Sender<()>, smol::channel::Receiver<()>),
}

impl Watched {
    /// The state of its container, as far as it is known without asking the runtime.
    pub(crate) fn state(&self) -> ServiceState {
        if self.restarting.get() {
            ServiceState::Restarting
        } else if self.ended.get() {
            ServiceState::Exited
        } else {
            ServiceState::Running
        }
    }
}

/// The supervision of an app.
#[derive(Default)]
pub(crate) struct Supervisor {
    watched: RefCell<Vec<Rc<Watched>>>,
    tasks: RefCell<Vec<Task<()>>>,
    /// Held while a container is being started, so that nobody stops supervision in the middle
    /// and then has an old container come up again.
    gate: Rc<lock::Mutex<()>>,
    listener: Rc<RefCell<Option<Sender<Observation>>>>,
    allowances: Rc<Allowances>,
}

impl Supervisor {
    /// What is known of the service that this container runs.
    pub(crate) fn find(&self, id: &ContainerId) -> Option<Rc<Watched>> {
        let watched = self.watched.borrow();
        watched
            .iter()
            .find(|w| *w.container.borrow() == *id)
            .cloned()
    }

    /// What is known of the service at this place.
    pub(crate) fn at(&self, place: usize) -> Option<Rc<Watched>> {
        self.watched
            .borrow()
            .iter()
            .find(|w| w.place == place)
            .cloned()
    }

    /// Sends what is seen from now on to `listener`, or to nobody.
    pub(crate) fn listen(&self, listener: Option<Sender<Observation>>) {
        *self.listener.borrow_mut() = listener;
    }

    /// Ends supervision; the containers go on.
    pub(crate) async fn stop(&self) {
        let _nobody_starts = self.gate.lock().await;
        self.tasks.borrow_mut().clear();
    }
}

impl Engine {
    /// Watches the containers of a generation, in the place of what was watched before. Counts of
    /// restarts and health are kept for containers that stay.
    ///
    /// # Errors
    /// [`Trouble`], if the runtime does not tell which containers there are.
    pub(crate) async fn watch(
        self: &Rc<Self>,
        supervisor: &Rc<Supervisor>,
        target: &Rc<Loaded>,
    ) -> Result<(), Trouble> {
        supervisor.stop().await;
        let containers = self.ours(&target.app.app).await?;
        let mut watched = Vec::new();
        let mut tasks = Vec::new();
        for (place, service) in target.services() {
            let Some(container) = find(&containers, service) else {
                continue;
            };
            let before = supervisor.find(&container.id);
            let keep = |get: fn(&Watched) -> u32| before.as_deref().map_or(0, get);
            let one = Rc::new(Watched {
                place,
                container: RefCell::new(container.id.clone()),
                restarts: Cell::new(keep(|w| w.restarts.get())),
                healthy: Cell::new(before.as_ref().and_then(|w| w.healthy.get())),
                ill: RefCell::default(),
                restarting: Cell::new(false),
                ended: Cell::new(false),
                failures: Cell::new(keep(|w| w.failures.get())),
                started_ms: Cell::new(
                    before
                        .as_ref()
                        .map_or(self.host.now_ms(), |w| w.started_ms.get()),
                ),
                ran: Cell::new(is_running(container)),
                told_ill: Cell::new(before.as_ref().is_some_and(|w| w.told_ill.get())),
                starts: smol::channel::bounded(1),
            });
            watched.push(Rc::clone(&one));
            let watch = Watch {
                engine: Rc::clone(self),
                target: Rc::clone(target),
                one,
                gate: Rc::clone(&supervisor.gate),
                listener: Rc::clone(&supervisor.listener),
                allowances: Rc::clone(&supervisor.allowances),
            };
            if service.service.health.is_some() {
                tasks.push(spawn(&self.executor, watch.clone().probe()));
            }
            tasks.push(spawn(&self.executor, watch.wait()));
        }
        *supervisor.watched.borrow_mut() = watched;
        *supervisor.tasks.borrow_mut() = tasks;
        Ok(())
    }
}

#[derive(Clone)]
struct Watch {
    engine: Rc<Engine>,
    target: Rc<Loaded>,
    one: Rc<Watched>,
    gate: Rc<lock::Mutex<()>>,
    listener: Rc<RefCell<Option<Sender<Observation>>>>,
    allowances: Rc<Allowances>,
}

impl Watch {
    fn tell(&self, observation: Observation) {
        if let Some(listener) = &*self.listener.borrow() {
            // The trial may have just ended.
            let _ = listener.try_send(observation);
        }
    }

    fn service(&self) -> u8 {
        u8::try_from(self.one.place).unwrap_or(u8::MAX)
    }

    /// Reports that the container ended by itself.
    fn report_exit(&self, service: &ServiceName, status: ExitStatus) {
        if self.one.ran.replace(false) {
            self.report(service, |service, generation| Event::Exited {
                service,
                generation,
                exit_code: status.code,
                oom_killed: status.oom_killed,
            });
        }
    }

    /// Reports that the service became ill, or well again. What was not told for want of an
    /// allowance is told by a later probe, if it is still so.
    fn report_health(&self, service: &ServiceName, healthy: Option<bool>) {
        let Some(healthy) = healthy.filter(|healthy| *healthy == self.one.told_ill.get()) else {
            return;
        };
        let told = self.report(service, |service, generation| Event::Health {
            service,
            generation,
            healthy,
        });
        if told {
            self.one.told_ill.set(!healthy);
        }
    }

    /// Puts an event into the spool; says whether it did. What happens in a trial is left out: the
    /// report of the update's end has it.
    fn report(&self, service: &ServiceName, event: impl FnOnce(ServiceName, u32) -> Event) -> bool {
        if self.listener.borrow().is_some() {
            return false;
        }
        let event = event(service.clone(), self.target.generation.id.0);
        let app = &self.target.app.app;
        self.engine
            .spool_event(&self.allowances, app, service, event)
    }

    /// Waits for the container's ends, and starts it again as its policy says.
    async fn wait(self) {
        let Some(service) = self.target.app.services.get(self.one.place) else {
            return;
        };
        let (app, name) = (&self.target.app.app, &service.service.name);
        self.tell(Observation::Started {
            service: self.service(),
        });
        let mut unanswered = 0;
        loop {
            let id = self.one.container.borrow().clone();
            let status = match self.engine.runtime.wait(&id).await {
                Ok(status) => {
                    log::warn!(
                        "app={app} service={name} phase=exited code={} oom_killed={}",
                        status.code,
                        status.oom_killed
                    );
                    status
                }
                // Somebody removed it: that is an end too.
                Err(RuntimeError::NotFound) => {
                    log::warn!(
                        "app={app} service={name} phase=exited cause=removed by somebody else"
                    );
                    ExitStatus {
                        code: -1,
                        oom_killed: false,
                    }
                }
                Err(error) => {
                    log::debug!("app={app} service={name} phase=waiting cause={error}");
                    self.engine.pause(&mut unanswered).await;
                    continue;
                }
            };
            unanswered = 0;
            let code = status.code;
            self.report_exit(name, status);
            self.one.healthy.set(None);
            self.tell(Observation::Exited {
                service: self.service(),
                code,
            });
            let ran_ms = self
                .engine
                .host
                .now_ms()
                .saturating_sub(self.one.started_ms.get());
            let (before, random) = (self.one.failures.get(), self.engine.host.random());
            self.one.failures.set(failures_after(before, ran_ms));
            let RestartDecision::After { ms } =
                on_exit(service.service.restart, before, code, ran_ms, random)
            else {
                log::info!("app={app} service={name} phase=ended code={code}");
                self.one.ended.set(true);
                return;
            };
            self.one.restarting.set(true);
            log::info!("app={app} service={name} phase=restarting after_ms={ms}");
            self.engine.host.sleep(ms).await;
            while let Err(trouble) = self.start().await {
                log::warn!("app={app} service={name} phase=restarting cause={trouble}");
                self.engine.pause(&mut unanswered).await;
            }
            unanswered = 0;
            self.one.restarting.set(false);
            self.one
                .restarts
                .set(self.one.restarts.get().saturating_add(1));
            self.tell(Observation::Started {
                service: self.service(),
            });
            let _ = self.one.starts.0.try_send(());
        }
    }

    /// Starts the container, or a new one if it is gone.
    async fn start(&self) -> Result<(), Trouble> {
        let _gate = self.gate.lock().await;
        let id = self.one.container.borrow().clone();
        self.one.started_ms.set(self.engine.host.now_ms());
        self.one.ran.set(true);
        match self.engine.runtime.start(&id).await {
            Err(RuntimeError::NotFound) => {
                let id = self
                    .engine
                    .create_service(&self.target, self.one.place)
                    .await?;
                *self.one.container.borrow_mut() = id.clone();
                self.engine.runtime.start(&id).await
            }
            other => other,
        }
        .map_err(Trouble::runtime("start it again"))
    }

    /// Runs the health check at its interval, while the container runs.
    async fn probe(self) {
        let Some(service) = self.target.app.services.get(self.one.place) else {
            return;
        };
        let Some(check) = &service.service.health else {
            return;
        };
        let host = &self.engine.host;
        let mut health = Health::new(check, host.now_ms());
        health.started(host.now_ms());
        while !self.one.ended.get() {
            let id = self.one.container.borrow().clone();
            if !self.one.restarting.get() {
                let result = self.engine.probe(&service.service, check, &id).await;
                let passed = result.is_ok();
                *self.one.ill.borrow_mut() = result.err();
                health.probed(passed, host.now_ms());
                let was = self.one.healthy.replace(health.healthy());
                if was != health.healthy() {
                    log::info!(
                        "app={} service={} healthy={:?}",
                        self.target.app.app,
                        service.service.name,
                        health.healthy()
                    );
                }
                self.report_health(&service.service.name, health.healthy());
                self.tell(Observation::Probe {
                    service: self.service(),
                    passed,
                });
            }
            let interval = async {
                host.sleep(health.wait_ms(host.now_ms())).await;
                false
            };
            let started = async { self.one.starts.1.recv().await.is_ok() };
            if smol::future::or(started, interval).await {
                health = Health::new(check, host.now_ms());
                health.started(host.now_ms());
            }
        }
    }
}

impl Engine {
    /// Waits before a runtime that did not answer is asked again, ever longer.
    pub(crate) async fn pause(&self, attempts: &mut u32) {
        let wait = full_jitter(
            *attempts,
            RETRY_MS,
            RETRY_MS_MAX - RETRY_MS,
            self.host.random(),
        );
        *attempts = attempts.saturating_add(1);
        self.host.sleep(RETRY_MS + wait).await;
    }
}
