//! A bundle on its way over HTTPS: only what lacks is fetched, and no break loses what has come.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use e2e::{RelayServer, Sandbox};

use crate::bench::{Bench, eventually, two_services};
use crate::disk::SmallDisk;
use crate::fleet::Fleet;

const MIB: u64 = 1 << 20;

/// An app whose second version adds a large image to what runs.
fn with_nginx() -> String {
    two_services("v1").replace(
        "x-coracle: {trial:",
        "  more:
    image: nginx
    restart: always
    command: [sleep, '100000']
x-coracle: {trial:",
    )
}

/// The one file that is being spooled, with its length.
fn spooled(bench: &Bench) -> Result<Option<(PathBuf, u64)>> {
    let Ok(entries) = fs::read_dir(bench.agent.state_dir().join("spool")) else {
        return Ok(None);
    };
    let mut found = None;
    for entry in entries {
        let entry = entry?;
        // It may have just gone.
        if let Ok(known) = entry.metadata() {
            ensure!(found.is_none(), "more than one file in the spool");
            found = Some((entry.path(), known.len()));
        }
    }
    Ok(found)
}

/// Bytes of bundles that the relay has sent, by its log.
fn sent_bytes(server: &RelayServer) -> Result<u64> {
    let log = fs::read_to_string(server.log())?;
    let requests = log
        .lines()
        .filter(|line| line.contains("/device/v1/bundles"));
    requests
        .filter_map(|line| {
            let (_, rest) = line.split_once("\"bytes\":")?;
            let end = rest.find(|next: char| !next.is_ascii_digit())?;
            rest[..end].parse::<u64>().ok()
        })
        .map(Ok)
        .sum()
}

#[test]
fn only_what_the_device_lacks_is_fetched() -> Result<()> {
    let fleet = Fleet::of(Bench::new()?, &["--log-format", "json"])?;
    fleet.install(1, &two_services("v1"))?;
    let first = sent_bytes(&fleet.server)?;
    ensure!(first > 0, "the log does not say what was sent");
    let v2 = fleet.bench.pack(2, &with_nginx())?;
    let planned = fleet
        .bench
        .agent
        .run(&["plan".as_ref(), v2.as_os_str(), "--json".as_ref()])?
        .json()?;
    let planned = planned["fetch_bytes"].as_u64().context("no number")?;
    fleet.server.publish(&v2)?;
    fleet.roll_out(2, "succeeded")?;
    let second = sent_bytes(&fleet.server)? - first;
    let whole = fs::metadata(&v2)?.len();
    // The head, and gaps that are not worth a request of their own.
    assert!(
        second >= planned && second < planned + (256 << 10) && second < whole,
        "{second} bytes of {whole} were sent, {planned} were planned"
    );

    // Nothing but the number changes: the head is all that is fetched.
    let v3 = fleet.bench.pack(3, &with_nginx())?;
    fleet.server.publish(&v3)?;
    fleet.roll_out(3, "succeeded")?;
    let third = sent_bytes(&fleet.server)? - first - second;
    assert!(third < 256 << 10, "{third} bytes were sent");
    ensure!(spooled(&fleet.bench)?.is_none(), "the spool is not empty");
    Ok(())
}

#[test]
fn a_download_goes_on_where_it_was_after_kills_on_either_side() -> Result<()> {
    let bench = Bench::new()?;
    // Slow enough for kills in the middle.
    bench.configure("rate_max = \"8M\"\n")?;
    let mut fleet = Fleet::of(bench, &["--log-format", "json"])?;
    fleet.install(1, &two_services("v1"))?;
    let v2 = fleet.bench.pack(2, &with_nginx())?;
    fleet.server.publish(&v2)?;
    let id = fleet.server.roll_out("app@2.0", "all")?;
    let mut reached = 0;
    for kill_the_relay in [false, true, false] {
        reached = eventually("some more of the download", || {
            let length = spooled(&fleet.bench)?.map_or(0, |(_, length)| length);
            Ok((length > reached + 2 * MIB).then_some(length))
        })?;
        if kill_the_relay {
            fleet.server.kill()?;
            fleet.server.resume()?;
        } else {
            fleet.kill_agent()?;
            let (_, length) = spooled(&fleet.bench)?.context("the spool is gone")?;
            ensure!(length >= reached, "the spool shrank");
            fleet.start_agent()?;
        }
    }
    fleet.ended(id, "succeeded")?;
    assert_eq!(fleet.bench.app()?["version"], "2.0");
    Ok(())
}

#[test]
fn a_disk_that_is_full_while_a_bundle_comes_in_is_waited_for() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let state = SmallDisk::mount(&sandbox.folder("device-1/state")?, 96 * MIB)?;
    let fleet = Fleet::of(Bench::in_sandbox(sandbox)?, &[])?;
    fleet.install(1, &two_services("v1"))?;
    let filler = state.leave_bytes(MIB)?;
    fleet.publish(2, &with_nginx())?;
    let id = fleet.server.roll_out("app@2.0", "all")?;
    eventually("the agent to say that its disk is full", || {
        let status = fleet.bench.app()?;
        let told = status["last_update"]["result"] == "refused"
            || fleet.agent_log().contains("cause=") && fleet.agent_log().contains("space");
        Ok(told.then_some(()))
    })?;
    assert_eq!(fleet.bench.app()?["version"], "1.0");
    assert_eq!(fleet.server.rollout(id)?["state"], "running");
    drop(filler);
    fleet.ended(id, "succeeded")?;
    Ok(())
}

#[test]
fn a_plain_web_server_can_hand_the_bundles_out() -> Result<()> {
    let bench = Bench::new()?;
    let cdn = bench.sandbox.folder("cdn")?;
    let fleet = Fleet::of(
        bench,
        &[
            "--log-format",
            "json",
            "--bundle-url",
            "https://127.0.0.1:8099/b",
        ],
    )?;
    // Its certificate comes from the authority that devices trust.
    fleet.server.sign_certificate(&cdn)?;
    fs::write(
        cdn.join("site.conf"),
        "server {
           listen 127.0.0.1:8099 ssl;
           ssl_certificate /cdn/cert.pem;
           ssl_certificate_key /cdn/key.pem;
           access_log /dev/stdout;
           location /b/ { alias /srv/b/; }
         }",
    )?;
    let podman = &fleet.bench.podman;
    podman.load(&test_images::nginx(test_images::Version::V1)?, "cdn")?;
    let mount = |from: PathBuf, to: &str| format!("--volume={}:{to}:ro", from.display());
    let mounts = [
        mount(fleet.server.data().join("bundles"), "/srv/b"),
        mount(cdn.join("site.conf"), "/etc/nginx/conf.d/default.conf"),
        mount(cdn, "/cdn"),
    ];
    let mut run = vec!["run", "--detach", "--network=host", "--name=cdn"];
    run.extend(mounts.iter().map(String::as_str));
    run.push("cdn");
    podman.podman(&run)?.ok()?;

    let v1 = fleet.bench.pack(1, &with_nginx())?;
    fleet.server.publish(&v1)?;
    let server = &fleet.server;
    let id = server.roll_out("app@1.0", "all")?;
    fleet.ended(id, "succeeded")?;
    assert_eq!(sent_bytes(server)?, 0, "the relay sent bundles itself");
    let log = podman.podman(&["logs", "cdn"])?.ok()?;
    let answers = |code: &str| log.stdout.matches(&format!("HTTP/1.1\" {code} ")).count();
    assert!(answers("206") > 0, "no ranges were asked for: {log:?}");
    Ok(())
}
