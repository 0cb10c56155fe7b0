//! An id for a device that nobody named.
//!
//! systemd asks programs not to show the machine id itself (machine-id(5)), so it is hashed with
//! a tag of ours. Never written anywhere: the same machine always gives the same id.

use std::fs;

use bundle::DeviceId;
use sha2::{Digest as _, Sha256};

/// What the machine says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// `/etc/machine-id`.
    pub(super) machine_id: Option<String>,
    /// The serial number in the device tree.
    pub(super) serial: Option<String>,
    /// The host name.
    pub(super) host_name: Option<String>,
}

impl Machine {
    /// This machine.
    pub(super) fn this() -> Self {
        Self {
            machine_id: fs::read_to_string("/etc/machine-id").ok(),
            serial: fs::read_to_string("/sys/firmware/devicetree/base/serial-number").ok(),
            host_name: nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok()),
        }
    }
}

/// The id: 16 hexadecimal digits of a hash of the machine id, else of the serial number, else the
/// host name as it is; none if the machine has nothing of these.
pub(super) fn derive(machine: &Machine) -> Option<DeviceId> {
    let id = |text: &Option<String>| {
        text.as_deref()
            .map(|t| t.trim_end_matches(['\0', '\n']).trim().to_owned())
    };
    let is_machine_id =
        |text: &String| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_serial = |text: &String| text.bytes().any(|b| !matches!(b, b'0' | b' '));
    let is_host = |text: &String| !text.starts_with("localhost");
    id(&machine.machine_id)
        .filter(is_machine_id)
        .map(|text| hashed("machine-id", &text))
        .or_else(|| {
            id(&machine.serial)
                .filter(is_serial)
                .map(|text| hashed("serial", &text))
        })
        .or_else(|| id(&machine.host_name).filter(is_host))
        .and_then(|text| DeviceId::new(&text).ok())
}

fn hashed(kind: &str, text: &str) -> String {
    let hash = Sha256::new()
        .chain_update(b"coracle device id\0")
        .chain_update(kind)
        .chain_update(b"\0")
        .chain_update(text.to_ascii_lowercase())
        .finalize();
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_usable_source_gives_the_id() {
        let text = |text: &str| Some(text.to_owned());
        let good = "0123456789abcdef0123456789abcdef\n";
        let of = |machine_id: Option<String>, serial: Option<String>, host_name: Option<String>| {
            derive(&Machine {
                machine_id,
                serial,
                host_name,
            })
            .map(String::from)
        };
        let from_id = of(text(good), text("10000000abc\0"), text("till-4")).unwrap();
        assert_eq!(from_id.len(), 16);
        assert!(
            !good.contains(&from_id),
            "the machine id itself stays private"
        );
        let from_serial = of(text("uninitialized\n"), text("10000000abc\0"), None).unwrap();
        assert_ne!(from_serial, from_id);
        assert_eq!(from_serial, of(None, text("10000000abc"), None).unwrap());
        assert_eq!(
            of(text(""), text("00000000\0"), text("till-4")),
            text("till-4")
        );
        assert_eq!(of(None, None, text("localhost")), None);
        assert_eq!(of(None, None, text("(none)")), None);
        assert_eq!(of(None, None, None), None);
    }

    #[test]
    fn the_id_never_changes_between_releases() {
        let machine_id = Some("0123456789abcdef0123456789abcdef".to_owned());
        let id = derive(&Machine {
            machine_id,
            ..Machine::default()
        })
        .unwrap();
        assert_eq!(id.as_str(), "d8e4d7a1b2f89324");
    }
}
