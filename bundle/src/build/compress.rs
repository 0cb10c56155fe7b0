//! Compressing a blob, the same bytes every time.
//!
//! Never uses more than the window that devices allow.

use std::io::{Read, Write};

use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, get_error_name};

use super::error::BuildError;
use crate::limits::ZSTD_WINDOW_LOG_MAX;

/// How the stored bytes of a blob are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    None,
    /// zstd with this level (1 to 19); still stored as they are if that is not smaller.
    Zstd {
        /// The level.
        level: u8,
    },
}

/// Level 12, with the window that devices allow. Measured on two busy cores, a layer of 354 MB
/// (Python and Perl libraries): level 9 takes 9 s and leaves 85.1 MB, 12 takes 17 s and leaves
/// 84.3 MB, 15 takes 71 s and leaves 83.5 MB, 19 takes 162 s and leaves 75.4 MB; the node binary
/// of 99 MB: 3 s and 30.8 MB, 5 s and 30.6 MB, 29 s and 30.2 MB, 71 s and 27.4 MB. So 12 for every
/// day, and 19 where a release goes to many devices over thin lines.
impl Default for Compression {
    fn default() -> Self {
        Self::Zstd { level: 12 }
    }
}

/// Bytes read at a time; fixed, so the compressor sees the same calls every time.
const CHUNK_BYTES: usize = 1 << 20;

/// Compresses `bytes` bytes of `source` into `out` as one zstd frame. The output depends on the
/// content and the level only: not on the number of processors (zstd cuts its jobs by size).
pub(super) fn compress(
    source: &mut dyn Read,
    bytes: u64,
    level: u8,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<(), BuildError> {
    let mut context = context(level, bytes).map_err(zstd_error)?;
    let mut input = vec![0; CHUNK_BYTES];
    let mut output = vec![0; CCtx::out_size()];
    let mut done = 0u64;
    loop {
        let filled = fill(source, &mut input).map_err(BuildError::Source)?;
        done += filled as u64;
        let directive = if done == bytes || filled < input.len() {
            ZSTD_EndDirective::ZSTD_e_end
        } else {
            ZSTD_EndDirective::ZSTD_e_continue
        };
        let mut from = InBuffer::around(&input[..filled]);
        loop {
            let mut to = OutBuffer::around(&mut output[..]);
            let left = context
                .compress_stream2(&mut to, &mut from, directive)
                .map_err(zstd_error)?;
            out.write_all(to.as_slice()).map_err(BuildError::Output)?;
            let taken = match directive {
                ZSTD_EndDirective::ZSTD_e_end => left == 0,
                _ => from.pos() == filled,
            };
            if taken {
                break;
            }
        }
        progress(done);
        if directive == ZSTD_EndDirective::ZSTD_e_end {
            return Ok(());
        }
    }
}

fn context(level: u8, bytes: u64) -> Result<CCtx<'static>, usize> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(i32::from(level.clamp(1, 19))))?;
    context.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG_MAX))?;
    context.set_parameter(CParameter::ChecksumFlag(false))?;
    context.set_parameter(CParameter::ContentSizeFlag(true))?;
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(16) as u32);
    context.set_parameter(CParameter::NbWorkers(workers))?;
    context.set_pledged_src_size(Some(bytes))?;
    Ok(context)
}

fn zstd_error(code: usize) -> BuildError {
    BuildError::Compress(get_error_name(code))
}

/// Reads until the buffer is full or the source has ended.
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
