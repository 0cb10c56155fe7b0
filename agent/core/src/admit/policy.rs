//! What the device's owner lets signed bundles do to the device.
//!
//! A signature says who made a bundle, not that a device must give it everything: privileges,
//! the host's network, its paths and its devices need both. Never resolves symbolic links: whoever
//! mounts a path asks [`LocalPolicy::bind_allowed`] again with what it resolves to.

use alloc::string::String;
use alloc::vec::Vec;

use bundle::Manifest;
use bundle::manifest::{NetworkMode, Service, Text};
use serde::Deserialize;

use super::NotAdmitted;

/// The device's own rules; read from the agent's `policy_file`, where a missing key means the
/// default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalPolicy {
    /// Whether services may be privileged (default: no).
    pub privileged: bool,
    /// Whether services may be on the device's own network (default: yes).
    pub host_network: bool,
    /// Paths below which services may mount the device's files. A [protected](PROTECTED) path is
    /// open only to an entry that names it or lies in it, and what contains one only to an entry
    /// that is equal to it. Default: everything that is not protected.
    pub binds: Option<Vec<String>>,
    /// Device nodes, or directories of them, that services may have. Default: everything in `/dev`
    /// but disks and memory.
    pub devices: Option<Vec<String>>,
    /// Capabilities that services may add, without `CAP_`; `ALL` for all. Default: all but those
    /// that are as good as being root on the device.
    pub capabilities: Option<Vec<String>>,
}

impl Default for LocalPolicy {
    fn default() -> Self {
        Self {
            privileged: false,
            host_network: true,
            binds: None,
            devices: None,
            capabilities: None,
        }
    }
}

/// Paths that give away the device: the system itself, this agent's state and keys, and the
/// sockets and stores of container runtimes.
pub const PROTECTED: [&str; 22] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run/containerd",
    "/run/coracle",
    "/run/docker.sock",
    "/run/podman",
    "/run/systemd",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/coracle",
    "/var/lib/docker",
    "/var/run",
    "/var/spool/cron",
];

/// Beginnings of the names in `/dev` that lead to disks, memory or the kernel's insides.
pub(super) const DEVICES_DENIED: [&str; 14] = [
    "block", "disk", "dm-", "kmem", "kmsg", "loop", "mapper", "mem", "mmcblk", "mtd", "nvme",
    "port", "sd", "ubi",
];

/// Capabilities that are as good as being root on the device (capabilities(7)).
pub(super) const CAPABILITIES_DENIED: [&str; 11] = [
    "ALL",
    "BPF",
    "DAC_READ_SEARCH",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "PERFMON",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
];

impl LocalPolicy {
    /// Whether a service may mount this absolute path of the device.
    pub fn bind_allowed(&self, path: &str) -> bool {
        let Some(path) = Path::new(path) else {
            return false;
        };
        let protected = || PROTECTED.iter().filter_map(|text| Path::new(text));
        match &self.binds {
            None => !protected().any(|p| p.covers(&path) || path.covers(&p)),
            Some(entries) => entries
                .iter()
                .filter_map(|text| Path::new(text))
                .any(|entry| {
                    let open = |p: Path| {
                        (!p.covers(&path) || p.covers(&entry))
                            && (!path.covers(&p) || path == entry)
                    };
                    entry.covers(&path) && protected().all(open)
                }),
        }
    }

    /// Whether a service may have this device node.
    pub fn device_allowed(&self, path: &str) -> bool {
        let Some(node) = Path::new(path) else {
            return false;
        };
        match &self.devices {
            None => match node.0[..] {
                ["dev", name, ..] => !DEVICES_DENIED.iter().any(|denied| name.starts_with(denied)),
                _ => false,
            },
            Some(entries) => entries
                .iter()
                .filter_map(|text| Path::new(text))
                .any(|entry| entry.covers(&node)),
        }
    }

    /// Whether a service may add this capability.
    pub fn capability_allowed(&self, capability: &str) -> bool {
        let same = |one: &str| bare(one).eq_ignore_ascii_case(bare(capability));
        match &self.capabilities {
            None => !CAPABILITIES_DENIED.iter().any(|denied| same(denied)),
            Some(entries) => entries
                .iter()
                .any(|entry| same(entry) || bare(entry).eq_ignore_ascii_case("ALL")),
        }
    }

    fn service(&self, service: &Service) -> Result<(), NotAdmitted> {
        let name = || service.name.clone();
        if service.privileged && !self.privileged {
            return Err(NotAdmitted::Privileged { service: name() });
        }
        if service.network == NetworkMode::Host && !self.host_network {
            return Err(NotAdmitted::HostNetwork { service: name() });
        }
        let binds = service.binds.iter().map(|bind| &bind.source);
        if let Some(found) = first_denied(binds, |path| self.bind_allowed(path)) {
            return Err(NotAdmitted::Bind {
                service: name(),
                found,
                wanted: self.binds.clone(),
            });
        }
        let nodes = service.devices.iter().map(|device| &device.source);
        if let Some(found) = first_denied(nodes, |path| self.device_allowed(path)) {
            return Err(NotAdmitted::DeviceNode {
                service: name(),
                found,
                wanted: self.devices.clone(),
            });
        }
        if let Some(found) =
            first_denied(service.cap_add.iter(), |cap| self.capability_allowed(cap))
        {
            return Err(NotAdmitted::Capability {
                service: name(),
                found,
                wanted: self.capabilities.clone(),
            });
        }
        Ok(())
    }
}

/// Whether the device's own rules allow all that the bundle's services want.
///
/// # Errors
/// [`NotAdmitted`] names the first service, and what it may not have.
pub fn policy(manifest: &Manifest, policy: &LocalPolicy) -> Result<(), NotAdmitted> {
    manifest
        .services
        .iter()
        .try_for_each(|service| policy.service(service))
}

fn first_denied<'a>(
    mut texts: impl Iterator<Item = &'a Text>,
    allowed: impl Fn(&str) -> bool,
) -> Option<Text> {
    texts.find(|text| !allowed(text)).cloned()
}

/// The capability without `CAP_`, in whichever case.
fn bare(capability: &str) -> &str {
    match capability.split_at_checked(4) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("CAP_") => rest,
        _ => capability,
    }
}

/// An absolute path in its components, without `.`, `..` and empty ones; `/` has none.
#[derive(PartialEq, Eq)]
struct Path<'a>(Vec<&'a str>);

impl<'a> Path<'a> {
    /// None if the path is relative or climbs with `..`: such a path is never allowed.
    fn new(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let components: Vec<&str> = rest
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        (!components.contains(&"..")).then_some(Self(components))
    }

    /// Whether `other` is this path or lies below it.
    fn covers(&self, other: &Path<'_>) -> bool {
        other.0.starts_with(&self.0)
    }
}
