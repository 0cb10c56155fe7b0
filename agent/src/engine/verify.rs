//! `agent verify`: a bundle against this device's keys, every digest included.
//!
//! Needs no engine, no runtime and no state: it can be run anywhere. Blocks.

use std::path::Path;

use agent_core::admit;
use bundle::{Depth, TrustStore};

use super::admit::this_device;
use super::failure;
use super::source::Source;
use crate::api::{Failure, Progress, Step, Update, VerifyView};
use crate::config::Config;
use crate::time::to_rfc3339;

/// Verifies a bundle: its signature, that it is for this device (unless `any_target`), and every
/// byte, decoded too. Whether it is newer than what runs is not asked.
///
/// # Errors
/// [`Failure`] with code 10 if it is refused, 13 if it cannot be read.
pub fn verify_bundle(
    config: &Config,
    path: &Path,
    any_target: bool,
    updates: &dyn Fn(Update),
) -> Result<VerifyView, Failure> {
    let trust = TrustStore::load(&config.keys_dir).map_err(|e| failure::trust(&e))?;
    let source =
        Source::open(path, &trust).map_err(|refused| failure::refused_at(path, &refused))?;
    let bundle = source.bundle();
    let manifest = bundle.manifest();
    if !any_target {
        let id = config.device().map_err(|e| failure::usage(&e))?;
        let device = this_device(config, &id)?;
        admit::target(manifest, &device).map_err(|e| failure::not_admitted(&e))?;
    }
    let total = bundle.file_bytes() - bundle.payload_offset();
    let mut show = |done| {
        let what = manifest.app.to_string();
        updates(Update::Progress(Progress {
            step: Step::Verify,
            what,
            done,
            total,
        }));
    };
    let verified = bundle::verify_payload(bundle, &**source.file(), Depth::Plain, &mut show);
    verified.map_err(|refused| failure::refused(&refused))?;
    let target = &manifest.target;
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    Ok(VerifyView {
        app: manifest.app.to_string(),
        version: manifest.version.to_string(),
        seq: manifest.seq,
        epoch: manifest.epoch,
        signers: bundle.signers().iter().map(ToString::to_string).collect(),
        issued_at: to_rfc3339(manifest.issued_at),
        not_after: manifest.not_after.map(to_rfc3339),
        arch: target.arch.to_string(),
        fleet: target.fleet.to_string(),
        classes: target.classes.iter().map(ToString::to_string).collect(),
        devices: target.devices.iter().map(ToString::to_string).collect(),
        target_checked: !any_target,
        services: count(manifest.services.len()),
        images: count(manifest.images.len()),
        blobs: count(manifest.blobs.len()),
        bundle_bytes: bundle.file_bytes(),
        plain_bytes: manifest.blobs.iter().map(|blob| blob.plain_bytes).sum(),
    })
}
