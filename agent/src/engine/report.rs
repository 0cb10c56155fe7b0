//! Tells how updates ended: those who wait, the relay, and the history.
//!
//! Nothing is decided by what is written here, so a history that cannot be written stops nothing.
//! The relay's report is spooled before the history is written: what the history has is not
//! reported again after a crash.

use agent_core::plan::Plan;
use agent_core::{Generation, Intent, Outcome, OutcomeKind};
use bundle::{AppName, Digest, ServiceName, VerifiedBundle, VersionLabel};
use relay_api::device::{Event, Report, ReportKey, UpdateResult, Updated};

use super::Engine;
use super::app::{App, Named, Notice};
use super::failure;
use super::generation::{Loaded, load_head};
use crate::api::{AppliedView, Failure, HistoryView, ServiceAction};
use crate::exit;
use crate::state::CAUSE_BYTES_MAX;
use crate::time::to_rfc3339;
use relay_api::escape;

impl Engine {
    /// Tells how an update ended. Repeated after a crash, it writes nothing twice.
    pub(crate) fn report(&self, app: &App, outcome: Outcome) {
        let Outcome {
            kind,
            generation,
            at,
        } = outcome;
        let (version, services) = self.names(app, &generation);
        let detail = app.detail.take();
        let words = detail.as_ref().map(|detail| detail.words.as_str());
        let (result, told, cause) = match kind {
            OutcomeKind::Committed(_) => ("committed", UpdateResult::Committed, None),
            OutcomeKind::Failed(cause) => ("failed", UpdateResult::Failed, Some(cause)),
            OutcomeKind::RolledBack(cause) => {
                ("rolled_back", UpdateResult::RolledBack, Some(cause))
            }
            OutcomeKind::RollbackFailed(cause) => {
                ("failed", UpdateResult::RollbackFailed, Some(cause))
            }
            OutcomeKind::Removed => ("removed", UpdateResult::Removed, None),
        };
        let entry = HistoryView {
            at: to_rfc3339(at),
            app: app.name.to_string(),
            version: version.clone(),
            seq: generation.seq,
            generation: Some(generation.id.0),
            result: result.to_owned(),
            cause: cause.map(|cause| failure::cause_words(cause, &services, words)),
        };
        // After a crash the words are lost, the rest is the same.
        let facts = |e: &HistoryView| (e.at.clone(), e.app.clone(), e.generation, e.result.clone());
        let again = self
            .history
            .entries()
            .iter()
            .any(|told| facts(told) == facts(&entry));
        let result = match kind {
            OutcomeKind::Committed(_) | OutcomeKind::Removed => {
                Ok(self.applied(app, generation, &version))
            }
            _ => Err(failure::ended(
                app.name.as_str(),
                &version,
                kind,
                &services,
                detail.as_ref(),
            )),
        };
        if !again {
            let passes = result
                .as_ref()
                .is_err_and(|failure| exit::may_pass(failure.code));
            self.report_end(app, outcome, told, &entry, passes);
            self.write_history(entry);
        }
        if !matches!(kind, OutcomeKind::RollbackFailed(_)) {
            self.forget_evidence(app);
        }
        app.tell(&Notice::Ended {
            generation,
            result: Box::new(result),
        });
    }

    /// What a generation's bundle calls itself and its services.
    fn names(&self, app: &App, generation: &Generation) -> (String, Vec<ServiceName>) {
        let named = app.named.borrow();
        if let Some(named) = named
            .as_ref()
            .filter(|named| named.bundle == generation.bundle)
        {
            return (named.version.clone(), named.services.clone());
        }
        let trust = bundle::TrustStore::load(&self.config.keys_dir).ok();
        let head =
            trust.and_then(|trust| load_head(&self.objects, &trust, &generation.bundle).ok());
        match head.map(|head| Named::new(&head)) {
            Some(named) => (named.version, named.services),
            None => (generation.bundle.short(), Vec::new()),
        }
    }

    /// Tells of a refusal of a bundle whose signature is good, if it is news. `rollout` is the one
    /// that wanted it, if one did: it tries by itself again and again, and its next attempts with
    /// the same end are no news.
    pub(crate) fn report_refusal(
        &self,
        bundle: &VerifiedBundle,
        rollout: Option<u64>,
        refused: &Failure,
    ) {
        let manifest = bundle.manifest();
        let passing = exit::may_pass(refused.code);
        log::warn!(
            "app={} phase=refused cause={}",
            manifest.app,
            refused.message
        );
        if !passing && refused.code != exit::REFUSED {
            return;
        }
        // What may pass is the same in every attempt, though its words have other figures.
        let why = if passing { "" } else { &refused.message };
        let same = rollout.map(|rollout| (rollout, bundle.digest(), refused.code, why.to_owned()));
        let last = same
            .clone()
            .map(|same| self.refused.borrow_mut().insert(manifest.app.clone(), same));
        if same.is_some() && last.flatten() == same {
            return;
        }
        let at = self.host.now_s();
        let entry = HistoryView {
            at: to_rfc3339(at),
            app: manifest.app.to_string(),
            version: manifest.version.to_string(),
            seq: manifest.seq,
            generation: None,
            result: "refused".to_owned(),
            cause: Some(refused.message.clone()),
        };
        let what = match &same {
            // The same after a restart, too: the relay keeps the first one.
            Some((rollout, _, code, why)) => format!("by {rollout}: {code} {why}"),
            None => at.to_string(),
        };
        let updated = Updated {
            result: UpdateResult::Refused,
            version: manifest.version.clone(),
            seq: manifest.seq,
            bundle: bundle.digest(),
            generation: None,
            rollout,
            cause: entry.cause.clone(),
            running: self.running_images(&manifest.app),
            evidence: Vec::new(),
        };
        if !passing || rollout.is_none() {
            self.spool_end(&manifest.app, at, &what, updated);
        }
        let entries = self.history.entries();
        let last = entries.iter().rev().find(|last| last.app == entry.app);
        let again = last.is_some_and(|last| {
            let facts = |e: &HistoryView| (e.result.clone(), e.seq, e.version.clone());
            facts(last) == facts(&entry) && (passing || last.cause == entry.cause)
        });
        if !again || rollout.is_none() {
            self.write_history(entry);
        }
    }

    /// Spools the report of an update's end. One that `passes` is none for the rollout that wanted
    /// it: it is tried again.
    fn report_end(
        &self,
        app: &App,
        outcome: Outcome,
        result: UpdateResult,
        entry: &HistoryView,
        passes: bool,
    ) {
        let Outcome {
            kind,
            generation,
            at,
        } = outcome;
        // What a bundle calls itself, or the beginning of its digest: both are labels.
        let Ok(version) = VersionLabel::new(&entry.version) else {
            return;
        };
        let rollout = match kind {
            // Nobody at the relay wanted these.
            OutcomeKind::Removed | OutcomeKind::Committed(Intent::Rollback) => None,
            _ => app
                .wanted_by(&generation.bundle)
                .unwrap_or_else(|| self.rollout_of(&app.name, &generation.bundle)),
        };
        if passes && rollout.is_some() {
            return;
        }
        let rolled_back = matches!(
            kind,
            OutcomeKind::RolledBack(_) | OutcomeKind::RollbackFailed(_)
        );
        let updated = Updated {
            result,
            version,
            seq: generation.seq,
            bundle: generation.bundle,
            generation: Some(generation.id.0),
            rollout,
            cause: entry.cause.clone(),
            running: match kind {
                // What runs then is nobody's plan.
                OutcomeKind::RollbackFailed(_) => Vec::new(),
                _ => self.running_images(&app.name),
            },
            evidence: if rolled_back {
                self.evidence_of(app, &generation)
            } else {
                Vec::new()
            },
        };
        self.spool_end(&app.name, at, &at.to_string(), updated);
    }

    /// `what` tells this end from others of the same bundle with the same result.
    fn spool_end(&self, app: &AppName, at: u64, what: &str, mut updated: Updated) {
        if !self.is_enrolled() {
            return;
        }
        if let Some(cause) = &mut updated.cause {
            escape::cut(cause, CAUSE_BYTES_MAX);
        }
        // The same facts after a crash make the same key, whatever was forgotten besides.
        let Updated {
            result,
            bundle,
            generation,
            ..
        } = &updated;
        let what = format!("updated {app} {result:?} {bundle} {generation:?} {what}");
        let report = Report {
            at,
            app: app.clone(),
            event: Event::Updated(updated),
        };
        self.spool_update(ReportKey::of(what.as_bytes()), &report);
    }

    /// The services of the committed generation with their images: what runs, or would if it had
    /// not ended.
    fn running_images(&self, app: &AppName) -> Vec<(ServiceName, Digest)> {
        let known = self.apps.borrow().get(app).cloned();
        let current = known.and_then(|app| self.load(app.state().current?).ok());
        let services = current.iter().flat_map(|current| current.services());
        services
            .map(|(_, s)| (s.service.name.clone(), s.image))
            .collect()
    }

    fn write_history(&self, entry: HistoryView) {
        let app = entry.app.clone();
        if let Err(error) = self.history.add(entry) {
            log::warn!("app={app} phase=reporting cause={error}");
        }
    }

    fn applied(&self, app: &App, generation: Generation, version: &str) -> AppliedView {
        let state = app.state();
        let before = state.previous.filter(|previous| *previous != generation);
        let before = before.and_then(|before| self.load(before).ok());
        let services = self
            .load(generation)
            .map(|loaded| actions(before.as_deref(), &loaded));
        AppliedView {
            app: app.name.to_string(),
            version: version.to_owned(),
            seq: generation.seq,
            generation: generation.id.0,
            from: before.map(|before| before.manifest().version.to_string()),
            services: services.unwrap_or_default(),
        }
    }
}

fn actions(before: Option<&Loaded>, now: &Loaded) -> Vec<ServiceAction> {
    let plan = Plan::new(
        before.map(|before| &before.app),
        &now.app,
        &|_| true,
        now.manifest(),
    );
    service_actions(&plan)
}

/// What a plan does to each service, in words.
pub(crate) fn service_actions(plan: &Plan) -> Vec<ServiceAction> {
    let actions = plan.services.iter().map(|(name, action)| ServiceAction {
        name: name.to_string(),
        action: action.as_str().to_owned(),
    });
    actions.collect()
}
