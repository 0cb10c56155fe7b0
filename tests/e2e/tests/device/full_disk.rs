//! A disk that is full, or fills in the middle: said before anything stops, and nothing changes.

use anyhow::Result;
use e2e::Sandbox;

use crate::bench::{Bench, exit};
use crate::disk::{SmallDisk, leave_files};
use crate::refusing::{Device, service};

const MIB: u64 = 1 << 20;

/// A device whose runtime and state each have a small disk of their own.
fn on_small_disks() -> Result<(Device, SmallDisk, SmallDisk)> {
    let sandbox = Sandbox::new()?;
    let store = SmallDisk::mount(&sandbox.folder("podman/root")?, 200 * MIB)?;
    let state = SmallDisk::mount(&sandbox.folder("device-1/state")?, 32 * MIB)?;
    Ok((Device::on(Bench::in_sandbox(sandbox)?)?, store, state))
}

#[test]
fn a_full_disk_is_seen_before_anything_is_done() -> Result<()> {
    let (device, store, state) = on_small_disks()?;
    let v2 = device.bench.pack(2, &service().replace("v1", "v2"))?;
    for disk in [&store, &state] {
        let filler = disk.leave_bytes(4 * MIB)?;
        let outcome = device.refuses(&v2, exit::NO_SPACE)?;
        assert!(outcome.stderr.contains("MiB"), "{outcome:?}");
        let plan = device
            .bench
            .agent
            .run(&["plan".as_ref(), v2.as_os_str(), "--json".as_ref()])?
            .json()?;
        assert_eq!(
            plan["blocked_by"].as_array().map(Vec::len),
            Some(1),
            "{plan}"
        );
        drop(filler);
    }
    device.goes_on(2)
}

#[test]
fn a_disk_that_fills_while_images_come_in_changes_nothing() -> Result<()> {
    let (device, store, _state) = on_small_disks()?;
    let v2 = device.bench.pack(2, &service().replace("v1", "v2"))?;
    // Bytes are free, as the check before finds, but no files.
    let filler = leave_files(&store, 4)?;
    device.refuses(&v2, exit::NO_SPACE)?;
    drop(filler);
    device.bench.agent.apply(&v2)?.ok()?;
    assert_eq!(device.bench.app()?["version"], "2.0");
    Ok(())
}

#[test]
fn a_state_folder_that_fills_in_the_middle_changes_nothing() -> Result<()> {
    let (device, _store, state) = on_small_disks()?;
    let v2 = device.bench.pack(2, &service().replace("v1", "v2"))?;
    let filler = leave_files(&state, 0)?;
    device.refuses(&v2, exit::NO_SPACE)?;
    let daemon = device.bench.agent.start()?;
    device.refuses(&v2, exit::NO_SPACE)?;
    drop(filler);
    device.bench.agent.apply(&v2)?.ok()?;
    assert_eq!(device.bench.app()?["version"], "2.0");
    drop(daemon);
    Ok(())
}
