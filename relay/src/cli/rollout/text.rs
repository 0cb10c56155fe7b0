//! Rollouts as text.

use relay_api::operator::{Rollout, RolloutDetail, Stage};

use crate::cli::render::count;
use crate::cli::screen::Look;
use crate::cli::table::{Column, cut, facts, table, whole};

/// Devices of a rollout, summed over its stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) targets: u64,
    pub(super) healthy: u64,
    pub(super) failed: u64,
    pub(super) pending: u64,
}

impl Sum {
    pub(super) fn of(stages: &[Stage]) -> Self {
        stages.iter().fold(Self::default(), |sum, stage| Self {
            targets: sum.targets + stage.targets,
            healthy: sum.healthy + stage.healthy,
            failed: sum.failed + stage.failed,
            pending: sum.pending + stage.pending,
        })
    }
}

/// `2 of 5 devices healthy, 1 failed, 2 pending`.
pub(super) fn progress(rollout: &Rollout) -> String {
    let sum = Sum::of(&rollout.stages);
    let devices = count(usize::try_from(sum.targets).unwrap_or(usize::MAX), "device");
    let mut text = format!("{} of {devices} healthy", sum.healthy);
    for (number, word) in [(sum.failed, "failed"), (sum.pending, "pending")] {
        if number > 0 {
            text += &format!(", {number} {word}");
        }
    }
    text
}

/// A rollout as a whole.
pub(super) fn rollout(rollout: &Rollout, look: &Look) -> String {
    let state = match &rollout.cause {
        Some(cause) => format!("{}: {cause}", rollout.state),
        None => rollout.state.clone(),
    };
    let started = look.moment(&rollout.started_at);
    let ended = rollout.ended_at.as_deref().map(|at| look.moment(at));
    facts(
        "",
        &[
            ("rollout", rollout.id.to_string()),
            ("release", format!("{}@{}", rollout.app, rollout.version)),
            ("to", rollout.to.clone()),
            ("state", state),
            ("devices", progress(rollout)),
            ("started", format!("{started} by {}", rollout.started_by)),
            ("ended", ended.unwrap_or_default()),
        ],
    )
}

const STAGES: [Column; 6] = [
    whole("STAGE"),
    whole("STATE"),
    whole("DEVICES"),
    whole("HEALTHY"),
    whole("FAILED"),
    whole("PENDING"),
];

const DEVICES: [Column; 4] = [
    whole("DEVICE"),
    whole("STATE"),
    whole("SINCE"),
    cut("CAUSE"),
];

/// A rollout, device by device.
pub(super) fn detail(detail: &RolloutDetail, look: &Look) -> String {
    let mut out = rollout(&detail.rollout, look);
    if detail.rollout.stages.len() > 1 {
        let stages = detail.rollout.stages.iter().enumerate();
        let rows: Vec<Vec<String>> = stages
            .map(|(at, stage)| {
                vec![
                    (at + 1).to_string(),
                    stage.state.clone(),
                    stage.targets.to_string(),
                    stage.healthy.to_string(),
                    stage.failed.to_string(),
                    stage.pending.to_string(),
                ]
            })
            .collect();
        out += &format!("\n{}", table("", &STAGES, &rows, look.width));
    }
    let rows: Vec<Vec<String>> = detail
        .devices
        .iter()
        .map(|device| {
            vec![
                device.id.clone(),
                device.state.clone(),
                look.time(&device.at),
                device.cause.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out += &format!("\n{}", table("", &DEVICES, &rows, look.width));
    }
    out
}

const LIST: [Column; 7] = [
    whole("ID"),
    whole("RELEASE"),
    whole("STATE"),
    whole("DEVICES"),
    whole("STARTED"),
    cut("BY"),
    cut("TO"),
];

/// A list of rollouts.
pub(super) fn list(rollouts: &[Rollout], look: &Look) -> String {
    if rollouts.is_empty() {
        return "No rollouts yet: `relay rollout start APP@VERSION --to SELECTOR` starts one.\n"
            .to_string();
    }
    let rows: Vec<Vec<String>> = rollouts
        .iter()
        .map(|rollout| {
            let sum = Sum::of(&rollout.stages);
            let mut devices = format!("{}/{} healthy", sum.healthy, sum.targets);
            if sum.failed > 0 {
                devices += &format!(", {} failed", sum.failed);
            }
            vec![
                rollout.id.to_string(),
                format!("{}@{}", rollout.app, rollout.version),
                rollout.state.clone(),
                devices,
                look.time(&rollout.started_at),
                rollout.started_by.clone(),
                rollout.to.clone(),
            ]
        })
        .collect();
    table("", &LIST, &rows, look.width)
}

#[cfg(test)]
mod tests {
    use relay_api::operator::RolloutDevice;

    use super::*;

    fn look() -> Look {
        Look {
            now: "2026-11-22T12:00:00Z".parse().unwrap(),
            terminal: true,
            width: Some(80),
        }
    }

    fn example(state: &str) -> Rollout {
        Rollout {
            id: 7,
            app: "kiosk".into(),
            version: "1.5".into(),
            to: "site=harbour".into(),
            state: state.into(),
            cause: None,
            started_at: "2026-11-22T11:57:00Z".into(),
            started_by: "admin".into(),
            ended_at: None,
            stages: vec![Stage {
                state: state.into(),
                targets: 3,
                healthy: 1,
                failed: 1,
                pending: 1,
            }],
        }
    }

    #[test]
    fn a_rollout_device_by_device() {
        let device = |id: &str, state: &str, cause: Option<&str>| RolloutDevice {
            id: id.into(),
            state: state.into(),
            cause: cause.map(Into::into),
            at: "2026-11-22T11:58:00Z".into(),
        };
        let detail = RolloutDetail {
            rollout: example("running"),
            devices: vec![
                device("dev-1", "succeeded", None),
                device("dev-12", "failed", Some("web exited\nwith code 1")),
                device("d", "pending", None),
            ],
        };
        assert_eq!(
            super::detail(&detail, &look()),
            "\
rollout  7
release  kiosk@1.5
to       site=harbour
state    running
devices  1 of 3 devices healthy, 1 failed, 1 pending
started  2026-11-22 11:57:00Z (3 min ago) by admin

DEVICE  STATE      SINCE      CAUSE
dev-1   succeeded  2 min ago  -
dev-12  failed     2 min ago  web exited\\nwith code 1
d       pending    2 min ago  -
"
        );
    }

    #[test]
    fn rollouts_in_a_list() {
        assert_eq!(
            list(&[example("failed")], &look()),
            "\
ID  RELEASE    STATE   DEVICES                STARTED    BY     TO
7   kiosk@1.5  failed  1/3 healthy, 1 failed  3 min ago  admin  site=harbour
"
        );
        assert!(list(&[], &look()).contains("relay rollout start"));
    }
}
