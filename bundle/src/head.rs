//! The framing of a head: magic, version, length, signature records, manifest bytes.
//!
//! Never looks into the manifest and never judges a signature; see [`crate::verify()`].

use std::io::Read;

use crate::error::Refused;
use crate::limits::{HEAD_BYTES_MAX, SIGNATURES_MAX};
use crate::minisig::{KeyId, Record};

/// The first bytes of every bundle (clause B1).
pub(crate) const MAGIC: &[u8; 7] = b"CORACLE";
/// The version of the format that this crate reads and writes (clause B2).
pub const FORMAT_VERSION: u8 = 1;
/// Bytes before those that the head length counts: magic, version, length.
pub const PREAMBLE_BYTES: usize = 12;

/// Reads the head of a bundle: exactly the bytes from the magic to the end of the manifest, so
/// the payload comes next. Takes memory only as bytes arrive, at most [`HEAD_BYTES_MAX`] and 12.
///
/// # Errors
/// Clauses B1 to B3, and [`Refused::Read`].
pub fn read_head<R: Read + ?Sized>(source: &mut R) -> Result<Vec<u8>, Refused> {
    let mut head = vec![0; PREAMBLE_BYTES];
    source.read_exact(&mut head)?;
    let length = preamble(&head)?;
    let mut rest = source.take(u64::from(length));
    let got = rest.read_to_end(&mut head)?;
    if got < length as usize {
        return Err(Refused::Truncated);
    }
    Ok(head)
}

/// How many bytes a head that begins with these has as a whole, so that it can be fetched and no
/// more. Takes at least [`PREAMBLE_BYTES`]; bytes behind them are not looked at.
///
/// # Errors
/// Clauses B1 to B3.
pub fn head_bytes(start: &[u8]) -> Result<u64, Refused> {
    Ok(PREAMBLE_BYTES as u64 + u64::from(preamble(start)?))
}

/// Clauses B1 to B3 on the first bytes; gives the length of what follows.
fn preamble(bytes: &[u8]) -> Result<u32, Refused> {
    let (magic, rest) = bytes.split_first_chunk::<7>().ok_or(Refused::Truncated)?;
    if magic != MAGIC {
        return Err(Refused::Magic);
    }
    let (version, rest) = rest.split_first().ok_or(Refused::Truncated)?;
    if *version != FORMAT_VERSION {
        return Err(Refused::Version(*version));
    }
    let (length, _) = rest.split_first_chunk::<4>().ok_or(Refused::Truncated)?;
    let length = u32::from_le_bytes(*length);
    if length == 0 || length > HEAD_BYTES_MAX {
        return Err(Refused::HeadLength(length));
    }
    Ok(length)
}

/// A head taken apart; nothing in it is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) records: Vec<Record>,
    pub(crate) manifest: &'a [u8],
}

impl<'a> Head<'a> {
    /// Takes a whole head apart: clauses B1 to B6, except that it lets a draft without
    /// signatures pass, which [`crate::verify()`] does not.
    pub(crate) fn parse(head: &'a [u8]) -> Result<Self, Refused> {
        let length = preamble(head)? as usize;
        let body = head.get(PREAMBLE_BYTES..).ok_or(Refused::Truncated)?;
        match body.len() {
            found if found < length => return Err(Refused::Truncated),
            found if found > length => return Err(Refused::HeadTrailing),
            _ => {}
        }
        let (count, mut rest) = body.split_first().ok_or(Refused::Truncated)?;
        if usize::from(*count) > SIGNATURES_MAX {
            return Err(Refused::SignatureCount(*count));
        }
        let mut records: Vec<Record> = Vec::with_capacity(SIGNATURES_MAX);
        for _ in 0..*count {
            let record = take_record(&mut rest).ok_or(Refused::SignatureFraming)?;
            if records.iter().any(|other| other.key == record.key) {
                return Err(Refused::DuplicateKey(record.key));
            }
            records.push(record);
        }
        if rest.is_empty() {
            return Err(Refused::SignatureFraming);
        }
        Ok(Self {
            records,
            manifest: rest,
        })
    }

    /// The bytes of this head; none if they would be more than [`HEAD_BYTES_MAX`].
    #[cfg(feature = "build")]
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut body = vec![u8::try_from(self.records.len()).ok()?];
        for record in &self.records {
            body.extend_from_slice(&record.key.0);
            body.extend_from_slice(&record.signature);
            body.push(u8::try_from(record.comment.len()).ok()?);
            body.extend_from_slice(&record.comment);
            body.extend_from_slice(&record.global);
        }
        body.extend_from_slice(self.manifest);
        let length = u32::try_from(body.len()).ok()?;
        if length > HEAD_BYTES_MAX {
            return None;
        }
        let mut head = MAGIC.to_vec();
        head.push(FORMAT_VERSION);
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&body);
        Some(head)
    }
}

fn take_record(rest: &mut &[u8]) -> Option<Record> {
    let key = KeyId(take(rest)?);
    let signature = take(rest)?;
    let [comment_bytes] = take(rest)?;
    let (comment, after) = rest.split_at_checked(usize::from(comment_bytes))?;
    *rest = after;
    Some(Record {
        key,
        signature,
        comment: comment.to_vec(),
        global: take(rest)?,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}
