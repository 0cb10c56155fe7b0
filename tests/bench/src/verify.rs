//! What the signature of a check-in costs by itself: the floor under any server that verifies one
//! for each request.

use std::time::Instant;

use anyhow::{Result, ensure};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::load::Measured;
use crate::options::Options;
use crate::proc;

/// Bytes of the text that a check-in signs, about.
const TEXT: [u8; 200] = [b'c'; 200];
const BATCH: u64 = 256;

/// Verifies on one core, as long as the options say; the CPU seconds are this process's own.
///
/// # Errors
/// Never, unless ring is broken.
pub(crate) fn run(options: &Options) -> Result<Measured> {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]);
    let key = key.map_err(|_| anyhow::anyhow!("no key"))?;
    let signature = key.sign(&TEXT);
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
    let own = [std::process::id()];
    let (start, before) = (Instant::now(), proc::cpu_seconds(&own)?);
    let mut count = 0;
    while start.elapsed() < options.duration {
        for _ in 0..BATCH {
            ensure!(public.verify(&TEXT, signature.as_ref()).is_ok(), "refused");
        }
        count += BATCH;
    }
    Ok(Measured {
        count,
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: proc::cpu_seconds(&own)? - before,
    })
}
