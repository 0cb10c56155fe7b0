//! Bundles for other devices, old bundles, bundles that want too much: each is refused by name.

mod policy;
mod sequence;

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::fixtures::{label, manifest};

fn device() -> Device {
    Device {
        arch: Arch::Arm64,
        fleet: label("shops"),
        class: Some(label("kiosk")),
        id: id("device-1"),
        agent: AgentVersion(1, 2, 3),
        keyring: 4,
    }
}

fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

/// A change of bundle and device, and whether they still fit.
type Case = (fn(&mut Manifest, &mut Device), bool);

/// The six conditions in the order in which they are asked, each with every way to meet and to
/// miss it.
fn conditions() -> [(&'static str, Vec<Case>); 6] {
    let arch: Vec<Case> = vec![
        (
            |m, d| (m.target.arch, d.arch) = (Arch::Amd64, Arch::Amd64),
            true,
        ),
        (
            |m, d| (m.target.arch, d.arch) = (Arch::Amd64, Arch::Arm64),
            false,
        ),
        (
            |m, d| (m.target.arch, d.arch) = (Arch::Amd64, Arch::ArmV7),
            false,
        ),
        (
            |m, d| (m.target.arch, d.arch) = (Arch::Arm64, Arch::Amd64),
            false,
        ),
        (
            |m, d| (m.target.arch, d.arch) = (Arch::Arm64, Arch::Arm64),
            true,
        ),
        (
            |m, d| (m.target.arch, d.arch) = (Arch::Arm64, Arch::ArmV7),
            false,
        ),
        (
            |m, d| (m.target.arch, d.arch) = (Arch::ArmV7, Arch::Amd64),
            false,
        ),
        (
            |m, d| (m.target.arch, d.arch) = (Arch::ArmV7, Arch::Arm64),
            false,
        ),
        (
            |m, d| (m.target.arch, d.arch) = (Arch::ArmV7, Arch::ArmV7),
            true,
        ),
    ];
    let fleet: Vec<Case> = vec![
        (|m, _| m.target.fleet = label("shops"), true),
        (|m, _| m.target.fleet = label("Shops"), false),
        (|m, _| m.target.fleet = label("shop"), false),
        (
            |m, d| (m.target.fleet, d.fleet) = (label("shops"), label("shop")),
            false,
        ),
    ];
    let class: Vec<Case> = vec![
        (|_, _| {}, true),
        (|_, d| d.class = None, true),
        (|m, _| m.target.classes = vec![label("kiosk")], true),
        (
            |m, _| m.target.classes = vec![label("gate"), label("kiosk")],
            true,
        ),
        (|m, _| m.target.classes = vec![label("gate")], false),
        (
            |m, _| m.target.classes = vec![label("gate"), label("kiosk2")],
            false,
        ),
        (
            |m, d| (m.target.classes, d.class) = (vec![label("kiosk")], None),
            false,
        ),
    ];
    let devices: Vec<Case> = vec![
        (|_, _| {}, true),
        (|m, _| m.target.devices = vec![id("device-1")], true),
        (
            |m, _| m.target.devices = vec![id("device-2"), id("device-1")],
            true,
        ),
        (|m, _| m.target.devices = vec![id("device-2")], false),
        (
            |m, _| m.target.devices = vec![id("device-10"), id("device")],
            false,
        ),
    ];
    let agent: Vec<Case> = vec![
        (|m, _| m.target.agent_min = AgentVersion(0, 0, 0), true),
        (|m, _| m.target.agent_min = AgentVersion(1, 2, 3), true),
        (|m, _| m.target.agent_min = AgentVersion(0, 9, 9), true),
        (|m, _| m.target.agent_min = AgentVersion(1, 1, 10), true),
        (|m, _| m.target.agent_min = AgentVersion(1, 2, 4), false),
        (|m, _| m.target.agent_min = AgentVersion(1, 3, 0), false),
        (|m, _| m.target.agent_min = AgentVersion(2, 0, 0), false),
    ];
    let keyring: Vec<Case> = vec![
        (|_, _| {}, true),
        (|m, _| m.keyring_min = 4, true),
        (|m, _| m.keyring_min = 5, false),
        (|m, d| (m.keyring_min, d.keyring) = (1, 0), false),
        (|_, d| d.keyring = 0, true),
    ];
    [
        ("arch", arch),
        ("fleet", fleet),
        ("class", class),
        ("devices", devices),
        ("agent", agent),
        ("keyring", keyring),
    ]
}

/// The condition that a refusal is about, and whether it names what was wanted and found.
fn about(refusal: &NotAdmitted, manifest: &Manifest, device: &Device) -> (&'static str, bool) {
    match refusal {
        NotAdmitted::Arch { wanted, found } => (
            "arch",
            *wanted == manifest.target.arch && *found == device.arch,
        ),
        NotAdmitted::Fleet { wanted, found } => (
            "fleet",
            *wanted == manifest.target.fleet && *found == device.fleet,
        ),
        NotAdmitted::Class { wanted, found } => (
            "class",
            *wanted == manifest.target.classes && *found == device.class,
        ),
        NotAdmitted::DeviceList { wanted, found } => (
            "devices",
            *wanted == manifest.target.devices && *found == device.id,
        ),
        NotAdmitted::Agent { wanted, found } => (
            "agent",
            *wanted == manifest.target.agent_min && *found == device.agent,
        ),
        NotAdmitted::Keyring { wanted, found } => (
            "keyring",
            *wanted == manifest.keyring_min && *found == device.keyring,
        ),
        _ => ("something else", false),
    }
}

#[test]
fn a_bundle_for_another_device_is_refused_over_the_full_cross_product() {
    let conditions = conditions();
    let sizes: Vec<usize> = conditions.iter().map(|(_, cases)| cases.len()).collect();
    let all: usize = sizes.iter().product();
    let (mut admitted, mut refused) = (0, 0);
    for combination in 0..all {
        let (mut manifest, mut device) = (manifest(), device());
        let (mut rest, mut missed) = (combination, None);
        for (name, cases) in &conditions {
            let (change, fits) = cases[rest % cases.len()];
            rest /= cases.len();
            change(&mut manifest, &mut device);
            if !fits && missed.is_none() {
                missed = Some(*name);
            }
        }
        match target(&manifest, &device) {
            Ok(()) => {
                assert_eq!(missed, None, "admitted");
                admitted += 1;
            }
            Err(refusal) => {
                assert_eq!(Some(about(&refusal, &manifest, &device).0), missed);
                assert!(about(&refusal, &manifest, &device).1, "{refusal:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(admitted, 3 * 4 * 3 * 4 * 3);
    assert_eq!(admitted + refused, 9 * 4 * 7 * 5 * 7 * 5);
}

#[test]
fn refusals_say_what_is_wanted_and_what_was_found() {
    let check = |refusal: NotAdmitted, sentence: &str| {
        assert_eq!(refusal.to_string(), sentence);
        assert!(refusal.hint().len() > 10);
    };
    check(
        NotAdmitted::Arch {
            wanted: Arch::ArmV7,
            found: Arch::Amd64,
        },
        "the bundle is for arm/v7, this device is amd64",
    );
    check(
        NotAdmitted::Fleet {
            wanted: label("a"),
            found: label("b"),
        },
        "the bundle is for fleet a, this device is in b",
    );
    check(
        NotAdmitted::Class {
            wanted: vec![label("gate"), label("kiosk")],
            found: None,
        },
        "the bundle is for device class gate or kiosk, this device has no class",
    );
    check(
        NotAdmitted::DeviceList {
            wanted: (0..7).map(|n| id(&n.to_string())).collect(),
            found: id("x"),
        },
        "the bundle is for device 0, 1, 2, 3, 4 or one of 2 more only, this one is x",
    );
    check(
        NotAdmitted::Agent {
            wanted: AgentVersion(1, 0, 0),
            found: AgentVersion(0, 9, 1),
        },
        "the bundle needs agent 1.0.0, this is 0.9.1",
    );
    check(
        NotAdmitted::Expired {
            not_after: 1_700_000_000,
            floor: 1_700_000_001,
        },
        "the bundle expired at 2023-11-14T22:13:20Z, and it is at least 2023-11-14T22:13:21Z",
    );
}

#[test]
fn an_expiry_refuses_only_once_it_has_passed_for_certain() {
    let mut manifest = manifest();
    for floor in [0, u64::MAX] {
        assert_eq!(expiry(&manifest, Clock { floor }), Ok(()), "no expiry");
    }
    for (not_after, floor, fits) in [
        (100, 0, true),
        (100, 99, true),
        (100, 100, true),
        (100, 101, false),
        (0, 1, false),
        // Clocks at 1970 and 2038: a device that knows nothing refuses nothing.
        (1_700_000_000, 0, true),
        (1_700_000_000, 2_147_483_648, false),
    ] {
        manifest.not_after = Some(not_after);
        let expected = match fits {
            true => Ok(()),
            false => Err(NotAdmitted::Expired { not_after, floor }),
        };
        assert_eq!(expiry(&manifest, Clock { floor }), expected);
    }
}
