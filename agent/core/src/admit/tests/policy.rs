//! What a signed bundle may do to a device, as tables.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use bundle::manifest::{BindMount, Device, NetworkMode, Service};

use crate::admit::policy::{CAPABILITIES_DENIED, DEVICES_DENIED};
use crate::admit::{LocalPolicy, NotAdmitted, PROTECTED, policy};
use crate::fixtures::{manifest, service, text};

fn strings(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| text.to_string()).collect())
}

/// What the policy says of a manifest with a harmless service and one with this change.
fn ask(local: &LocalPolicy, change: impl FnOnce(&mut Service)) -> Result<(), NotAdmitted> {
    let mut wanting = service("wanting");
    change(&mut wanting);
    let mut manifest = manifest();
    manifest.services = vec![service("harmless"), wanting];
    policy(&manifest, local)
}

fn name() -> bundle::ServiceName {
    bundle::ServiceName::new("wanting").unwrap()
}

fn bind(service: &mut Service, source: &str) {
    service.binds.push(BindMount {
        source: text(source),
        target: text("/mnt"),
        read_only: true,
    });
}

#[test]
fn privileges_and_the_host_network_need_both_signature_and_policy() {
    let local = |privileged, host_network| LocalPolicy {
        privileged,
        host_network,
        ..LocalPolicy::default()
    };
    let privileged = NotAdmitted::Privileged { service: name() };
    let host = NotAdmitted::HostNetwork { service: name() };
    for (allow_privileged, allow_host) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let local = local(allow_privileged, allow_host);
        let expected = |allowed: bool, refusal: &NotAdmitted| match allowed {
            true => Ok(()),
            false => Err(refusal.clone()),
        };
        assert_eq!(ask(&local, |_| {}), Ok(()));
        let asked = ask(&local, |service| service.privileged = true);
        assert_eq!(asked, expected(allow_privileged, &privileged));
        let asked = ask(&local, |service| service.network = NetworkMode::Host);
        assert_eq!(asked, expected(allow_host, &host));
        let bridge = NetworkMode::Bridge(Vec::new());
        assert_eq!(ask(&local, |service| service.network = bridge), Ok(()));
    }
    assert_eq!(LocalPolicy::default(), local(false, true));
}

#[test]
fn by_default_binds_are_open_but_for_protected_paths() {
    let local = LocalPolicy::default();
    for open in [
        "/data",
        "/data/x",
        "/home/app",
        "/srv/",
        "/mnt/usb",
        "/var/log/app",
        "/etcetera",
    ] {
        assert!(local.bind_allowed(open), "{open}");
        assert_eq!(ask(&local, |service| bind(service, open)), Ok(()));
    }
    for shut in [
        "/",
        "//",
        "/.",
        "/etc",
        "/etc/",
        "/etc/passwd",
        "//etc",
        "/./etc",
        "/etc/../data",
        "/data/..",
        "/data/../etc",
        "/..",
        "",
        ".",
        "data",
        "../etc",
        "/run",
        "/var",
        "/var/lib",
        "/var/lib/coracle",
        "/var/lib/coracle/state.a",
        "/run/podman/podman.sock",
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/proc/1",
        "/sys",
        "/dev/sda",
        "/root/.ssh",
    ] {
        assert!(!local.bind_allowed(shut), "{shut}");
        let refusal = NotAdmitted::Bind {
            service: name(),
            found: text(shut),
            wanted: None,
        };
        assert_eq!(ask(&local, |service| bind(service, shut)), Err(refusal));
    }
}

#[test]
fn an_allow_list_opens_what_it_names_and_nothing_protected_by_accident() {
    let check = |entries: &[&str], path: &str, expected: bool| {
        let local = LocalPolicy {
            binds: strings(entries),
            ..LocalPolicy::default()
        };
        assert_eq!(
            local.bind_allowed(path),
            expected,
            "{path} under {entries:?}"
        );
    };
    check(&[], "/data", false);
    check(&["/data"], "/data", true);
    check(&["/data"], "/data/x", true);
    check(&["/data/"], "/data/x", true);
    check(&["/data"], "/database", false);
    check(&["/data/x"], "/data", false);
    check(&["data"], "/data", false);
    check(&["/data/../etc"], "/etc", false);
    // A protected path must be named, or something in it.
    check(&["/"], "/data", true);
    check(&["/"], "/etc", false);
    check(&["/"], "/etc/localtime", false);
    check(&["/etc"], "/etc/localtime", true);
    check(&["/etc/localtime"], "/etc/localtime", true);
    check(&["/etc/localtime"], "/etc/passwd", false);
    check(&["/etc/localtime"], "/etc", false);
    // What contains a protected path must be named as it is.
    check(&["/"], "/", true);
    check(&["/"], "/var", false);
    check(&["/var"], "/var", true);
    check(&["/var"], "/var/lib", false);
    check(&["/var"], "/var/log", true);
    check(&["/var"], "/var/lib/coracle", false);
    check(&["/nothing", "/data"], "/data", true);
}

#[test]
fn protected_paths_are_absolute_sorted_and_distinct() {
    assert!(PROTECTED.iter().all(|path| path.starts_with('/')));
    assert!(PROTECTED.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn device_nodes_are_open_but_for_disks_and_memory() {
    let device = |source: &str| Device {
        source: text(source),
        target: text(source),
        permissions: text("rw"),
    };
    let local = LocalPolicy::default();
    for open in [
        "/dev/ttyUSB0",
        "/dev/dri/card0",
        "/dev/snd",
        "/dev/video0",
        "/dev/gpiochip0",
    ] {
        assert!(local.device_allowed(open), "{open}");
    }
    for shut in [
        "/dev",
        "/dev/",
        "/dev/.",
        "/dev/mem",
        "/dev/sda",
        "/dev/mmcblk0p1",
        "/dev/nvme0n1",
        "/dev/dm-0",
        "/dev/mapper/x",
        "/dev/../dev/mem",
        "//dev/mem",
        "/dev//mem",
        "/dev/./sda",
        "/etc/passwd",
        "dev/ttyUSB0",
    ] {
        assert!(!local.device_allowed(shut), "{shut}");
        let refusal = NotAdmitted::DeviceNode {
            service: name(),
            found: text(shut),
            wanted: None,
        };
        let asked = ask(&local, |service| service.devices = vec![device(shut)]);
        assert_eq!(asked, Err(refusal));
    }
    let listed = LocalPolicy {
        devices: strings(&["/dev/snd", "/dev/mem"]),
        ..LocalPolicy::default()
    };
    for (path, expected) in [
        ("/dev/snd", true),
        ("/dev/snd/pcmC0D0p", true),
        ("/dev/mem", true),
        ("/dev/sndx", false),
        ("/dev/ttyUSB0", false),
    ] {
        assert_eq!(listed.device_allowed(path), expected, "{path}");
    }
}

#[test]
fn capabilities_as_good_as_root_are_not_for_the_asking() {
    let local = LocalPolicy::default();
    let add = |capability: &'static str| move |s: &mut Service| s.cap_add = vec![text(capability)];
    for open in [
        "NET_ADMIN",
        "NET_RAW",
        "SYS_NICE",
        "SYS_TIME",
        "CAP_NET_BIND_SERVICE",
    ] {
        assert_eq!(ask(&local, add(open)), Ok(()), "{open}");
    }
    for shut in [
        "ALL",
        "all",
        "SYS_ADMIN",
        "sys_admin",
        "CAP_SYS_ADMIN",
        "cap_sys_admin",
        "SYS_MODULE",
    ] {
        let refusal = NotAdmitted::Capability {
            service: name(),
            found: text(shut),
            wanted: None,
        };
        assert_eq!(ask(&local, add(shut)), Err(refusal));
    }
    let listed = LocalPolicy {
        capabilities: strings(&["SYS_ADMIN"]),
        ..LocalPolicy::default()
    };
    assert_eq!(ask(&listed, add("CAP_SYS_ADMIN")), Ok(()));
    assert!(ask(&listed, add("NET_RAW")).is_err());
    assert!(ask(&listed, add("ALL")).is_err());
    let all = LocalPolicy {
        capabilities: strings(&["ALL"]),
        ..LocalPolicy::default()
    };
    assert_eq!(ask(&all, add("SYS_MODULE")), Ok(()));
    // To drop is always allowed.
    assert_eq!(
        ask(&local, |service| service.cap_drop = vec![text("ALL")]),
        Ok(())
    );
}

#[test]
fn policy_refusals_say_what_is_allowed() {
    let local = LocalPolicy {
        binds: strings(&["/data", "/srv"]),
        devices: strings(&[]),
        ..LocalPolicy::default()
    };
    let refusal = ask(&local, |service| bind(service, "/opt")).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "service wanting wants the path /opt; this device allows /data or /srv"
    );
    let node = Device {
        source: text("/dev/snd"),
        target: text("/dev/snd"),
        permissions: text("rw"),
    };
    let refusal = ask(&local, |service| service.devices = vec![node]).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "service wanting wants the device /dev/snd; this device allows none"
    );
    let refusal = ask(&local, |service| service.privileged = true).unwrap_err();
    assert!(refusal.hint().contains("policy file"));
}

#[test]
fn the_docs_list_what_is_denied() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.toml.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let listed = |after: &str| -> Vec<String> {
        let (_, list) = docs.split_once(after).unwrap();
        let (list, _) = list.split_once(".\n").unwrap();
        list.split('`')
            .skip(1)
            .step_by(2)
            .map(String::from)
            .collect()
    };
    assert_eq!(listed("Protected paths:"), PROTECTED);
    assert_eq!(listed("names in `/dev`:"), DEVICES_DENIED);
    assert_eq!(listed("Capabilities that equal root:"), CAPABILITIES_DENIED);
}
