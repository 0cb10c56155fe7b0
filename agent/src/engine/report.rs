//! Tells how updates ended: those who wait, and the history.
//!
//! Nothing is decided by what is written here, so a history that cannot be written stops nothing.

use agent_core::plan::Plan;
use agent_core::{Generation, Outcome, OutcomeKind};
use bundle::{Manifest, ServiceName};

use super::Engine;
use super::app::{App, Named, Notice};
use super::failure;
use super::generation::{Loaded, load_head};
use crate::api::{AppliedView, Failure, HistoryView, ServiceAction};
use crate::exit;
use crate::time::to_rfc3339;

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
        let (result, cause) = match kind {
            OutcomeKind::Committed(_) => ("committed", None),
            OutcomeKind::Failed(cause) => ("failed", Some(cause)),
            OutcomeKind::RolledBack(cause) => ("rolled_back", Some(cause)),
            OutcomeKind::RollbackFailed(cause) => ("failed", Some(cause)),
            OutcomeKind::Removed => ("removed", None),
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
        if !again {
            self.write_history(entry);
        }
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

    /// Notes a refusal of a bundle whose signature is good; what is no news is not noted.
    pub(crate) fn report_refusal(&self, manifest: &Manifest, refused: &Failure) {
        let noteworthy = [
            exit::REFUSED,
            exit::NO_SPACE,
            exit::RUNTIME_UNREACHABLE,
            exit::DOWNLOAD_FAILED,
        ];
        log::warn!(
            "app={} phase=refused cause={}",
            manifest.app,
            refused.message
        );
        if noteworthy.contains(&refused.code) {
            self.write_history(HistoryView {
                at: to_rfc3339(self.host.now_s()),
                app: manifest.app.to_string(),
                version: manifest.version.to_string(),
                seq: manifest.seq,
                generation: None,
                result: "refused".to_owned(),
                cause: Some(refused.message.clone()),
            });
        }
    }

    /// As [`Engine::report_refusal`], but what was told last of this app is not told again: whoever
    /// tries again by itself has no news.
    pub(crate) fn report_refusal_once(&self, manifest: &Manifest, refused: &Failure) {
        let passing = [
            exit::NO_SPACE,
            exit::RUNTIME_UNREACHABLE,
            exit::DOWNLOAD_FAILED,
        ]
        .contains(&refused.code);
        let entries = self.history.entries();
        let last = entries
            .iter()
            .rev()
            .find(|e| e.app == manifest.app.as_str());
        let again = last.is_some_and(|last| {
            last.result == "refused"
                && last.seq == manifest.seq
                && last.version == manifest.version.as_str()
                && (passing || last.cause.as_ref() == Some(&refused.message))
        });
        if again {
            log::warn!(
                "app={} phase=refused cause={}",
                manifest.app,
                refused.message
            );
        } else {
            self.report_refusal(manifest, refused);
        }
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
