//! A service's health, counted from its probes; in the trial and ever after.
//!
//! Never decides what follows from it.

use bundle::manifest::HealthCheck;

/// The health of one service: starting, healthy or unhealthy.
///
/// As Docker's `HEALTHCHECK` counts it: failures within the start period do not count until a
/// probe has passed, one pass makes it healthy, `retries` failures in a row make it unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    retries: u32,
    start_period_ms: u64,
    started_ms: u64,
    failures: u32,
    /// None while starting.
    healthy: Option<bool>,
}

impl Health {
    /// The health of a service whose container starts now.
    pub fn new(check: &HealthCheck, now_ms: u64) -> Self {
        Self {
            retries: check.retries.max(1),
            start_period_ms: u64::from(check.start_period_ms),
            started_ms: now_ms,
            failures: 0,
            healthy: None,
        }
    }

    /// The container has been started again: everything counts from here.
    pub fn started(&mut self, now_ms: u64) {
        self.started_ms = now_ms;
        self.failures = 0;
        self.healthy = None;
    }

    /// A probe has ended.
    pub fn probed(&mut self, passed: bool, now_ms: u64) {
        if passed {
            self.failures = 0;
            self.healthy = Some(true);
            return;
        }
        let starting =
            self.healthy.is_none() && now_ms < self.started_ms.saturating_add(self.start_period_ms);
        if starting {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.retries {
            self.healthy = Some(false);
        }
    }

    /// Whether the service is healthy; none while it is starting.
    pub const fn healthy(&self) -> Option<bool> {
        self.healthy
    }
}
