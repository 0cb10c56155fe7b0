//! What must not run: each is refused with its exit code and a sentence that says what to do, the
//! state stays byte for byte, and the next good bundle applies.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::bench::{Bench, assert_explained, changed, exit, script};
use crate::refusing::{Device, service};

/// Where the parts of a bundle with one signature are.
struct Layout {
    comment: usize,
    manifest: usize,
    payload: usize,
    end: usize,
}

fn layout(bundle: &Path) -> Result<Layout> {
    let bytes = fs::read(bundle)?;
    let head = u32::from_le_bytes(bytes[8..12].try_into()?);
    assert_eq!(bytes[12], 1, "one signature");
    let comment = 13 + 8 + 64;
    Ok(Layout {
        comment,
        manifest: comment + 1 + usize::from(bytes[comment]) + 64,
        payload: 12 + usize::try_from(head)?,
        end: bytes.len(),
    })
}

fn damaged(device: &Device) -> Result<()> {
    let good = device.bench.pack(2, &service())?;
    let at = layout(&good)?;
    let header = 0..13;
    let signature = [
        13,
        20,
        21,
        60,
        84,
        at.comment,
        at.comment + 1,
        at.comment + 40,
        at.manifest - 64,
        at.manifest - 1,
    ];
    let manifest = (at.manifest..at.payload).step_by((at.payload - at.manifest) / 8);
    let payload = (at.payload..at.end).step_by((at.end - at.payload) / 6);
    let edges = [at.payload - 1, at.payload, at.end - 1];
    let flips = header
        .chain(signature)
        .chain(manifest)
        .chain(payload)
        .chain(edges);
    for offset in flips {
        let flipped = changed(&good, "flipped.bin", |bytes| {
            bytes[offset] ^= 1 << (offset % 8)
        })?;
        device
            .refuses(&flipped, exit::REFUSED)
            .with_context(|| format!("byte {offset} flipped"))?;
    }
    for length in [
        0,
        1,
        7,
        11,
        12,
        50,
        at.manifest,
        at.payload - 1,
        at.payload,
        (at.payload + at.end) / 2,
        at.end - 1,
    ] {
        let short = changed(&good, "short.bin", |bytes| bytes.truncate(length))?;
        device
            .refuses(&short, exit::REFUSED)
            .with_context(|| format!("cut to {length} bytes"))?;
    }
    let trailing = changed(&good, "trailing.bin", |bytes| bytes.push(0))?;
    device.refuses(&trailing, exit::REFUSED)?;
    let much_trailing = changed(&good, "trailing.bin", |bytes| {
        bytes.extend(vec![0; 1 << 20])
    })?;
    device.refuses(&much_trailing, exit::REFUSED)?;
    for gap in [12, at.manifest, at.payload, (at.payload + at.end) / 2] {
        let gap = changed(&good, "gap.bin", |bytes| bytes.insert(gap, 0))?;
        device.refuses(&gap, exit::REFUSED)?;
    }
    // Also a head that would take much memory, and signatures that are none or too many.
    for declared in [0, (1 << 20) + 1, 1 << 31, u32::MAX] {
        let huge = changed(&good, "huge.bin", |bytes| {
            bytes[8..12].copy_from_slice(&u32::to_le_bytes(declared))
        })?;
        device.refuses(&huge, exit::REFUSED)?;
    }
    for count in [0, 2, 5, 255] {
        let counted = changed(&good, "count.bin", |bytes| bytes[12] = count)?;
        device.refuses(&counted, exit::REFUSED)?;
    }
    let text = changed(&good, "text.bin", |bytes| {
        *bytes = b"services: {}\n".to_vec()
    })?;
    device.refuses(&text, exit::REFUSED)?;
    let missing = good.with_file_name("missing.bin");
    device.refuses(&missing, exit::DOWNLOAD_FAILED)?;
    device
        .refuses(&good.with_file_name(""), exit::DOWNLOAD_FAILED)
        .context("a folder")?;
    device.bench.agent.apply(&good)?.ok()?;
    Ok(())
}

#[test]
fn a_damaged_bundle_is_refused() -> Result<()> {
    let device = Device::new()?;
    damaged(&device)?;
    assert_eq!(device.bench.app()?["seq"], 2);
    Ok(())
}

#[test]
fn a_bundle_for_another_target_is_refused() -> Result<()> {
    let device = Device::new()?;
    let elsewhere = if cfg!(target_arch = "aarch64") {
        "amd64"
    } else {
        "arm64"
    };
    device.refuses_packed(("--arch", elsewhere), elsewhere)?;
    device.refuses_packed(("--class", "kiosk"), "kiosk")?;
    device.refuses_packed(("--device", "device-2"), "device-1")?;
    device.refuses_packed(("--fleet", "south"), "south")?;
    device
        .bench
        .configure("device_class = \"panel\"\nfleet = \"north\"\n")?;
    device.refuses_packed(("--fleet", "south"), "north")?;
    device.refuses_packed(("--fleet", "default"), "north")?;
    device.bench.configure("device_class = \"panel\"\n")?;
    device.refuses_packed(("--class", "kiosk"), "panel")?;
    device.bench.configure("device_class = \"kiosk\"\n")?;
    for option in [
        ("--class", "kiosk"),
        ("--device", "device-1"),
        ("--fleet", "default"),
    ] {
        let fits =
            device
                .bench
                .pack_as("app", 2, "services: {}\n", &device.bench.keys, &[option])?;
        let plan = device
            .bench
            .agent
            .run(&["plan".as_ref(), fits.as_os_str()])?;
        plan.ok().with_context(|| format!("{option:?} fits"))?;
    }
    device.goes_on(2)
}

#[test]
fn what_the_owner_of_the_device_does_not_allow_is_refused() -> Result<()> {
    let device = Device::new()?;
    let policy = device.bench.agent.policy_file();
    // A way around the rules: a link in a place that may be mounted.
    let link = device.bench.sandbox.path().join("link");
    std::os::unix::fs::symlink("/etc", &link)?;
    let through_link = format!("volumes: ['{}:/mnt:ro']", link.display());
    let wishes = [
        "privileged: true",
        "cap_add: [SYS_ADMIN]",
        "volumes: ['/etc:/mnt:ro']",
        "volumes: ['/:/mnt:ro']",
        "volumes: ['/run/podman/podman.sock:/sock']",
        "devices: [/dev/mem]",
        &through_link,
    ];
    for wish in wishes {
        let compose = service().replace("    restart", &format!("    {wish}\n    restart"));
        let bundle = device.bench.pack(2, &compose)?;
        device
            .refuses(&bundle, exit::REFUSED)
            .with_context(|| wish.to_owned())?;
    }
    let on_host = service().replace("    restart", "    network_mode: host\n    restart");
    let on_host = device.bench.pack(2, &on_host)?;
    for denies in ["host_network = false\n", "host_netwrok = true\n"] {
        fs::write(&policy, denies)?;
        device
            .refuses(&on_host, exit::REFUSED)
            .with_context(|| denies.to_owned())?;
    }
    fs::remove_file(&policy)?;
    device.bench.agent.apply(&on_host)?.ok()?;
    device.bench.container("main").map(drop)
}

#[test]
fn what_does_not_move_forward_is_refused() -> Result<()> {
    let mut device = Device::new()?;
    let bench = &device.bench;
    let same_seq = bench.pack(1, &script("always", "exec sleep 9"))?;
    let outcome = device.refuses(&same_seq, exit::REFUSED)?;
    assert!(outcome.stderr.contains("higher --seq"), "{outcome:?}");

    let pack =
        |seq, options: &[(&str, &str)]| bench.pack_as("app", seq, &service(), &bench.keys, options);
    let v5 = pack(5, &[("--epoch", "2")])?;
    bench.agent.apply(&v5)?.ok()?;
    device.slots = bench.slots()?;
    device.containers = bench.containers()?;
    let older = pack(4, &[("--epoch", "2")])?;
    device.refuses(&older, exit::REFUSED)?;
    device.refuses(&device.v1, exit::REFUSED)?;
    let lower_epoch = pack(6, &[("--epoch", "1")])?;
    device.refuses(&lower_epoch, exit::REFUSED)?;
    let expired = [
        ("--epoch", "2"),
        ("--issued-at", "2020-01-01T00:00:00Z"),
        ("--not-after", "2021-01-01T00:00:00Z"),
    ];
    device.refuses(&pack(6, &expired)?, exit::REFUSED)?;
    assert_explained(&bench.agent.apply(&v5)?, exit::ALREADY_CURRENT).ok();
    assert!(
        bench.slots()? == device.slots,
        "a refusal changed the state"
    );
    let next = pack(6, &[("--epoch", "2")])?;
    bench.agent.apply(&next)?.ok()?;
    assert_eq!(bench.app()?["seq"], 6);
    Ok(())
}

#[test]
fn without_a_trusted_key_everything_is_refused() -> Result<()> {
    let device = Device::new()?;
    let bench = &device.bench;
    let good = bench.pack(2, &service())?;
    let stranger = bench.relay.new_keys("stranger")?;
    let strange = bench.pack_as("app", 2, &service(), &stranger, &[])?;
    device.refuses(&strange, exit::REFUSED)?;

    let keys = bench.agent.keys_dir();
    let aside = keys.with_extension("aside");
    fs::rename(&keys, &aside)?;
    device.refuses(&good, exit::REFUSED).context("no folder")?;
    fs::create_dir(&keys)?;
    device
        .refuses(&good, exit::REFUSED)
        .context("an empty folder")?;
    fs::write(keys.join("release.pub"), "")?;
    device
        .refuses(&good, exit::REFUSED)
        .context("an empty key")?;
    bench.agent.trust(&bench.keys)?;
    fs::write(keys.join("second.pub"), "untrusted comment: x\nRWQ\n")?;
    device
        .refuses(&good, exit::REFUSED)
        .context("a corrupt key beside a good one")?;
    fs::remove_dir_all(&keys)?;
    fs::rename(&aside, &keys)?;
    device.goes_on(2)
}

#[test]
fn a_new_device_without_a_key_takes_nothing() -> Result<()> {
    let bench = Bench::new()?;
    let bundle = bench.pack(1, &service())?;
    fs::remove_file(bench.agent.keys_dir().join("release.pub"))?;
    assert_explained(&bench.agent.apply(&bundle)?, exit::REFUSED)?;
    assert_eq!(bench.agent.status()?["apps"], serde_json::json!([]));
    assert_eq!(bench.containers()?.len(), 0);
    bench.agent.trust(&bench.keys)?;
    bench.agent.apply(&bundle)?.ok().map(drop)
}

#[test]
fn a_variable_that_does_not_fit_its_schema_is_refused() -> Result<()> {
    let device = Device::new()?;
    let with_port = service().replace(
        "    restart",
        "    environment: {PORT: '${PORT}'}\n    restart",
    ) + "  variables: {PORT: {type: integer, min: 1, max: 65535, default: 80}}\n";
    let with_port = with_port.replace("x-coracle: {trial: 1s}\n", "x-coracle:\n  trial: 1s\n");
    let bundle = device.bench.pack(2, &with_port)?;
    for value in ["PORT = \"http\"", "PORT = 0", "PORT = 70000", "PROT = 80"] {
        device
            .bench
            .configure(&format!("[variables.app]\n{value}\n"))?;
        let outcome = device
            .refuses(&bundle, exit::REFUSED)
            .with_context(|| value.to_owned())?;
        assert!(outcome.stderr.contains(&value[..4]), "{outcome:?}");
    }
    device.bench.configure("[variables.app]\nPORT = 8080\n")?;
    device.bench.agent.apply(&bundle)?.ok()?;
    assert_eq!(
        device.bench.exec("main", &["sh", "-c", "echo $PORT"])?,
        "8080\n"
    );
    Ok(())
}

#[test]
fn a_runtime_that_is_down_is_said_to_be_down() -> Result<()> {
    let mut device = Device::new()?;
    let v2 = device.bench.pack(2, &service())?;
    device.bench.podman.stop()?;
    device.refuses(&v2, exit::RUNTIME_UNREACHABLE)?;
    let other = [
        ("plan", Some(v2.as_os_str())),
        ("ps", None),
        ("rollback", None),
    ];
    for (command, argument) in other {
        let arguments: Vec<_> = [command.as_ref()].into_iter().chain(argument).collect();
        assert_explained(
            &device.bench.agent.run(&arguments)?,
            exit::RUNTIME_UNREACHABLE,
        )
        .with_context(|| command.to_owned())?;
    }
    // What is damaged is said to be damaged all the same, and status still answers.
    let flipped = changed(&v2, "flipped.bin", |bytes| bytes[100] ^= 1)?;
    device.refuses(&flipped, exit::REFUSED)?;
    assert_eq!(device.bench.app()?["version"], "1.0");
    device.bench.podman.start_again()?;
    device.goes_on(2)
}

#[test]
fn a_daemon_refuses_the_same() -> Result<()> {
    let mut device = Device::new()?;
    let daemon = device.bench.agent.start()?;
    damaged(&device)?;
    device.slots = device.bench.slots()?;
    device.containers = device.bench.containers()?;
    device.refuses(&device.v1, exit::REFUSED)?;
    let stranger = device.bench.relay.new_keys("stranger")?;
    let strange = device.bench.pack_as("app", 3, &service(), &stranger, &[])?;
    device.refuses(&strange, exit::REFUSED)?;
    let other_fleet = [("--fleet", "south")];
    let elsewhere = device
        .bench
        .pack_as("app", 3, &service(), &device.bench.keys, &other_fleet)?;
    device.refuses(&elsewhere, exit::REFUSED)?;
    let good = device.bench.pack(3, &service())?;
    device.bench.podman.stop()?;
    device.refuses(&good, exit::RUNTIME_UNREACHABLE)?;
    device.bench.podman.start_again()?;
    device.goes_on(3)?;
    drop(daemon);
    Ok(())
}
