//! What ties the state to one device: a digest of the hardware's own id.
//!
//! A disk that is copied to another board carries the state with it, and the state must notice.
//! The id itself is never stored or shown.

use std::fs;

use bundle::DeviceId;
use sha2::{Digest as _, Sha256};

/// What a binding's digest begins with: separates it from every other digest.
const TAG: &[u8] = b"coracle-device-1\0";

/// Where hardware tells who it is, the best first: what lies on the disk itself (the machine id)
/// is copied with it.
const SOURCES: [&str; 4] = [
    "/sys/firmware/devicetree/base/serial-number",
    "/sys/class/dmi/id/product_uuid",
    "/sys/class/dmi/id/board_serial",
    "/etc/machine-id",
];

/// The digests that may stand for this device, the best first; a record is good if it is bound to
/// any of them, so that one made before a source could be read stays good. At least one.
///
/// A configured device id is mixed in: state does not move from one id to another unnoticed, and
/// several agents on one machine are several devices.
pub(crate) fn bindings(device: Option<&DeviceId>) -> Vec<[u8; 32]> {
    let mut ids: Vec<Vec<u8>> = SOURCES.iter().filter_map(|path| read(path)).collect();
    if ids.is_empty() {
        ids.push(Vec::new());
    }
    ids.iter().map(|id| digest(id, device)).collect()
}

fn digest(hardware: &[u8], device: Option<&DeviceId>) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(TAG);
    hasher.update((hardware.len() as u64).to_le_bytes());
    hasher.update(hardware);
    hasher.update(device.map_or("", |device| device.as_str()));
    hasher.finalize().into()
}

fn read(path: &str) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok()?;
    bytes.retain(|byte| !byte.is_ascii_whitespace() && *byte != 0);
    // Boards without a serial number of their own all say the same.
    let says_nothing = bytes
        .iter()
        .all(|byte| matches!(byte, b'0' | b'-' | b'f' | b'F'))
        || [
            &b"None"[..],
            b"Default string",
            b"NotSpecified",
            b"Tobefilledbyo.e.m.",
        ]
        .iter()
        .any(|empty| bytes.eq_ignore_ascii_case(empty));
    (!bytes.is_empty() && !says_nothing).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_and_configured_id_both_count() {
        let id = DeviceId::new("kiosk-1").unwrap();
        let all = [
            digest(b"a", None),
            digest(b"b", None),
            digest(b"a", Some(&id)),
            digest(b"akiosk-1", None),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|other| other != one), "{i}");
        }
        assert!(!bindings(None).is_empty());
    }
}
