//! A bundle on a medium that changes or goes while it is read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use e2e::Outcome;

use crate::bench::{Bench, exit, script};

/// A bundle that takes a while to read: sixteen files of half a MiB that do not compress, and a
/// large image.
fn large(bench: &Bench, seq: u64) -> Result<PathBuf> {
    let mut state = seq | 1;
    let mut configs = String::from("configs:\n");
    let mut mounts = String::from("    configs: [");
    for number in 0..16 {
        let file = bench
            .sandbox
            .folder("compose")?
            .join(format!("noise-{number}"));
        let noise: Vec<u8> = (0..1 << 19)
            .map(|_| {
                // xorshift64
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        fs::write(&file, noise)?;
        configs += &format!("  noise-{number}: {{file: ./noise-{number}}}\n");
        mounts += &format!("noise-{number}, ");
    }
    let compose = script("always", "exec sleep 100000").replace("v1", "nginx");
    bench.pack(
        seq,
        &(compose.replace("    restart", &format!("{mounts}]\n    restart")) + &configs),
    )
}

/// Applies a bundle and does something to its file while the agent is at a step.
fn apply_and(
    bench: &Bench,
    bundle: &Path,
    step: &str,
    change: impl FnOnce() -> Result<()>,
) -> Result<Outcome> {
    let mut apply = bench.agent.spawn(&["apply".as_ref(), bundle.as_os_str()])?;
    apply.wait_for_text(step)?;
    apply.pause()?;
    change()?;
    apply.resume()?;
    apply.finish()
}

/// Version 1 runs, or the whole of version 2 if it had been read before the file changed.
fn check(bench: &Bench, outcome: &Outcome, codes: &[i32]) -> Result<()> {
    let app = bench.app()?;
    if outcome.code == 0 {
        ensure!(
            app["version"] == "2.0" && app["state"] == "running",
            "{app}"
        );
        let sums = bench.exec("main", &["sh", "-c", "cat /noise-* | wc -c"])?;
        ensure!(sums.trim() == "8388608", "{sums}");
    } else {
        ensure!(codes.contains(&outcome.code), "{outcome:?}");
        ensure!(
            app["version"] == "1.0" && app["state"] == "running",
            "{app}"
        );
    }
    bench.container("main").map(drop)
}

fn changes_at(step: &str) -> Result<()> {
    let bench = Bench::new()?;
    bench.install(1, &script("always", "exec sleep 100000"))?;
    let good = large(&bench, 2)?;
    let stick = good.with_file_name("stick.bin");
    let reset = || fs::copy(&good, &stick).map(drop);
    let flipped = |bytes: &mut Vec<u8>| {
        // All but the head.
        let payload = bytes.len() / 64;
        bytes[payload..].iter_mut().for_each(|byte| *byte ^= 0x55);
    };

    // Unplugged: the file ends where it was read to.
    reset()?;
    let outcome = apply_and(&bench, &stick, step, || {
        Ok(fs::File::options()
            .write(true)
            .open(&stick)?
            .set_len(1000)?)
    })?;
    check(&bench, &outcome, &[exit::REFUSED, exit::DOWNLOAD_FAILED])?;
    if outcome.code != 0 {
        // Written over in place: what is read last is not what was checked first.
        reset()?;
        let mut bytes = fs::read(&good)?;
        flipped(&mut bytes);
        let outcome = apply_and(&bench, &stick, step, || Ok(fs::write(&stick, &bytes)?))?;
        check(&bench, &outcome, &[exit::REFUSED, exit::DOWNLOAD_FAILED])?;
    }
    if bench.app()?["version"] == "1.0" {
        // Another file under the same name: the one that was opened is the one that is read.
        reset()?;
        let outcome = apply_and(&bench, &stick, step, || {
            fs::write(stick.with_extension("new"), b"not a bundle")?;
            Ok(fs::rename(stick.with_extension("new"), &stick)?)
        })?;
        check(&bench, &outcome, &[])?;
        ensure!(outcome.code == 0, "{outcome:?}");
    }
    bench
        .install(3, &script("always", "exec sleep 100000"))
        .map(drop)
}

#[test]
fn a_bundle_that_changes_while_it_is_checked_does_no_harm() -> Result<()> {
    changes_at("Checking the bundle")
}

#[test]
fn a_bundle_that_changes_while_images_come_in_does_no_harm() -> Result<()> {
    changes_at("Bringing the images in")
}
