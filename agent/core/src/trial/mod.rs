//! Did the new generation start well? Judged from what the driver has seen.
//!
//! Never probes and never reads a clock: observations come in with their time, and
//! [`Verdict::Wait`] says when to ask again.

mod health;
#[cfg(test)]
mod tests;

pub use health::Health;

use alloc::vec::Vec;

use bundle::manifest::{Policy, Restart};

use crate::app::Cause;
use crate::resolve::ResolvedService;

/// Something that was seen of a service. `service` is its place in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Its container runs: seen at the start of the trial, or started since.
    Started {
        /// Which.
        service: u8,
    },
    /// Its container has exited by itself.
    Exited {
        /// Which.
        service: u8,
        /// Its exit code.
        code: i32,
    },
    /// A health check of it has ended.
    Probe {
        /// Which.
        service: u8,
        /// Whether it went well.
        passed: bool,
    },
}

/// How a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided: ask again at this time, and after each observation before.
    Wait {
        /// Milliseconds of the driver's clock.
        until_ms: u64,
    },
    /// It went well.
    Pass,
    /// It did not.
    Fail(Cause),
}

/// A trial under way. Times are milliseconds of one clock that never goes back.
#[derive(Clone, Debug)]
pub struct Trial {
    trial_ms: u64,
    healthy_within_ms: u64,
    restarts_max: u8,
    opened_ms: u64,
    began_ms: Option<u64>,
    services: Vec<Watched>,
    failed: Option<Cause>,
}

#[derive(Clone, Debug)]
struct Watched {
    restart: Restart,
    status: Status,
    failures: u32,
    health: Option<Health>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    NotStarted,
    Running,
    /// Exited, and to be started again.
    Down {
        code: i32,
    },
    /// Ended with code 0, as its restart policy allows.
    Done,
}

impl Trial {
    /// A trial of these services that opens now. It begins once all of them have started.
    pub fn new(policy: &Policy, services: &[ResolvedService], now_ms: u64) -> Self {
        let watched = services.iter().map(|resolved| Watched {
            restart: resolved.service.restart,
            status: Status::NotStarted,
            failures: 0,
            health: resolved
                .service
                .health
                .as_ref()
                .map(|check| Health::new(check, now_ms)),
        });
        let trial_ms = u64::from(policy.trial_s) * 1000;
        Self {
            trial_ms,
            healthy_within_ms: (u64::from(policy.healthy_within_s) * 1000).max(trial_ms),
            restarts_max: policy.restarts_max,
            opened_ms: now_ms,
            began_ms: services.is_empty().then_some(now_ms),
            services: watched.collect(),
            failed: None,
        }
    }

    /// Takes in what was seen. The first failure stands: later observations do not undo it.
    pub fn observe(&mut self, observation: Observation, now_ms: u64) {
        let (Observation::Started { service }
        | Observation::Exited { service, .. }
        | Observation::Probe { service, .. }) = observation;
        let Some(watched) = self.services.get_mut(usize::from(service)) else {
            return;
        };
        let cause =
            match observation {
                Observation::Started { .. } => {
                    watched.started(now_ms);
                    None
                }
                Observation::Exited { code, .. } => watched
                    .exited(code, self.restarts_max)
                    .then_some(Cause::Crashed {
                        service,
                        exit_code: code,
                    }),
                Observation::Probe { passed, .. } => watched
                    .probed(passed, now_ms)
                    .then_some(Cause::Unhealthy { service }),
            };
        self.failed = self.failed.or(cause);
        let waits = |watched: &Watched| watched.status == Status::NotStarted;
        if self.began_ms.is_none() && !self.services.iter().any(waits) {
            self.began_ms = Some(now_ms);
        }
    }

    /// How the trial stands now.
    ///
    /// It passes once `trial_s` is over and every service runs, or is done, and is healthy. It
    /// fails as soon as a service exits once too often or turns unhealthy, and when
    /// `healthy_within_s` has passed without all being well: since the beginning, or since the
    /// opening if it has not begun. On the very edge, being well wins.
    pub fn verdict(&self, now_ms: u64) -> Verdict {
        if let Some(cause) = self.failed {
            return Verdict::Fail(cause);
        }
        let ill = self.services.iter().position(|watched| !watched.is_well());
        let began_ms = self.began_ms.unwrap_or(self.opened_ms);
        let pass_ms = began_ms.saturating_add(self.trial_ms);
        let deadline_ms = began_ms.saturating_add(self.healthy_within_ms);
        match ill {
            None if self.services.is_empty() || now_ms >= pass_ms => Verdict::Pass,
            Some(at) if now_ms >= deadline_ms => Verdict::Fail(self.services[at].cause(at)),
            None => Verdict::Wait { until_ms: pass_ms },
            Some(_) => Verdict::Wait {
                until_ms: deadline_ms,
            },
        }
    }

    /// Whether a service is healthy: none if it has no health check or is still starting.
    pub fn healthy(&self, service: usize) -> Option<bool> {
        self.services.get(service)?.health.as_ref()?.healthy()
    }
}

impl Watched {
    fn started(&mut self, now_ms: u64) {
        if self.status == Status::Running {
            return;
        }
        self.status = Status::Running;
        if let Some(health) = &mut self.health {
            health.started(now_ms);
        }
    }

    /// Whether this exit is one too many.
    fn exited(&mut self, code: i32, restarts_max: u8) -> bool {
        let restarts = match self.restart {
            Restart::Always => u32::MAX,
            Restart::OnFailure { .. } | Restart::No if code == 0 => {
                self.status = Status::Done;
                return false;
            }
            Restart::OnFailure { max } => max.unwrap_or(u32::MAX),
            _ => 0,
        };
        self.status = Status::Down { code };
        self.failures = self.failures.saturating_add(1);
        self.failures > restarts.min(u32::from(restarts_max))
    }

    /// Whether this probe made the service unhealthy.
    fn probed(&mut self, passed: bool, now_ms: u64) -> bool {
        if self.status != Status::Running {
            return false;
        }
        let Some(health) = &mut self.health else {
            return false;
        };
        health.probed(passed, now_ms);
        health.healthy() == Some(false)
    }

    fn is_well(&self) -> bool {
        match self.status {
            Status::Done => true,
            Status::Running => self
                .health
                .as_ref()
                .is_none_or(|health| health.healthy() == Some(true)),
            Status::NotStarted | Status::Down { .. } => false,
        }
    }

    /// Why the service is not well at the end.
    fn cause(&self, at: usize) -> Cause {
        let service = u8::try_from(at).unwrap_or(u8::MAX);
        match self.status {
            Status::NotStarted => Cause::Dependency { service },
            Status::Down { code } => Cause::Crashed {
                service,
                exit_code: code,
            },
            Status::Running | Status::Done => Cause::Unhealthy { service },
        }
    }
}
