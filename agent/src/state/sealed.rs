//! Small files that carry a digest of their content, so that a damaged one is never taken for
//! whole.
//!
//! The file is the SHA-256 of the content and the content. Never repairs anything.

use std::io;
use std::path::Path;

use bundle::Digest;

use super::vfs::{self, Vfs};

/// Bytes that a file is longer than its content.
pub(super) const SEAL_BYTES: usize = 32;
/// What applications wrote may be in there: nobody else's business.
const MODE: u32 = 0o600;

/// Puts a file with this content in the place of `path`, durably; a crash in the middle leaves
/// what [`vfs::replace`] leaves.
///
/// # Errors
/// What writing gives.
pub(super) fn write(vfs: &dyn Vfs, path: &Path, content: &[u8]) -> io::Result<()> {
    let digest = Digest::of(content);
    vfs::replace(vfs, path, &[digest.as_bytes(), content].concat(), MODE)
}

/// The content of a file, of at most `max` bytes; none if there is no such file.
///
/// # Errors
/// `InvalidData` if it is not what was written, `FileTooLarge` if it is longer; else what reading
/// gives.
pub(super) fn read(vfs: &dyn Vfs, path: &Path, max: usize) -> io::Result<Option<Vec<u8>>> {
    let Some(mut bytes) = vfs::read(vfs, path, max.saturating_add(SEAL_BYTES))? else {
        return Ok(None);
    };
    if bytes.len() < SEAL_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let content = bytes.split_off(SEAL_BYTES);
    if Digest::of(&content).as_bytes() != bytes.as_slice() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Some(content))
}
