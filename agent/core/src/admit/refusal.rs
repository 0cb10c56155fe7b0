//! Why a bundle may not run here, for programs and for people.
//!
//! Never says more than one cause: the first that was met.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bundle::manifest::{AgentVersion, Text};
use bundle::{Arch, DeviceId, Digest, Label, ServiceName, Utc};

/// Why a bundle may not run here. `wanted` is what would have been right, `found` what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// It is for another processor architecture.
    Arch {
        /// The bundle's.
        wanted: Arch,
        /// The device's.
        found: Arch,
    },
    /// It is for another fleet.
    Fleet {
        /// The bundle's.
        wanted: Label,
        /// The device's.
        found: Label,
    },
    /// It is for other device classes.
    Class {
        /// The bundle's.
        wanted: Vec<Label>,
        /// The device's.
        found: Option<Label>,
    },
    /// It is for other devices.
    DeviceList {
        /// The bundle's.
        wanted: Vec<DeviceId>,
        /// This one's id.
        found: DeviceId,
    },
    /// It needs a newer agent.
    Agent {
        /// The oldest that can run it.
        wanted: AgentVersion,
        /// This agent.
        found: AgentVersion,
    },
    /// It needs a newer keyring.
    Keyring {
        /// The oldest version under which it may be accepted.
        wanted: u32,
        /// The device's version.
        found: u32,
    },
    /// It has certainly expired.
    Expired {
        /// Its last good second since 1970-01-01 UTC.
        not_after: u64,
        /// It is at least this late.
        floor: u64,
    },
    /// It is below the security floor.
    Epoch {
        /// The lowest epoch that may run.
        wanted: u64,
        /// The bundle's.
        found: u64,
    },
    /// It is older than what has been committed.
    Sequence {
        /// The lowest sequence number that may come.
        wanted: u64,
        /// The bundle's.
        found: u64,
    },
    /// It has the sequence number of a committed bundle, and another content.
    SameSequence {
        /// The sequence number.
        seq: u64,
        /// The committed bundle, if the device still holds it.
        wanted: Option<Digest>,
        /// The bundle on offer.
        found: Digest,
    },
    /// A service wants all privileges.
    Privileged {
        /// Which.
        service: ServiceName,
    },
    /// A service wants the device's own network.
    HostNetwork {
        /// Which.
        service: ServiceName,
    },
    /// A service wants a path of the device that is not allowed.
    Bind {
        /// Which.
        service: ServiceName,
        /// The path.
        found: Text,
        /// What is allowed; none means all but the protected paths.
        wanted: Option<Vec<String>>,
    },
    /// A service wants a device node that is not allowed.
    DeviceNode {
        /// Which.
        service: ServiceName,
        /// The node.
        found: Text,
        /// What is allowed; none means all but disks and memory.
        wanted: Option<Vec<String>>,
    },
    /// A service wants a capability that is not allowed.
    Capability {
        /// Which.
        service: ServiceName,
        /// The capability.
        found: Text,
        /// What is allowed; none means all but those that are as good as all privileges.
        wanted: Option<Vec<String>>,
    },
}

impl NotAdmitted {
    /// What to do about it, as one sentence.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Arch { .. } => "pack the app for this architecture (relay pack --arch)",
            Self::Fleet { .. } => {
                "check the fleet in agent.toml, or pack the app for this fleet (relay pack --fleet)"
            }
            Self::Class { .. } => {
                "check device_class in agent.toml, or pack the app for this class (relay pack --class)"
            }
            Self::DeviceList { .. } => {
                "take the bundle that was made for this device (relay pack --device)"
            }
            Self::Agent { .. } => "update the agent first",
            Self::Keyring { .. } => "bring in the newer keyring first",
            Self::Expired { .. } => "take a newer bundle",
            Self::Epoch { .. } => {
                "a newer version closed a security hole for good; pack the content under this epoch"
            }
            Self::Sequence { .. } => {
                "take a newer bundle; to go back, use `agent rollback`, or pack the old content under a higher --seq"
            }
            Self::SameSequence { .. } => {
                "two bundles were packed under one number; pack this one under a higher --seq"
            }
            Self::Privileged { .. }
            | Self::HostNetwork { .. }
            | Self::Bind { .. }
            | Self::DeviceNode { .. }
            | Self::Capability { .. } => {
                "if the device's owner agrees, allow it in the agent's policy file"
            }
        }
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arch { wanted, found } => {
                write!(f, "the bundle is for {wanted}, this device is {found}")
            }
            Self::Fleet { wanted, found } => {
                write!(
                    f,
                    "the bundle is for fleet {wanted}, this device is in {found}"
                )
            }
            Self::Class { wanted, found } => {
                f.write_str("the bundle is for device class ")?;
                alternatives(f, wanted)?;
                match found {
                    Some(class) => write!(f, ", this device is of class {class}"),
                    None => f.write_str(", this device has no class"),
                }
            }
            Self::DeviceList { wanted, found } => {
                f.write_str("the bundle is for device ")?;
                alternatives(f, wanted)?;
                write!(f, " only, this one is {found}")
            }
            Self::Agent { wanted, found } => write!(
                f,
                "the bundle needs agent {}.{}.{}, this is {}.{}.{}",
                wanted.0, wanted.1, wanted.2, found.0, found.1, found.2
            ),
            Self::Keyring { wanted, found } => write!(
                f,
                "the bundle needs keyring version {wanted}, this device has {found}"
            ),
            Self::Expired { not_after, floor } => write!(
                f,
                "the bundle expired at {}, and it is at least {}",
                Utc(*not_after),
                Utc(*floor)
            ),
            Self::Epoch { wanted, found } => write!(
                f,
                "the bundle has epoch {found}, this device takes {wanted} and above"
            ),
            Self::Sequence { wanted, found } => write!(
                f,
                "the bundle has sequence number {found}, this device takes {wanted} and above"
            ),
            Self::SameSequence { seq, wanted, found } => {
                let found = found.short();
                write!(f, "the bundle {found} has sequence number {seq}, ")?;
                match wanted {
                    Some(known) => write!(f, "which is taken by {}", known.short()),
                    None => f.write_str("which another bundle has used"),
                }
            }
            Self::Privileged { service } => {
                write!(
                    f,
                    "service {service} wants all privileges, which this device denies"
                )
            }
            Self::HostNetwork { service } => write!(
                f,
                "service {service} wants the device's own network, which this device denies"
            ),
            Self::Bind {
                service,
                found,
                wanted,
            } => {
                write!(
                    f,
                    "service {service} wants the path {found}; this device allows "
                )?;
                allowed(f, wanted.as_deref(), "all but protected paths")
            }
            Self::DeviceNode {
                service,
                found,
                wanted,
            } => {
                write!(
                    f,
                    "service {service} wants the device {found}; this device allows "
                )?;
                allowed(f, wanted.as_deref(), "all but disks and memory")
            }
            Self::Capability {
                service,
                found,
                wanted,
            } => {
                write!(
                    f,
                    "service {service} wants the capability {found}; this device allows "
                )?;
                allowed(f, wanted.as_deref(), "all but those that equal root")
            }
        }
    }
}

impl core::error::Error for NotAdmitted {}

/// `a, b or c`; of a long list the first few.
fn alternatives<T: fmt::Display>(f: &mut fmt::Formatter<'_>, of: &[T]) -> fmt::Result {
    const SHOWN_MAX: usize = 5;
    let shown = of.len().min(SHOWN_MAX);
    for (at, one) in of[..shown].iter().enumerate() {
        let joint = match at {
            0 => "",
            _ if at + 1 == of.len() => " or ",
            _ => ", ",
        };
        write!(f, "{joint}{one}")?;
    }
    match of.len() - shown {
        0 => Ok(()),
        more => write!(f, " or one of {more} more"),
    }
}

fn allowed(f: &mut fmt::Formatter<'_>, list: Option<&[String]>, default: &str) -> fmt::Result {
    match list {
        None => f.write_str(default),
        Some([]) => f.write_str("none"),
        Some(list) => alternatives(f, list),
    }
}
