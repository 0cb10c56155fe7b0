//! The life of an app: installed, updated, broken, returned, removed.

use std::fs;

use anyhow::Result;
use e2e::http;
use serde_json::{Value, json};

use crate::bench::{Bench, DEADLINE, assert_explained, eventually, exit, two_services};

/// Version 3, whose `web` ends at once.
fn broken() -> String {
    two_services("v2").replace("    ports:", "    command: [sh, -c, 'exit 3']\n    ports:")
}

fn serves(version: u32) -> Result<()> {
    http::wait_for(8080, "/", DEADLINE, |answer| {
        answer.json().is_ok_and(|page| page["version"] == version)
    })?;
    Ok(())
}

fn whole_life(bench: &Bench) -> Result<()> {
    let agent = &bench.agent;
    let v1 = bench.install(1, &two_services("v1"))?;
    serves(1)?;
    let (side, web1) = (bench.container("side")?, bench.container("web")?);
    agent.apply(&v1)?.code(exit::ALREADY_CURRENT)?;

    let v2 = bench.install(2, &two_services("v2"))?;
    serves(2)?;
    assert_eq!(bench.container("side")?, side);
    let web2 = bench.container("web")?;
    assert_ne!(web2.id, web1.id);
    assert_eq!(web2.name, "coracle-app-web-2");

    let v3 = bench.pack(3, &broken())?;
    agent.apply(&v3)?.code(exit::ROLLED_BACK)?;
    serves(2)?;
    assert_eq!(bench.container("side")?, side);
    assert_eq!(
        bench.container("web")?,
        web2,
        "the old container comes back, not a new one"
    );
    let app = bench.app()?;
    assert_eq!([&app["version"], &app["state"]], ["2.0", "running"]);
    assert_eq!(
        [
            &app["last_update"]["version"],
            &app["last_update"]["result"]
        ],
        ["3.0", "rolled_back"]
    );
    let cause = app["last_update"]["cause"].as_str().unwrap_or_default();
    assert_eq!(cause, "web exited with code 3");

    agent.run(&["rollback"])?.ok()?;
    serves(1)?;
    assert_eq!(bench.app()?["version"], "1.0");
    assert_eq!(bench.container("side")?, side);
    agent.apply(&v2)?.ok()?;
    serves(2)?;
    agent.apply(&v1)?.code(exit::REFUSED)?;
    serves(2)?;

    agent.run(&["remove", "app"])?.ok()?;
    assert_eq!(bench.containers()?.len(), 0);
    assert_eq!(bench.app()?["state"], "stopped");
    agent.apply(&v1)?.code(exit::REFUSED)?;
    agent.apply(&v2)?.ok()?;
    serves(2)
}

#[test]
fn a_whole_life_without_a_daemon() -> Result<()> {
    whole_life(&Bench::new()?)
}

#[test]
fn a_whole_life_with_a_daemon() -> Result<()> {
    let bench = Bench::new()?;
    let daemon = bench.agent.start()?;
    whole_life(&bench)?;
    assert_eq!(daemon.stop()?, 0);
    serves(2)
}

#[test]
fn a_bundle_without_services_stops_the_app_and_keeps_its_volumes() -> Result<()> {
    let bench = Bench::new()?;
    let with_volume = "services:
  main:
    image: v1
    restart: always
    volumes: ['data:/data']
    command: [sh, -c, 'test -e /data/first || echo one > /data/first; exec sleep 100000']
volumes: {data: }
x-coracle: {trial: 1s}
";
    bench.install(1, with_volume)?;
    assert_eq!(bench.exec("main", &["cat", "/data/first"])?, "one\n");
    bench.exec("main", &["sh", "-c", "echo two > /data/first"])?;
    bench.install(2, "services: {}\n")?;
    assert_eq!(bench.containers()?.len(), 0);
    let app = bench.app()?;
    assert_eq!([&app["state"], &app["version"]], ["stopped", "2.0"]);
    assert_eq!(app["services"], json!([]));

    bench.install(3, with_volume)?;
    assert_eq!(bench.exec("main", &["cat", "/data/first"])?, "two\n");
    Ok(())
}

#[test]
fn the_first_version_that_fails_leaves_nothing_running() -> Result<()> {
    let bench = Bench::new()?;
    let v1 = bench.pack(1, &broken())?;
    bench.agent.apply(&v1)?.code(exit::ROLLED_BACK)?;
    assert_eq!(bench.containers()?.len(), 0);
    let app = bench.app()?;
    assert_eq!(
        [&app["state"], &app["version"], &app["previous"]],
        [&json!("failed"), &Value::Null, &Value::Null]
    );
    bench.install(2, &two_services("v1"))?;
    serves(1)
}

#[test]
fn apps_live_side_by_side_each_with_its_own_key() -> Result<()> {
    let bench = Bench::new()?;
    let other_keys = bench.relay.new_keys("other")?;
    let folder = bench.agent.keys_dir().join("other");
    fs::create_dir(&folder)?;
    fs::copy(&other_keys.public, folder.join("other.pub"))?;

    let app = two_services("v1");
    let other = app.replace("8080:8080", "8081:8080");
    let pack = |name, seq, text: &str, keys| bench.pack_as(name, seq, text, keys, &[]);
    bench
        .agent
        .apply(&pack("app", 1, &app, &bench.keys)?)?
        .ok()?;
    bench
        .agent
        .apply(&pack("other", 7, &other, &bench.keys)?)?
        .code(exit::REFUSED)?;
    bench
        .agent
        .apply(&pack("other", 7, &other, &other_keys)?)?
        .ok()?;
    bench
        .agent
        .apply(&pack("app", 2, &app, &other_keys)?)?
        .code(exit::REFUSED)?;
    for port in [8080, 8081] {
        assert_eq!(http::get(port, "/")?.json()?["version"], 1);
    }

    // The same service names, and each its own containers.
    let all = bench.containers()?;
    assert_eq!(all["web"].len(), 2);
    let v2 = pack("other", 8, &other.replacen("v1", "v2", 1), &other_keys)?;
    bench.agent.apply(&v2)?.ok()?;
    assert_eq!(http::get(8081, "/")?.json()?["version"], 2);
    assert_eq!(http::get(8080, "/")?.json()?["version"], 1);
    bench.agent.run(&["rollback"])?.code(exit::FAILURE)?;
    bench.agent.run(&["remove", "other"])?.ok()?;
    assert_eq!(http::get(8080, "/")?.json()?["version"], 1);
    assert_eq!(bench.containers()?["web"].len(), 1);
    Ok(())
}

/// A version 2 whose trial takes long enough to do something meanwhile.
fn slow() -> String {
    two_services("v2").replace("duration: 1s", "duration: 4s")
}

#[test]
fn ctrl_c_stops_the_wait_and_not_the_update() -> Result<()> {
    let bench = Bench::new()?;
    bench.install(1, &two_services("v1"))?;
    // Where the command itself does the update, it explains and goes on.
    let v2 = bench.pack(2, &slow())?;
    let mut apply = bench.agent.spawn(&["apply".as_ref(), v2.as_os_str()])?;
    apply.wait_for_text("Watching the new version")?;
    apply.interrupt()?;
    apply.wait_for_text("Press Ctrl-C again")?;
    apply.finish()?.ok()?;
    assert_eq!(bench.app()?["version"], "2.0");

    let daemon = bench.agent.start()?;
    let v3 = bench.pack(3, &slow().replace("v2", "v1"))?;
    let mut apply = bench.agent.spawn(&["apply".as_ref(), v3.as_os_str()])?;
    apply.wait_for_text("Bringing the images in")?;
    apply.interrupt()?;
    apply.finish()?.code(exit::FAILURE)?;
    eventually("the update to be committed", || {
        let app = bench.app()?;
        Ok((app["version"] == "3.0" && app["state"] == "running").then_some(()))
    })?;
    serves(1)?;
    assert_eq!(daemon.stop()?, 0);
    Ok(())
}

#[test]
fn a_second_update_waits_its_turn() -> Result<()> {
    let bench = Bench::new()?;
    bench.install(1, &two_services("v1"))?;
    let (v2, v3) = (bench.pack(2, &slow())?, bench.pack(3, &two_services("v1"))?);
    for with_daemon in [false, true] {
        let daemon = with_daemon.then(|| bench.agent.start()).transpose()?;
        let mut first = bench.agent.spawn(&["apply".as_ref(), v2.as_os_str()])?;
        first.wait_for_text("Watching the new version")?;
        let second = bench.agent.apply(&v3)?;
        assert_explained(&second, exit::FAILURE)?;
        first.finish()?.ok()?;
        serves(2)?;
        drop(daemon);
        bench.agent.run(&["rollback"])?.ok()?;
    }
    // Nor do two daemons share one state.
    let _daemon = bench.agent.start()?;
    let other = bench.sandbox.path().join("other.sock");
    let other = [
        std::ffi::OsStr::new("run"),
        "--control-socket".as_ref(),
        other.as_os_str(),
    ];
    assert_explained(&bench.agent.run(&other)?, exit::FAILURE)?;
    bench.agent.apply(&v3)?.ok()?;
    serves(1)
}
