//! The device's own key, and what it signs (clauses D10 to D13 of `docs/device-protocol.md`).
//!
//! Made once, on the device, and durable before anything is signed with it. The private half
//! never leaves the file `device.key`, and is never shown.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::Digest;
use relay_api::device::signed_text;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::state::vfs::{Vfs, read, replace};

/// The file, below the state folder: PKCS#8 (RFC 5958) of an Ed25519 key (RFC 8410), in DER.
const FILE: &str = "device.key";
/// Most bytes of it that are read; such a key has 83.
const FILE_BYTES_MAX: usize = 256;

/// The device's key.
pub(crate) struct DeviceKey(Ed25519KeyPair);

impl DeviceKey {
    /// The key in this state folder; none if there is none yet.
    ///
    /// # Errors
    /// `InvalidData` if the file is damaged; else what reading gives.
    pub(crate) fn open(vfs: &dyn Vfs, dir: &Path) -> io::Result<Option<Self>> {
        let Some(bytes) = read(vfs, &dir.join(FILE), FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        let pair = Ed25519KeyPair::from_pkcs8(&bytes);
        pair.map(|pair| Some(Self(pair)))
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// A new key, in the place of one that was there. A crash in the middle leaves the old one,
    /// or none.
    ///
    /// # Errors
    /// No randomness, or what writing gives.
    pub(crate) fn make(vfs: &dyn Vfs, dir: &Path) -> io::Result<Self> {
        let random = SystemRandom::new();
        let bytes = Ed25519KeyPair::generate_pkcs8(&random)
            .map_err(|_| io::Error::other("the kernel gives no random numbers"))?;
        replace(vfs, &dir.join(FILE), bytes.as_ref(), 0o600)?;
        let pair = Ed25519KeyPair::from_pkcs8(bytes.as_ref());
        pair.map(Self)
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The public half.
    pub(crate) fn public(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // Both are 32 bytes (RFC 8032).
        bytes.copy_from_slice(self.0.public_key().as_ref());
        bytes
    }

    /// The signature of a request, as its header has it.
    pub(crate) fn sign(&self, method: &str, path: &str, body: &[u8], challenge: &str) -> String {
        let text = signed_text(method, path, &Digest::of(body), challenge);
        URL_SAFE_NO_PAD.encode(self.0.sign(text.as_bytes()))
    }
}

impl fmt::Debug for DeviceKey {
    /// The public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", URL_SAFE_NO_PAD.encode(self.public()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;
    use crate::state::vfs::RealVfs;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(DeviceKey::open(&RealVfs, dir.path()).unwrap().is_none());
        let made = DeviceKey::make(&RealVfs, dir.path()).unwrap();
        let found = DeviceKey::open(&RealVfs, dir.path()).unwrap().unwrap();
        assert_eq!(made.public(), found.public());
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_said_to_be_damaged_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        DeviceKey::make(&RealVfs, dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let error = DeviceKey::open(&RealVfs, dir.path()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {at}");
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(DeviceKey::open(&RealVfs, dir.path()).is_err());
    }

    #[test]
    fn a_signature_is_over_method_path_body_and_challenge() {
        let dir = tempfile::tempdir().unwrap();
        let key = DeviceKey::make(&RealVfs, dir.path()).unwrap();
        let signature = key.sign("POST", "/device/v1/check-in", b"body", "c7");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = key.public();
        let public = UnparsedPublicKey::new(&ED25519, &public);
        let verifies = |method, path, body: &[u8], challenge| {
            let text = signed_text(method, path, &Digest::of(body), challenge);
            public.verify(text.as_bytes(), &signature).is_ok()
        };
        assert!(verifies("POST", "/device/v1/check-in", b"body", "c7"));
        assert!(!verifies("PUT", "/device/v1/check-in", b"body", "c7"));
        assert!(!verifies("POST", "/device/v1/enroll", b"body", "c7"));
        assert!(!verifies("POST", "/device/v1/check-in", b"bodY", "c7"));
        assert!(!verifies("POST", "/device/v1/check-in", b"body", "c8"));
    }

    #[test]
    fn a_key_shows_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let key = DeviceKey::make(&RealVfs, dir.path()).unwrap();
        let public = URL_SAFE_NO_PAD.encode(key.public());
        assert_eq!(format!("{key:?}"), format!("DeviceKey({public})"));
    }
}
