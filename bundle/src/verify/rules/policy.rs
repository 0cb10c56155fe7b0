//! Clauses B53 to B56: the policy's bounds.

use super::{ensure, once};
use crate::Manifest;
use crate::error::{Refused, Rule};
use crate::limits::TRIAL_S_MAX;
use crate::manifest::SwitchMode;

const TRIAL: Rule = Rule {
    clause: "B53",
    text: "a trial has 1 second to a day, and the time to become healthy is as long or longer, at \
           most a day",
};
const FETCH: Rule = Rule {
    clause: "B54",
    text: "a limit of the download rate is not 0",
};
const RESTORE: Rule = Rule {
    clause: "B55",
    text: "volumes that a rollback restores are declared, each once",
};
const OVERLAP: Rule = Rule {
    clause: "B56",
    text: "old and new may not run at once (start-first) where a service publishes ports or \
           writes to a volume",
};

pub(super) fn check(manifest: &Manifest) -> Result<(), Refused> {
    let policy = &manifest.policy;
    let place = || String::from("policy");
    let trial = (1..=TRIAL_S_MAX).contains(&policy.trial_s)
        && (policy.trial_s..=TRIAL_S_MAX).contains(&policy.healthy_within_s);
    ensure(trial, TRIAL, place)?;
    ensure(policy.fetch_bytes_per_s_max != Some(0), FETCH, place)?;
    once(
        &policy.restore_on_rollback,
        |v| v,
        RESTORE,
        |name| format!("policy, volume {name}"),
    )?;
    for volume in &policy.restore_on_rollback {
        ensure(manifest.volumes.contains(volume), RESTORE, || {
            format!("policy, volume {volume}")
        })?;
    }
    if policy.switch == SwitchMode::StartFirst {
        for service in &manifest.services {
            let writes = service.volumes.iter().any(|volume| !volume.read_only);
            ensure(!writes && service.ports.is_empty(), OVERLAP, || {
                format!("service {}", service.name)
            })?;
        }
    }
    Ok(())
}
