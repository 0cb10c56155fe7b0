//! Bundles as the relay knows them, and which of a release fits which device.
//!
//! Never trusts itself over the device: that verifies and admits each bundle again. What is asked
//! here saves a fleet from being told to fetch what it would refuse.

use std::fmt;

use bundle::manifest::{AgentVersion, Target, Variable};
use bundle::{AppName, Arch, DeviceId, Digest, Label, Utc, VersionLabel};
use relay_api::device::DeviceFacts;

/// A bundle that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// SHA-256 of the file.
    pub(crate) file: Digest,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// SHA-256 of the manifest: its identity.
    pub(crate) digest: Digest,
    /// The app.
    pub(crate) app: AppName,
    /// The version.
    pub(crate) version: VersionLabel,
    /// Its `seq`.
    pub(crate) seq: u64,
    /// Its `epoch`.
    pub(crate) epoch: u64,
    /// When it was made: seconds since 1970-01-01 UTC.
    pub(crate) issued_at: u64,
    /// When it expires, if ever.
    pub(crate) not_after: Option<u64>,
    /// Which devices it is for.
    pub(crate) target: Target,
    /// The schema of its variables.
    pub(crate) variables: Vec<Variable>,
    /// The ids of the keys that it says it is signed by.
    pub(crate) keys: Vec<String>,
}

impl Bundle {
    /// What makes two bundles of one app and `seq` rivals: they are for the same target. The
    /// agent's version does not count, as it does not decide between them.
    pub(crate) fn target_key(&self) -> String {
        let sorted = |mut texts: Vec<&str>| {
            texts.sort_unstable();
            texts.dedup();
            texts.join(",")
        };
        let target = &self.target;
        let classes = sorted(target.classes.iter().map(Label::as_str).collect());
        let devices = sorted(target.devices.iter().map(DeviceId::as_str).collect());
        format!("{} {} {classes};{devices}", target.arch, target.fleet)
    }
}

/// Why a bundle does not fit a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It is for another architecture.
    Arch { wanted: Arch, found: Arch },
    /// It is for another fleet.
    Fleet { wanted: Label, found: Label },
    /// It is for other device classes.
    Class {
        wanted: Vec<Label>,
        found: Option<Label>,
    },
    /// It is for certain devices, and this is none of them.
    DeviceList,
    /// The agent is too old.
    Agent {
        wanted: AgentVersion,
        found: AgentVersion,
    },
    /// It has expired.
    Expired(u64),
    /// The device has committed a higher `seq`.
    Ahead { device: u64, bundle: u64 },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |v: &AgentVersion| format!("{}.{}.{}", v.0, v.1, v.2);
        match self {
            Self::Arch { wanted, found } => {
                write!(f, "the bundle is for {wanted}, the device is {found}")
            }
            Self::Fleet { wanted, found } => write!(
                f,
                "the bundle is for the fleet {wanted}, the device is in {found}"
            ),
            Self::Class { wanted, found } => {
                let wanted: Vec<&str> = wanted.iter().map(Label::as_str).collect();
                write!(f, "the bundle is for the class {}, ", wanted.join(" or "))?;
                match found {
                    Some(found) => write!(f, "the device is a {found}"),
                    None => f.write_str("the device has none"),
                }
            }
            Self::DeviceList => f.write_str("the bundle is for certain other devices"),
            Self::Agent { wanted, found } => write!(
                f,
                "the bundle needs agent {}, the device has {}",
                version(wanted),
                version(found)
            ),
            Self::Expired(not_after) => {
                write!(f, "the bundle expired on {}", Utc(*not_after))
            }
            Self::Ahead { device, bundle } => write!(
                f,
                "the device has committed seq {device}, the bundle has seq {bundle}"
            ),
        }
    }
}

/// What of a device decides whether a bundle fits it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// Its id.
    pub(crate) id: &'a DeviceId,
    /// What it is.
    pub(crate) facts: &'a DeviceFacts,
    /// `seq` of the generation of the app that it has committed last, as far as it is known.
    pub(crate) committed_seq: Option<u64>,
}

/// Whether the bundle fits the device `now`.
///
/// # Errors
/// [`Misfit`]: the first condition that does not hold.
pub(crate) fn fit(bundle: &Bundle, device: Candidate<'_>, now: u64) -> Result<(), Misfit> {
    let (target, facts) = (&bundle.target, device.facts);
    if target.arch != facts.arch {
        return Err(Misfit::Arch {
            wanted: target.arch,
            found: facts.arch,
        });
    }
    if target.fleet != facts.fleet {
        return Err(Misfit::Fleet {
            wanted: target.fleet.clone(),
            found: facts.fleet.clone(),
        });
    }
    let in_class = |class: &Label| target.classes.contains(class);
    if !target.classes.is_empty() && !facts.class.as_ref().is_some_and(in_class) {
        return Err(Misfit::Class {
            wanted: target.classes.clone(),
            found: facts.class.clone(),
        });
    }
    if !target.devices.is_empty() && !target.devices.contains(device.id) {
        return Err(Misfit::DeviceList);
    }
    if facts.agent < target.agent_min {
        return Err(Misfit::Agent {
            wanted: target.agent_min,
            found: facts.agent,
        });
    }
    match bundle.not_after {
        Some(not_after) if not_after < now => return Err(Misfit::Expired(not_after)),
        _ => {}
    }
    match device.committed_seq {
        Some(seq) if seq > bundle.seq => Err(Misfit::Ahead {
            device: seq,
            bundle: bundle.seq,
        }),
        _ => Ok(()),
    }
}

/// The bundle of a release that the device gets, with what the caller has with it: of those that
/// fit, the one with the highest `seq`, and of those with the same, the first.
///
/// # Errors
/// [`Misfit`] of the bundle that comes nearest: the newest for the device's architecture, else the
/// newest. An empty release gives none.
pub(crate) fn choose<'a, T>(
    release: impl IntoIterator<Item = (T, &'a Bundle)>,
    device: Candidate<'_>,
    now: u64,
) -> Result<T, Option<Misfit>> {
    let mut best: Option<(T, u64)> = None;
    let mut misfit: Option<((bool, u64), Misfit)> = None;
    for (item, bundle) in release {
        match fit(bundle, device, now) {
            Ok(()) if best.as_ref().is_none_or(|(_, seq)| bundle.seq > *seq) => {
                best = Some((item, bundle.seq));
            }
            Ok(()) => {}
            Err(why) => {
                let near = (bundle.target.arch == device.facts.arch, bundle.seq);
                if misfit.as_ref().is_none_or(|(other, _)| near > *other) {
                    misfit = Some((near, why));
                }
            }
        }
    }
    best.map(|(item, _)| item).ok_or(misfit.map(|(_, why)| why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        Label::new(text).unwrap()
    }

    fn bundle(seq: u64) -> Bundle {
        Bundle {
            file: Digest::of(&seq.to_be_bytes()),
            bytes: 1,
            digest: Digest::of(b"manifest"),
            app: "kiosk".parse().unwrap(),
            version: "1".parse().unwrap(),
            seq,
            epoch: 0,
            issued_at: 0,
            not_after: Some(1000),
            target: Target {
                arch: Arch::Arm64,
                fleet: label("default"),
                classes: vec![],
                devices: vec![],
                agent_min: AgentVersion(1, 2, 3),
            },
            variables: vec![],
            keys: vec![],
        }
    }

    fn facts() -> DeviceFacts {
        DeviceFacts {
            agent: AgentVersion(1, 2, 3),
            arch: Arch::Arm64,
            fleet: label("default"),
            class: Some(label("panel")),
            time_zone: None,
            labels: vec![],
        }
    }

    /// A change of a bundle and of a device.
    type Edit = fn(&mut Bundle, &mut DeviceFacts);

    #[test]
    fn a_bundle_fits_if_every_condition_holds() {
        let cases: [(Edit, Option<u64>, u64, &str); 15] = [
            (|_, _| {}, None, 0, ""),
            (|_, _| {}, Some(7), 1000, ""),
            (|b, _| b.not_after = None, None, u64::MAX, ""),
            (|_, f| f.agent = AgentVersion(2, 0, 0), None, 0, ""),
            (
                |b, _| b.target.classes = vec![label("x"), label("panel")],
                None,
                0,
                "",
            ),
            (
                |b, _| b.target.devices = vec!["pump-7".parse().unwrap()],
                None,
                0,
                "",
            ),
            (|_, f| f.class = None, None, 0, ""),
            (
                |_, f| f.arch = Arch::ArmV7,
                None,
                0,
                "the bundle is for arm64, the device is arm/v7",
            ),
            (
                |b, _| b.target.fleet = label("ships"),
                None,
                0,
                "the bundle is for the fleet ships, the device is in default",
            ),
            (
                |b, _| b.target.classes = vec![label("x"), label("y")],
                None,
                0,
                "the bundle is for the class x or y, the device is a panel",
            ),
            (
                |b, f| (b.target.classes, f.class) = (vec![label("x")], None),
                None,
                0,
                "the bundle is for the class x, the device has none",
            ),
            (
                |b, _| b.target.devices = vec!["pump-8".parse().unwrap()],
                None,
                0,
                "the bundle is for certain other devices",
            ),
            (
                |_, f| f.agent = AgentVersion(1, 2, 2),
                None,
                0,
                "the bundle needs agent 1.2.3, the device has 1.2.2",
            ),
            (
                |_, _| {},
                None,
                1001,
                "the bundle expired on 1970-01-01T00:16:40Z",
            ),
            (
                |_, _| {},
                Some(8),
                0,
                "the device has committed seq 8, the bundle has seq 7",
            ),
        ];
        let id: DeviceId = "pump-7".parse().unwrap();
        for (edit, committed_seq, now, said) in cases {
            let (mut bundle, mut facts) = (bundle(7), facts());
            edit(&mut bundle, &mut facts);
            let candidate = Candidate {
                id: &id,
                facts: &facts,
                committed_seq,
            };
            let found = fit(&bundle, candidate, now);
            assert_eq!(
                found.map_or_else(|m| m.to_string(), |()| String::new()),
                said
            );
        }
    }

    #[test]
    fn of_a_release_the_newest_that_fits_is_chosen() {
        let id: DeviceId = "pump-7".parse().unwrap();
        let facts = facts();
        let candidate = Candidate {
            id: &id,
            facts: &facts,
            committed_seq: None,
        };
        let pick = |bundles: &[Bundle]| {
            let items = bundles.iter().map(|bundle| (bundle.seq, bundle));
            choose(items, candidate, 0)
        };
        let (mut amd64, mut young) = (bundle(9), bundle(8));
        amd64.target.arch = Arch::Amd64;
        young.target.agent_min = AgentVersion(9, 0, 0);
        assert_eq!(pick(&[bundle(1), bundle(3), bundle(2)]), Ok(3));
        assert_eq!(pick(&[amd64.clone(), bundle(1), young.clone()]), Ok(1));
        assert_eq!(pick(&[]), Err(None));
        // The reason that helps: of the bundle that is for such a device.
        let misfit = pick(&[amd64.clone(), young, amd64]).unwrap_err();
        assert!(matches!(misfit, Some(Misfit::Agent { .. })), "{misfit:?}");
    }

    #[test]
    fn rivals_are_bundles_for_the_same_target() {
        let with = |edit: fn(&mut Target)| {
            let mut bundle = bundle(1);
            edit(&mut bundle.target);
            bundle.target_key()
        };
        let same = [
            with(|t| t.classes = vec![label("a"), label("b")]),
            with(|t| t.classes = vec![label("b"), label("a"), label("b")]),
            with(|t| {
                t.classes = vec![label("a"), label("b")];
                t.agent_min = AgentVersion(0, 0, 0);
            }),
        ];
        assert!(same.iter().all(|key| *key == same[0]), "{same:?}");
        let others = [
            with(|_| {}),
            with(|t| t.arch = Arch::Amd64),
            with(|t| t.fleet = label("x")),
            with(|t| t.classes = vec![label("a")]),
            with(|t| t.devices = vec!["a".parse().unwrap()]),
        ];
        for (i, key) in others.iter().enumerate() {
            assert!(!others[..i].contains(key) && *key != same[0], "{key}");
        }
    }
}
