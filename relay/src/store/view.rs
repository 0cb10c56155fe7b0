//! From what is stored to what operators see. Pure: shared by every implementation of the store.
//!
//! Never shows the value of a secret variable, and no token.

use std::collections::BTreeSet;

use bundle::{AppName, Utc, VariableName};
use relay_api::device::{AppFacts, Event, Report, ServiceFacts, UpdateResult, Updated};
use relay_api::operator;

use crate::domain::release::Bundle;
use crate::domain::rollout::{self, Counts};
use crate::domain::variables::Variables;

/// A time for operators: RFC 3339 in UTC.
pub(super) fn time(at: u64) -> String {
    Utc(at).to_string()
}

/// A bundle, published then by somebody.
pub(super) fn bundle(bundle: &Bundle, published_at: u64, published_by: &str) -> operator::Bundle {
    let texts = |names: &[bundle::Label]| names.iter().map(ToString::to_string).collect();
    operator::Bundle {
        app: bundle.app.to_string(),
        version: bundle.version.to_string(),
        seq: bundle.seq,
        epoch: bundle.epoch,
        digest: bundle.digest.to_string(),
        file: bundle.file.to_string(),
        bytes: bundle.bytes,
        arch: bundle.target.arch.to_string(),
        fleet: bundle.target.fleet.to_string(),
        classes: texts(&bundle.target.classes),
        devices: bundle
            .target
            .devices
            .iter()
            .map(ToString::to_string)
            .collect(),
        issued_at: time(bundle.issued_at),
        not_after: bundle.not_after.map(time),
        keys: bundle.keys.clone(),
        published_at: time(published_at),
        published_by: published_by.to_string(),
    }
}

/// An app of a device: what it says, and what a rollout wants. One of them is there.
pub(super) fn app(
    name: String,
    facts: Option<&AppFacts>,
    wanted: Option<operator::Wanted>,
) -> operator::DeviceApp {
    let running = facts.and_then(|facts| facts.running.as_ref());
    let services = facts.map_or(&[][..], |facts| &facts.services);
    operator::DeviceApp {
        app: name,
        version: running.map(|running| running.version.to_string()),
        seq: running.map(|running| running.seq),
        bundle: running.map(|running| running.bundle.to_string()),
        generation: running.map(|running| running.generation),
        state: facts.map_or("pending", |facts| facts.phase.as_str()).into(),
        wanted,
        services: services.iter().map(service).collect(),
    }
}

fn service(facts: &ServiceFacts) -> operator::DeviceService {
    operator::DeviceService {
        name: facts.service.to_string(),
        state: facts.state.as_str().to_string(),
        healthy: facts.healthy,
        restarts: facts.restarts,
        image_id: facts.image.to_string(),
    }
}

/// The values of a device; those of `secret` variables are not shown.
pub(super) fn variables(
    values: &Variables,
    secret: &BTreeSet<(AppName, VariableName)>,
) -> std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>> {
    let of_app = |app: &AppName, name: &VariableName, value: &String| {
        let hidden = secret.contains(&(app.clone(), name.clone()));
        let value = if hidden { "(secret)" } else { value };
        (name.to_string(), value.to_string())
    };
    values
        .iter()
        .map(|(app, values)| {
            let shown = values.iter().map(|(name, value)| of_app(app, name, value));
            (app.to_string(), shown.collect())
        })
        .collect()
}

/// Something that a device reported.
pub(super) fn event(report: &Report, received_at: u64) -> operator::DeviceEvent {
    let mut event = operator::DeviceEvent {
        at: time(report.at),
        received_at: time(received_at),
        app: report.app.to_string(),
        kind: String::new(),
        summary: String::new(),
        result: None,
        version: None,
        rollout: None,
        cause: None,
        evidence: Vec::new(),
    };
    match &report.event {
        Event::Updated(updated) => {
            event.kind = "update".to_string();
            event.summary = summary(updated);
            event.result = Some(result(updated.result).to_string());
            event.version = Some(updated.version.to_string());
            event.rollout = updated.rollout;
            event.cause.clone_from(&updated.cause);
            event.evidence = updated.evidence.iter().map(evidence).collect();
        }
        Event::Exited {
            service,
            exit_code,
            oom_killed,
            ..
        } => {
            event.kind = "exited".to_string();
            let why = if *oom_killed {
                ": it was out of memory"
            } else {
                ""
            };
            event.summary = format!("{service} exited with code {exit_code}{why}");
        }
        Event::Health {
            service, healthy, ..
        } => {
            event.kind = "health".to_string();
            event.summary = if *healthy {
                format!("{service} passes its health check again")
            } else {
                format!("{service} fails its health check")
            };
        }
    }
    event
}

fn summary(updated: &Updated) -> String {
    let version = format!("{} (seq {})", updated.version, updated.seq);
    match updated.result {
        UpdateResult::Committed => format!("{version} passed its trial"),
        UpdateResult::RolledBack => format!("{version} failed, the version before runs again"),
        UpdateResult::Failed => format!("{version} failed before anything was stopped"),
        UpdateResult::RollbackFailed => {
            format!("{version} failed, and so did bringing the version before back")
        }
        UpdateResult::Refused => format!("{version} was refused"),
        UpdateResult::Removed => format!("{version} was removed"),
    }
}

/// The words of `agent history --json`.
const fn result(result: UpdateResult) -> &'static str {
    match result {
        UpdateResult::Committed => "committed",
        UpdateResult::RolledBack => "rolled_back",
        UpdateResult::Failed => "failed",
        UpdateResult::RollbackFailed => "rollback_failed",
        UpdateResult::Refused => "refused",
        UpdateResult::Removed => "removed",
    }
}

fn evidence(evidence: &relay_api::device::Evidence) -> operator::EvidenceView {
    operator::EvidenceView {
        service: evidence.service.to_string(),
        exit_code: evidence.exit_code,
        lines: evidence.lines.clone(),
    }
}

/// A rollout as it is stored, with what its targets say.
pub(super) struct RolloutRow {
    pub(super) id: u64,
    pub(super) app: String,
    pub(super) version: String,
    pub(super) to: String,
    pub(super) started_at: u64,
    pub(super) started_by: String,
    pub(super) ended_at: Option<u64>,
    pub(super) aborted_by: Option<String>,
    pub(super) counts: Counts,
    /// One of the causes of its failed targets.
    pub(super) cause: Option<String>,
    /// How many different ones there are.
    pub(super) causes: u64,
}

/// A rollout.
pub(super) fn rollout(row: RolloutRow) -> operator::Rollout {
    let RolloutRow { counts, .. } = row;
    let state = rollout::State::of(counts, row.aborted_by.is_some());
    operator::Rollout {
        id: row.id,
        app: row.app,
        version: row.version,
        to: row.to,
        state: state.as_str().to_string(),
        cause: rollout::summary(
            counts,
            row.aborted_by.as_deref(),
            row.cause.as_deref(),
            row.causes,
        ),
        started_at: time(row.started_at),
        started_by: row.started_by,
        ended_at: row.ended_at.map(time),
        stages: vec![operator::Stage {
            state: state.as_str().to_string(),
            targets: counts.targets(),
            healthy: counts.succeeded,
            failed: counts.failed,
            pending: counts.pending,
        }],
    }
}
