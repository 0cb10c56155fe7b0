//! Base64 with padding (RFC 4648 section 4), as minisign's files use it.
//!
//! Strict: no white space, no missing padding, no bits set after the end; so each value has
//! exactly one text.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for i in 0..4 {
            if i <= chunk.len() {
                let digit = (bits >> (18 - 6 * i)) & 63;
                out.push(char::from(ALPHABET[digit as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// The `N` bytes that `text` stands for, if it is the one text of `N` bytes.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N.div_ceil(3) * 4 {
        return None;
    }
    let mut out = [0u8; N];
    for (group, bytes) in text.as_bytes().chunks(4).zip(out.chunks_mut(3)) {
        let mut bits = 0u32;
        for (i, digit) in group.iter().enumerate() {
            let value = if i <= bytes.len() {
                ALPHABET.iter().position(|letter| letter == digit)?
            } else if *digit == b'=' {
                0
            } else {
                return None;
            };
            bits = (bits << 6) | value as u32;
        }
        let [_, all @ ..] = bits.to_be_bytes();
        let (taken, rest) = all.split_at(bytes.len());
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.copy_from_slice(taken);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
        ] {
            assert_eq!(encode(bytes), text);
        }
        assert_eq!(decode::<1>("Zg=="), Some(*b"f"));
        assert_eq!(decode::<2>("Zm8="), Some(*b"fo"));
        assert_eq!(decode::<4>("Zm9vYg=="), Some(*b"foob"));
    }

    #[test]
    fn each_value_has_one_text() {
        for bad in [
            "Zh==", "Zg=", "Zg", "Zg= ", " Zg=", "Z===", "Zg=A", "====", "Zg==Zg==",
        ] {
            assert_eq!(decode::<1>(bad), None, "{bad}");
        }
        assert_eq!(decode::<2>("Zm9="), None);
    }
}
