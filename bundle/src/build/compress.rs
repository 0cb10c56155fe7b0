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
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(16) as u32);
    let context = context(level, bytes, workers).map_err(zstd_error)?;
    compress_with(context, source, bytes, out, progress)
}

fn compress_with(
    mut context: CCtx<'static>,
    source: &mut dyn Read,
    bytes: u64,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<(), BuildError> {
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

/// A compressor with at least one worker: without any, zstd does not cut its work into jobs, and
/// gives other bytes.
fn context(level: u8, bytes: u64, workers: u32) -> Result<CCtx<'static>, usize> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(i32::from(level.clamp(1, 19))))?;
    context.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG_MAX))?;
    context.set_parameter(CParameter::ChecksumFlag(false))?;
    context.set_parameter(CParameter::ContentSizeFlag(true))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_processors_does_not_change_the_bytes() {
        // Several jobs (of 8 MiB), with repeats within reach and out of it.
        let line = |i: u32| format!("{} coracle {}\n", i.wrapping_mul(2_654_435_761), i % 1000);
        let plain: Vec<u8> = (0..1_000_000).flat_map(|i| line(i).into_bytes()).collect();
        assert!(plain.len() > 20 << 20);
        let [one, two, five] = [1, 2, 5].map(|workers| {
            let context = context(3, plain.len() as u64, workers).unwrap();
            let mut out = Vec::new();
            let bytes = plain.len() as u64;
            compress_with(context, &mut &plain[..], bytes, &mut out, &mut |_| {}).unwrap();
            out
        });
        assert!(one == two && two == five);
    }
}
