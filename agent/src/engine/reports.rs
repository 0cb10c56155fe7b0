//! Tells the relay what happened: reports go into the spool, and from there to the relay.
//!
//! A report is told at least once and stored once: its key and its bytes stay the same in every
//! attempt (clauses D50 to D54). A device without a relay spools nothing, and a spool that cannot
//! be written stops nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bundle::{AppName, ServiceName};
use relay_api::device::{Event, Report, ReportKey, encode};

use super::Engine;
use crate::relay::{RemoteError, SharedRemote};
use crate::state::Importance;

/// Most events of one service in an hour, exits and changes of health together (clause D55). A
/// crash loop restarts up to 200 times in its first hour: each report would be a write to flash and
/// a request, and after a few of them another one says nothing new. The check-in has the count of
/// restarts.
pub(super) const EVENTS_PER_HOUR_MAX: u32 = 6;
const HOUR_MS: u64 = 3_600_000;

/// How many events of each service have been reported lately.
#[derive(Default)]
pub(super) struct Allowances(RefCell<BTreeMap<ServiceName, Allowance>>);

#[derive(Clone, Copy, Default)]
struct Allowance {
    since_ms: u64,
    told: u32,
    untold: u32,
}

impl Allowances {
    /// Whether another event of the service may be told. Gives how many were not, before the
    /// first one of an hour that may.
    fn take(&self, service: &ServiceName, now_ms: u64) -> Option<u32> {
        let mut all = self.0.borrow_mut();
        let one = all.entry(service.clone()).or_default();
        if one.told == 0 || now_ms.saturating_sub(one.since_ms) >= HOUR_MS {
            let untold = one.untold;
            *one = Allowance {
                since_ms: now_ms,
                told: 1,
                untold: 0,
            };
            return Some(untold);
        }
        if one.told < EVENTS_PER_HOUR_MAX {
            one.told += 1;
            return Some(0);
        }
        one.untold = one.untold.saturating_add(1);
        None
    }
}

impl Engine {
    /// Puts the report of an update's end into the spool, and sees to it that it is sent soon.
    pub(super) fn spool_update(&self, key: ReportKey, report: &Report) {
        if self.is_enrolled() {
            self.spool(Importance::Update, key, report);
            self.nudge();
        }
    }

    /// Puts an event of a service into the spool, where it waits for the next check-in. Says
    /// whether it did: not without a relay, and not if there have been too many of this service.
    pub(super) fn spool_event(
        &self,
        allowances: &Allowances,
        app: &AppName,
        service: &ServiceName,
        event: Event,
    ) -> bool {
        if !self.is_enrolled() {
            return false;
        }
        let Some(untold) = allowances.take(service, self.host.now_ms()) else {
            return false;
        };
        if untold > 0 {
            log::warn!("app={app} service={service} phase=reporting unreported={untold}");
        }
        let importance = match event {
            Event::Updated(_) => Importance::Update,
            Event::Exited { .. } => Importance::Exit,
            Event::Health { .. } => Importance::Health,
        };
        let report = Report {
            at: self.host.now_s(),
            app: app.clone(),
            event,
        };
        // Made once and never again, so chance may tell it from others of the same second.
        let mut unique = encode(&report);
        unique.extend(self.host.random().to_le_bytes());
        self.spool(importance, ReportKey::of(&unique), &report);
        true
    }

    fn spool(&self, importance: Importance, key: ReportKey, report: &Report) {
        if let Err(error) = self.reports.add(importance, key, encode(report)) {
            log::error!("app={} phase=reporting key={key} cause={error}", report.app);
        }
    }

    /// Delivers what waits in the spool, oldest first, one at a time, until nothing does. Each is
    /// removed once the relay has it, or has refused it for good.
    ///
    /// # Errors
    /// [`RemoteError`], if a report could not be delivered now: it and all after it stay.
    pub(crate) async fn deliver_reports(&self, remote: &SharedRemote) -> Result<(), RemoteError> {
        self.reports.write_held();
        while let Some((key, body)) = self.reports.oldest() {
            if let Err(error) = remote.report(key, body).await {
                if !is_final(&error) {
                    return Err(error);
                }
                log::warn!("phase=reporting dropped=1 key={key} cause={error}");
            }
            self.reports.remove(&key);
        }
        Ok(())
    }
}

/// Whether the relay never takes this report: it has another one with this key (D51), or it is
/// malformed (D53). A relay of another protocol (D2) may take it after an update of either side,
/// and a 400 without the relay's word comes from somebody on the way.
fn is_final(error: &RemoteError) -> bool {
    match error {
        RemoteError::Refused {
            status: 400, code, ..
        } => !code.is_empty() && code != "protocol",
        RemoteError::Refused { status, .. } => matches!(status, 409 | 413),
        _ => false,
    }
}
