//! A service's health, counted from its probes; in the trial and ever after.
//!
//! Never decides what follows from it.

use bundle::manifest::HealthCheck;

/// Milliseconds between probes of a service that has just started and has not passed yet.
const QUICK_INTERVAL_MS: u64 = 1_000;
/// For how long that is, in milliseconds: what never gets healthy does not wake the CPU for ever.
const QUICK_FOR_MS: u64 = 30_000;

/// The health of one service: starting, healthy or unhealthy.
///
/// As Docker's `HEALTHCHECK` counts it: failures within the start period do not count until a
/// probe has passed, one pass makes it healthy, `retries` failures in a row make it unhealthy.
/// Just after a start, probes come more often than the check's interval, so that a service is
/// known to be healthy soon; failures still count once per interval only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    retries: u32,
    interval_ms: u64,
    start_period_ms: u64,
    started_ms: u64,
    failures: u32,
    /// When the last failure was counted.
    counted_ms: Option<u64>,
    /// None while starting.
    healthy: Option<bool>,
}

impl Health {
    /// The health of a service whose container starts now.
    pub fn new(check: &HealthCheck, now_ms: u64) -> Self {
        Self {
            retries: check.retries.max(1),
            interval_ms: u64::from(check.interval_ms),
            start_period_ms: u64::from(check.start_period_ms),
            started_ms: now_ms,
            failures: 0,
            counted_ms: None,
            healthy: None,
        }
    }

    /// The container has been started again: everything counts from here.
    pub fn started(&mut self, now_ms: u64) {
        self.started_ms = now_ms;
        self.failures = 0;
        self.counted_ms = None;
        self.healthy = None;
    }

    /// A probe has ended.
    pub fn probed(&mut self, passed: bool, now_ms: u64) {
        if passed {
            self.failures = 0;
            self.counted_ms = None;
            self.healthy = Some(true);
            return;
        }
        let starting =
            self.healthy.is_none() && now_ms < self.started_ms.saturating_add(self.start_period_ms);
        let within_interval = |at: u64| now_ms < at.saturating_add(self.interval_ms);
        if starting
            || (self.is_probed_quickly(now_ms) && self.counted_ms.is_some_and(within_interval))
        {
            return;
        }
        self.counted_ms = Some(now_ms);
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.retries {
            self.healthy = Some(false);
        }
    }

    /// How long to wait for the next probe, in milliseconds.
    pub fn wait_ms(&self, now_ms: u64) -> u64 {
        if self.is_probed_quickly(now_ms) {
            self.interval_ms.min(QUICK_INTERVAL_MS)
        } else {
            self.interval_ms
        }
    }

    const fn is_probed_quickly(&self, now_ms: u64) -> bool {
        self.healthy.is_none() && now_ms < self.started_ms.saturating_add(QUICK_FOR_MS)
    }

    /// Whether the service is healthy; none while it is starting.
    pub const fn healthy(&self) -> Option<bool> {
        self.healthy
    }
}
