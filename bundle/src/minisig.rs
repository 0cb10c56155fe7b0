//! minisign's public keys and signatures: the binary records of a bundle and the text files that
//! stock `minisign` reads and writes.
//!
//! Accepts prehashed signatures only. Never trusts a key id: it only says which key to try.

use std::fmt;

use crate::base64;
use crate::limits::COMMENT_BYTES_MAX;

/// The algorithm bytes of a public key.
const ALGORITHM_KEY: [u8; 2] = *b"Ed";
/// The algorithm bytes of a signature over the BLAKE2b-512 of the message.
const ALGORITHM_PREHASHED: [u8; 2] = *b"ED";

/// The id of a minisign key; a hint, not an identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; 8]);

impl KeyId {
    /// The bytes, as they lie in a bundle.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

/// As minisign shows it: 16 upper-case hexadecimal digits, the last byte first.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A public key that may sign: on the curve, canonical, and not of small order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    pub(crate) id: KeyId,
    point: [u8; 32],
    key: minisign_verify::PublicKey,
}

impl PublicKey {
    /// Reads the text of a `.pub` file: a comment line, then the key; or the key's line alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let mut line = lines.next()?;
        if line.starts_with("untrusted comment:") {
            line = lines.next()?;
        }
        if lines.next().is_some() {
            return None;
        }
        let bytes = base64::decode::<42>(line)?;
        let (head, point) = bytes.split_at(10);
        let (algorithm, id) = head.split_at(2);
        let point = point.try_into().ok()?;
        if algorithm != ALGORITHM_KEY || is_weak(&point) {
            return None;
        }
        Some(Self {
            id: KeyId(id.try_into().ok()?),
            point,
            key: minisign_verify::PublicKey::from_base64(line).ok()?,
        })
    }

    /// Whether both are one key, whatever the comments of their files say.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.point == other.point
    }

    /// Whether `record` is this key's signature over `message` (clause B7).
    pub(crate) fn verifies(&self, record: &Record, message: &[u8]) -> bool {
        let Some(text) = record.text() else {
            return false;
        };
        minisign_verify::Signature::decode(&text)
            .is_ok_and(|signature| self.key.verify(message, &signature, false).is_ok())
    }
}

/// Whether a compressed Edwards point is not canonical (y ≥ 2²⁵⁵ − 19) or of small order, so
/// that one signature fits many messages (RFC 8032 section 8.2 leaves both to the verifier;
/// list of points: "Taming the many EdDSAs", Chalkias et al., table 2).
fn is_weak(point: &[u8; 32]) -> bool {
    /// y of the points of order 8.
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
    ];
    let mut y = *point;
    y[31] &= 0x7f;
    let at_least_p_minus_1 = y[0] >= 0xec && y[31] == 0x7f && y[1..31].iter().all(|b| *b == 0xff);
    let zero_or_one = y[0] <= 1 && y[1..].iter().all(|b| *b == 0);
    at_least_p_minus_1 || zero_or_one || ORDER_8.contains(&y)
}

/// A signature record of a bundle (clause B5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: KeyId,
    pub(crate) signature: [u8; 64],
    pub(crate) comment: Vec<u8>,
    pub(crate) global: [u8; 64],
}

impl Record {
    /// The text of the `.minisig` file; none if the trusted comment is not one line of text.
    pub(crate) fn text(&self) -> Option<String> {
        let comment = std::str::from_utf8(&self.comment).ok()?;
        if !is_comment(comment) {
            return None;
        }
        let mut signature = Vec::with_capacity(74);
        signature.extend_from_slice(&ALGORITHM_PREHASHED);
        signature.extend_from_slice(&self.key.0);
        signature.extend_from_slice(&self.signature);
        Some(format!(
            "untrusted comment: signature by Coracle release key {}\n{}\ntrusted comment: {}\n{}\n",
            self.key,
            base64::encode(&signature),
            comment,
            base64::encode(&self.global),
        ))
    }

    /// Reads the text of a `.minisig` file; none unless it is one prehashed signature whose
    /// trusted comment fits a bundle.
    #[cfg(feature = "build")]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let [untrusted, signature, trusted, global] = lines.as_slice() else {
            return None;
        };
        let comment = trusted.strip_prefix("trusted comment: ")?;
        let bytes = base64::decode::<74>(signature)?;
        if !untrusted.starts_with("untrusted comment:")
            || bytes[..2] != ALGORITHM_PREHASHED
            || !is_comment(comment)
        {
            return None;
        }
        Some(Self {
            key: KeyId(bytes[2..10].try_into().ok()?),
            signature: bytes[10..].try_into().ok()?,
            comment: comment.as_bytes().to_vec(),
            global: base64::decode::<64>(global)?,
        })
    }
}

/// Whether a trusted comment fits a bundle and survives the way through a text file unchanged:
/// short, and without control characters but the tabs of stock minisign's own comments.
pub(crate) fn is_comment(comment: &str) -> bool {
    comment.len() <= COMMENT_BYTES_MAX && !comment.chars().any(|c| c.is_control() && c != '\t')
}
