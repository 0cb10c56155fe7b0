//! What a device shall run, as it is told at a check-in (clauses D31 to D36).
//!
//! Never names a bundle below what the device has committed, and never two of one app.

use bundle::{AppName, Digest};
use relay_api::device::{
    Answer, AppFacts, AppVariables, Desired, LONG_POLL_S_MAX, PATH_BUNDLES, encode,
};

use super::rollout::TargetState;
use super::variables::Variables;

/// A bundle that some rollout wants on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// The app.
    pub(crate) app: AppName,
    /// The rollout.
    pub(crate) rollout: u64,
    /// How it stands on this device.
    pub(crate) state: TargetState,
    /// SHA-256 of the bundle's manifest.
    pub(crate) bundle: Digest,
    /// Its `seq`.
    pub(crate) seq: u64,
    /// SHA-256 of its file.
    pub(crate) file: Digest,
    /// Bytes of its file.
    pub(crate) file_bytes: u64,
}

/// What is meant for a device.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Meant {
    /// What it shall run, at most one of each app, by app: made by [`choose`].
    pub(crate) wants: Vec<Want>,
    /// The values of variables that the relay gives it.
    pub(crate) variables: Variables,
}

/// Of all that rollouts ever wanted on the device: for each app what the newest rollout wants that
/// is pending or has succeeded; nothing if the device has committed a higher `seq`.
pub(crate) fn choose(wants: Vec<Want>, apps: &[AppFacts]) -> Vec<Want> {
    let mut chosen: Vec<Want> = Vec::new();
    for want in wants {
        if want.state == TargetState::Failed {
            continue;
        }
        match chosen.iter_mut().find(|other| other.app == want.app) {
            Some(other) if other.rollout < want.rollout => *other = want,
            Some(_) => {}
            None => chosen.push(want),
        }
    }
    chosen.retain(|want| committed_seq(apps, &want.app).is_none_or(|seq| seq <= want.seq));
    chosen.sort_by(|a, b| a.app.cmp(&b.app));
    chosen
}

/// `seq` of the generation of an app that a device has committed, as it last said.
pub(crate) fn committed_seq(apps: &[AppFacts], app: &AppName) -> Option<u64> {
    let facts = apps.iter().find(|facts| facts.app == *app)?;
    Some(facts.running.as_ref()?.seq)
}

/// When devices ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// How long between two check-ins, in seconds.
    pub(crate) interval_s: u32,
    /// How long an answer may be held back, in seconds; 0: not at all.
    pub(crate) long_poll_s: u16,
}

/// Where devices get bundle files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BundleUrl(String);

impl BundleUrl {
    /// From the relay itself.
    pub(crate) fn relay() -> Self {
        Self(PATH_BUNDLES.to_string())
    }

    /// From a web server that has the files by their hexadecimal SHA-256 below this URL.
    pub(crate) fn elsewhere(base: &str) -> Self {
        Self(base.trim_end_matches('/').to_string())
    }

    /// Where this file is.
    pub(crate) fn of(&self, file: &Digest) -> String {
        format!("{}/{}", self.0, file.hex())
    }
}

/// The answer to a check-in `now`.
pub(crate) fn answer(meant: &Meant, schedule: Schedule, url: &BundleUrl, now: u64) -> Answer {
    let desired = meant.wants.iter().map(|want| Desired {
        app: want.app.clone(),
        rollout: want.rollout,
        bundle: want.bundle,
        seq: want.seq,
        file: want.file,
        file_bytes: want.file_bytes,
        url: url.of(&want.file),
    });
    let variables = meant.variables.iter().map(|(app, values)| AppVariables {
        app: app.clone(),
        values: values
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    });
    let mut answer = Answer {
        now: 0,
        revision: 0,
        desired: desired.collect(),
        variables: variables.collect(),
        interval_s: schedule.interval_s.max(1),
        long_poll_s: schedule.long_poll_s.min(LONG_POLL_S_MAX),
    };
    answer.revision = revision(&answer);
    answer.now = now;
    answer
}

/// What stands for an answer whose time and revision are 0: the same in each relay of a fleet, and
/// after a restart (clause D31).
fn revision(answer: &Answer) -> u64 {
    let digest = Digest::of(&encode(answer));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(bytes).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_api::device::{AppPhase, Running};

    fn want(app: &str, rollout: u64, state: TargetState, seq: u64) -> Want {
        Want {
            app: app.parse().unwrap(),
            rollout,
            state,
            bundle: Digest::of(&seq.to_be_bytes()),
            seq,
            file: Digest::of(b"file"),
            file_bytes: 7,
        }
    }

    fn runs(app: &str, seq: u64) -> AppFacts {
        AppFacts {
            app: app.parse().unwrap(),
            phase: AppPhase::Running,
            running: Some(Running {
                version: "1".parse().unwrap(),
                seq,
                bundle: Digest::of(&seq.to_be_bytes()),
                generation: 1,
            }),
            previous_seq: None,
            services: vec![],
        }
    }

    #[test]
    fn of_each_app_the_newest_that_has_not_failed_is_wanted() {
        use TargetState::{Failed, Pending, Succeeded};
        let cases = [
            (vec![], vec![], vec![]),
            (vec![want("a", 1, Pending, 1)], vec![], vec![("a", 1)]),
            (
                vec![want("a", 1, Succeeded, 1), want("a", 2, Failed, 2)],
                vec![runs("a", 1)],
                vec![("a", 1)],
            ),
            (
                vec![want("a", 2, Pending, 2), want("a", 1, Succeeded, 1)],
                vec![runs("a", 1)],
                vec![("a", 2)],
            ),
            // By app, and each by itself.
            (
                vec![want("b", 2, Pending, 1), want("a", 1, Succeeded, 9)],
                vec![runs("a", 9)],
                vec![("a", 1), ("b", 2)],
            ),
            // A technician went ahead.
            (vec![want("a", 1, Pending, 1)], vec![runs("a", 2)], vec![]),
            // Going back by hand changes nothing of what is wanted.
            (
                vec![want("a", 2, Succeeded, 2)],
                vec![runs("a", 1)],
                vec![("a", 2)],
            ),
        ];
        for (wants, apps, expected) in cases {
            let chosen = choose(wants.clone(), &apps);
            let brief: Vec<_> = chosen.iter().map(|w| (w.app.as_str(), w.rollout)).collect();
            assert_eq!(brief, expected, "{wants:?}");
        }
    }

    #[test]
    fn the_revision_stands_for_everything_but_the_time() {
        let schedule = Schedule {
            interval_s: 60,
            long_poll_s: 20,
        };
        let meant = Meant {
            wants: vec![want("a", 1, TargetState::Pending, 1)],
            variables: Variables::new(),
        };
        let url = BundleUrl::relay();
        let one = answer(&meant, schedule, &url, 100);
        assert_eq!((one.now, one.interval_s, one.long_poll_s), (100, 60, 20));
        assert_eq!(
            one.desired[0].url,
            format!("/device/v1/bundles/{}", Digest::of(b"file").hex())
        );
        assert_eq!(answer(&meant, schedule, &url, 200).revision, one.revision);
        let mut settled = meant.clone();
        settled.wants[0].state = TargetState::Succeeded;
        assert_eq!(answer(&settled, schedule, &url, 100).revision, one.revision);

        let mut with_value = meant.clone();
        let values = [("SITE".parse().unwrap(), "x".to_string())];
        with_value
            .variables
            .insert("a".parse().unwrap(), values.into());
        let slower = Schedule {
            interval_s: 61,
            ..schedule
        };
        let elsewhere = BundleUrl::elsewhere("https://cdn.example/b/");
        let mut revisions = vec![
            one.revision,
            answer(&with_value, schedule, &url, 100).revision,
            answer(&Meant::default(), schedule, &url, 100).revision,
            answer(&meant, slower, &url, 100).revision,
            answer(&meant, schedule, &elsewhere, 100).revision,
        ];
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), 5);
        assert!(!revisions.contains(&0));
        let far = answer(&meant, schedule, &elsewhere, 0);
        assert!(far.desired[0].url.starts_with("https://cdn.example/b/"));
    }

    #[test]
    fn a_schedule_out_of_bounds_is_brought_into_them() {
        let schedule = Schedule {
            interval_s: 0,
            long_poll_s: u16::MAX,
        };
        let answer = answer(&Meant::default(), schedule, &BundleUrl::relay(), 0);
        assert_eq!(
            (answer.interval_s, answer.long_poll_s),
            (1, LONG_POLL_S_MAX)
        );
    }
}
