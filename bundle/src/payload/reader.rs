//! The plain bytes of a blob as a stream.
//!
//! Never gives more bytes than the manifest declares, and never reports the end before the
//! plain digest was checked. What was read before an error is unverified as a whole: callers
//! that keep it must throw it away.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::pieces::Pieces;
use crate::Digest;
use crate::error::Refused;
use crate::limits::ZSTD_WINDOW_LOG_MAX;
use crate::manifest::{Blob, Encoding};
use crate::payload::ReadAt;

/// Reads the plain bytes of a blob: each stored piece is hashed in memory before it is decoded
/// (clause B71), the declared size is enforced on the way (B74), and at the end comes the plain
/// digest (B75). Errors of `read` carry a [`Refused`], which `Refused::from` takes out again.
///
/// Memory: one piece (1 MiB), and for zstd a window (2 MiB) and the decoder's state (0.2 MiB).
pub struct BlobReader<S> {
    pieces: Pieces<S>,
    /// How many bytes of the current piece are used.
    used: usize,
    decoder: Decoder,
    /// Plain bytes that are still to come.
    left: u64,
    hasher: Sha256,
    plain: Digest,
    offset: u64,
    state: State,
}

enum Decoder {
    Raw,
    Zstd { context: DCtx<'static>, ended: bool },
}

enum State {
    Reading,
    Done,
    Failed(Refused),
}

impl<S: ReadAt> BlobReader<S> {
    /// Reads `blob`, whose payload begins at `payload_offset` of `source`.
    pub fn new(source: S, blob: &Blob, payload_offset: u64) -> Self {
        let mut state = State::Reading;
        let decoder = match blob.encoding {
            Encoding::Raw => Decoder::Raw,
            Encoding::Zstd => match zstd_context() {
                Some(context) => Decoder::Zstd {
                    context,
                    ended: false,
                },
                None => {
                    state = State::Failed(Refused::Read(io::ErrorKind::OutOfMemory));
                    Decoder::Raw
                }
            },
        };
        Self {
            pieces: Pieces::new(source, blob, payload_offset),
            used: 0,
            decoder,
            left: blob.plain_bytes,
            hasher: Sha256::new(),
            plain: blob.plain,
            offset: blob.offset,
            state,
        }
    }

    fn step(&mut self, out: &mut [u8]) -> Result<usize, Refused> {
        let too_long = Refused::PlainLength {
            offset: self.offset,
        };
        // With nothing left to give, one byte of room shows whether the blob has more.
        let mut probe = [0u8; 1];
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let target = match out.len().min(room) {
            0 => &mut probe[..],
            bytes => &mut out[..bytes],
        };
        loop {
            let (written, ended) = self.decode(target)?;
            if written as u64 > self.left {
                return Err(too_long);
            }
            if written > 0 {
                self.left -= written as u64;
                self.hasher.update(&target[..written]);
                return Ok(written);
            }
            if ended {
                return self.finish().map(|()| 0);
            }
        }
    }

    /// Decodes into `target`: how many bytes came, and whether the blob has ended. Neither means
    /// that the decoder took input and must be called again.
    fn decode(&mut self, target: &mut [u8]) -> Result<(usize, bool), Refused> {
        let broken = Refused::Zstd {
            offset: self.offset,
        };
        if self.used == self.pieces.current().len() && !self.pieces.is_done() {
            self.pieces.next()?;
            self.used = 0;
        }
        let input = &self.pieces.current()[self.used..];
        let Decoder::Zstd { context, ended } = &mut self.decoder else {
            let bytes = input.len().min(target.len());
            target[..bytes].copy_from_slice(&input[..bytes]);
            self.used += bytes;
            return Ok((bytes, bytes == 0));
        };
        if *ended {
            // Exactly one frame: stored bytes after it are as wrong as an early end (B73).
            let rest = !input.is_empty() || !self.pieces.is_done();
            return if rest { Err(broken) } else { Ok((0, true)) };
        }
        let exhausted = input.is_empty();
        let mut from = InBuffer::around(input);
        let mut to = OutBuffer::around(target);
        let hint = context
            .decompress_stream(&mut to, &mut from)
            .map_err(|_| broken.clone())?;
        self.used += from.pos();
        let written = to.pos();
        *ended = hint == 0;
        if written == 0 && exhausted && !*ended {
            return Err(broken);
        }
        Ok((written, false))
    }

    fn finish(&mut self) -> Result<(), Refused> {
        if self.left > 0 {
            return Err(Refused::PlainLength {
                offset: self.offset,
            });
        }
        if Digest::of_hasher(self.hasher.clone()) != self.plain {
            return Err(Refused::Plain {
                offset: self.offset,
            });
        }
        Ok(())
    }
}

fn zstd_context() -> Option<DCtx<'static>> {
    let mut context = DCtx::try_create()?;
    context
        .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
        .ok()?;
    Some(context)
}

impl<S: ReadAt> Read for BlobReader<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &self.state {
            State::Reading if out.is_empty() => return Ok(0),
            State::Reading => {}
            State::Done => return Ok(0),
            State::Failed(refused) => return Err(refused.clone().into()),
        }
        match self.step(out) {
            Ok(0) => {
                self.state = State::Done;
                Ok(0)
            }
            Ok(bytes) => Ok(bytes),
            Err(refused) => {
                self.state = State::Failed(refused.clone());
                Err(refused.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zstd_safe::{CCtx, CParameter};

    #[test]
    fn memory_is_one_piece_one_window_and_a_small_state_however_large_the_blob() {
        // No long repeats, so that the frame has several pieces and needs its whole window.
        let plain: Vec<u8> = (0..6u32 << 18)
            .flat_map(|i| {
                i.wrapping_mul(2_654_435_761)
                    .rotate_left(i % 7)
                    .to_le_bytes()
            })
            .collect();
        let mut context = CCtx::create();
        let window = CParameter::WindowLog(ZSTD_WINDOW_LOG_MAX);
        context.set_parameter(window).unwrap();
        let mut stored = vec![0; zstd_safe::compress_bound(plain.len())];
        let bytes = context.compress2(&mut stored[..], &plain).unwrap();
        stored.truncate(bytes);
        assert!(bytes > 3 << 20);
        let blob = Blob {
            stored: Digest::of(&stored),
            stored_bytes: bytes as u64,
            plain: Digest::of(&plain),
            plain_bytes: plain.len() as u64,
            offset: 0,
            encoding: Encoding::Zstd,
            pieces: stored.chunks(1 << 20).map(Digest::of).collect(),
        };
        let mut reader = BlobReader::new(&stored[..], &blob, 0);
        let mut most = 0;
        let mut buffer = vec![0; 64 << 10];
        while reader.read(&mut buffer).unwrap() > 0 {
            let Decoder::Zstd { context, .. } = &reader.decoder else {
                panic!("not a zstd decoder");
            };
            most = most.max(context.sizeof() + reader.pieces.current().len());
        }
        assert!(most > 3 << 20, "{most}: the window was used");
        assert!(most < (3 << 20) + (512 << 10), "{most}");
    }
}
