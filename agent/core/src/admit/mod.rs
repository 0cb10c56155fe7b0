//! May this verified bundle run on this device?
//!
//! In the order in which a device asks: [`target`] (is it for this device?), [`expiry`] (is it
//! certainly too old?), [`policy()`] (does the device allow what it wants?), [`sequence()`] (does it
//! move forward?). Each refusal is a [`NotAdmitted`] with what was wanted and what was found.
//!
//! Never checks a signature: only what [`bundle`] has verified comes here.

mod clock;
mod policy;
mod refusal;
mod sequence;
#[cfg(test)]
mod tests;

pub use clock::{Clock, TimeFloor};
pub use policy::{LocalPolicy, PROTECTED, policy};
pub use refusal::NotAdmitted;
pub use sequence::{Admitted, sequence};

use bundle::manifest::AgentVersion;
use bundle::{Arch, DeviceId, Label, Manifest};

/// What this device is, as far as bundles ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its processor architecture.
    pub arch: Arch,
    /// Its fleet.
    pub fleet: Label,
    /// Its class, if it has one.
    pub class: Option<Label>,
    /// Its id.
    pub id: DeviceId,
    /// The version of this agent.
    pub agent: AgentVersion,
    /// The version of its keyring; 0 for plain key files.
    pub keyring: u32,
}

/// Whether the bundle is for this device.
///
/// # Errors
/// [`NotAdmitted`] names the first condition that does not hold.
pub fn target(manifest: &Manifest, device: &Device) -> Result<(), NotAdmitted> {
    let target = &manifest.target;
    if target.arch != device.arch {
        return Err(NotAdmitted::Arch {
            wanted: target.arch,
            found: device.arch,
        });
    }
    if target.fleet != device.fleet {
        return Err(NotAdmitted::Fleet {
            wanted: target.fleet.clone(),
            found: device.fleet.clone(),
        });
    }
    let in_class = |class: &Label| target.classes.contains(class);
    if !target.classes.is_empty() && !device.class.as_ref().is_some_and(in_class) {
        return Err(NotAdmitted::Class {
            wanted: target.classes.clone(),
            found: device.class.clone(),
        });
    }
    if !target.devices.is_empty() && !target.devices.contains(&device.id) {
        return Err(NotAdmitted::DeviceList {
            wanted: target.devices.clone(),
            found: device.id.clone(),
        });
    }
    if device.agent < target.agent_min {
        return Err(NotAdmitted::Agent {
            wanted: target.agent_min,
            found: device.agent,
        });
    }
    if device.keyring < manifest.keyring_min {
        return Err(NotAdmitted::Keyring {
            wanted: manifest.keyring_min,
            found: device.keyring,
        });
    }
    Ok(())
}

/// Whether the bundle may still be acceptable: only an expiry that has passed for certain refuses.
///
/// # Errors
/// [`NotAdmitted::Expired`] if the expiry lies before the clock's floor.
pub fn expiry(manifest: &Manifest, clock: Clock) -> Result<(), NotAdmitted> {
    match manifest.not_after {
        Some(not_after) if not_after < clock.floor => Err(NotAdmitted::Expired {
            not_after,
            floor: clock.floor,
        }),
        _ => Ok(()),
    }
}
