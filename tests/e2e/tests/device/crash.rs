//! The agent and podman die in the middle of an update: afterwards exactly one complete
//! generation runs, and the next update goes through.

use anyhow::{Context, Result, ensure};
use e2e::{http, wait_until};
use serde_json::Value;
use test_images::Version;

use crate::bench::{Bench, DEADLINE, two_services};

/// The steps of an update, as they are shown.
const STEPS: [&str; 4] = [
    "Checking the bundle",
    "Bringing the images in",
    "Replacing services",
    "Watching the new version",
];
const GOING_BACK: &str = "Going back to the version before";

/// A version 2 whose `web` is another image, with a trial that is long enough to be killed in.
fn second() -> String {
    two_services("v2").replace("duration: 1s", "duration: 3s")
}

/// Waits until no update is under way, and checks that one generation runs as a whole: all of its
/// services, each once, and nothing else. Gives its version.
fn one_complete_generation(bench: &Bench) -> Result<String> {
    let mut app = Value::Null;
    let settled = wait_until("the agent to come to rest", DEADLINE, || {
        app = bench.app()?;
        let services = app["services"].as_array().context("services")?;
        let well = |service: &Value| {
            service["state"] == "running" && service["name"] == "side" || service["healthy"] == true
        };
        // Older containers are removed after all else.
        let containers: usize = bench.containers()?.values().map(Vec::len).sum();
        let rests = app["state"] == "running" && services.iter().all(well) && containers == 2;
        Ok(rests.then_some(()))
    });
    settled.with_context(|| format!("{app}"))?;
    let version = app["version"].as_str().context("a version")?.to_owned();
    // Versions with an even number have the second image.
    let even = app["seq"].as_u64().is_some_and(|seq| seq % 2 == 0);
    let image = if even { Version::V2 } else { Version::V1 };
    ensure!(bench.container("side")?.name == "coracle-app-side-1");
    let web = bench.inspect("web")?;
    let id = format!("sha256:{}", web["Image"].as_str().unwrap_or_default());
    ensure!(
        id == test_images::info(&test_images::tiny(image)?)?.image_id,
        "{version} runs {id}"
    );
    let page = http::wait_for(8080, "/", DEADLINE, |answer| answer.status == 200)?;
    ensure!(
        page.json()?["version"] == image.number(),
        "{version} serves {page:?}"
    );
    Ok(version)
}

/// The next update goes through, whatever the one before came to.
fn goes_on(bench: &Bench, seq: u64) -> Result<()> {
    bench.install(
        seq,
        &two_services("v1").replace("duration: 1s", "duration: 2s"),
    )?;
    assert_eq!(one_complete_generation(bench)?, format!("{seq}.0"));
    Ok(())
}

#[test]
fn a_daemon_killed_at_any_step_ends_with_one_complete_generation() -> Result<()> {
    let bench = Bench::new()?;
    let mut daemon = bench.agent.start()?;
    let mut seq = 1;
    bench.install(seq, &two_services("v1"))?;
    for step in STEPS {
        let bundle = bench.pack(seq + 1, &second())?;
        let mut apply = bench.agent.spawn(&["apply".as_ref(), bundle.as_os_str()])?;
        apply.wait_for_text(step)?;
        daemon.kill()?;
        let outcome = apply.finish()?;
        ensure!(
            outcome.code != 0,
            "the client must say that it does not know: {outcome:?}"
        );
        daemon = bench.agent.start()?;
        let version =
            one_complete_generation(&bench).with_context(|| format!("killed at {step:?}"))?;
        ensure!(
            [seq, seq + 1]
                .iter()
                .any(|seq| version == format!("{seq}.0")),
            "{version}"
        );
        // The same bundle may come again: it is done, or it goes through now.
        let again = bench.agent.apply(&bundle)?;
        ensure!([0, 30].contains(&again.code), "after {step:?}: {again:?}");
        seq += 2;
        goes_on(&bench, seq).with_context(|| format!("after {step:?}"))?;
    }
    drop(daemon);
    Ok(())
}

#[test]
fn a_command_killed_at_any_step_is_taken_up_by_the_next() -> Result<()> {
    let bench = Bench::new()?;
    let mut seq = 1;
    bench.install(seq, &two_services("v1"))?;
    for step in STEPS {
        let bundle = bench.pack(seq + 1, &second())?;
        let mut apply = bench.agent.spawn(&["apply".as_ref(), bundle.as_os_str()])?;
        apply.wait_for_text(step)?;
        apply.kill()?;
        // The next one sees to the old before it does the new.
        seq += 2;
        let next = bench.pack(seq, &two_services("v1"))?;
        bench
            .agent
            .apply(&next)?
            .ok()
            .with_context(|| format!("after {step:?}"))?;
        let _daemon = bench.agent.start()?;
        assert_eq!(one_complete_generation(&bench)?, format!("{seq}.0"));
    }
    Ok(())
}

#[test]
fn a_rollback_that_is_killed_goes_on() -> Result<()> {
    let bench = Bench::new()?;
    let daemon = bench.agent.start()?;
    bench.install(1, &two_services("v1"))?;
    let broken = second()
        .replace("8080/health", "8080/nowhere")
        .replace("20s", "1s");
    let bundle = bench.pack(2, &broken)?;
    let mut apply = bench.agent.spawn(&["apply".as_ref(), bundle.as_os_str()])?;
    apply.wait_for_text(GOING_BACK)?;
    daemon.kill()?;
    drop(apply);
    let _daemon = bench.agent.start()?;
    assert_eq!(one_complete_generation(&bench)?, "1.0");
    let last = bench.app()?["last_update"].clone();
    assert_eq!([&last["version"], &last["result"]], ["2.0", "rolled_back"]);
    goes_on(&bench, 3)
}

#[test]
fn a_podman_killed_while_images_come_in_leaves_what_runs() -> Result<()> {
    for with_daemon in [false, true] {
        let mut bench = Bench::new()?;
        let _daemon = with_daemon.then(|| bench.agent.start()).transpose()?;
        bench.install(1, &two_services("v1"))?;
        let before = bench.containers()?;
        let bundle = bench.pack(2, &second())?;
        let mut apply = bench.agent.spawn(&["apply".as_ref(), bundle.as_os_str()])?;
        apply.wait_for_text(STEPS[1])?;
        bench.podman.kill()?;
        let outcome = apply.finish()?;
        ensure!(outcome.code != 0, "nothing could be replaced: {outcome:?}");
        assert_eq!(bench.containers()?["side"], before["side"]);
        bench.podman.start_again()?;
        let again = bench.agent.apply(&bundle)?;
        ensure!([0, 30].contains(&again.code), "{again:?}");
        let _daemon = (!with_daemon).then(|| bench.agent.start()).transpose()?;
        assert_eq!(one_complete_generation(&bench)?, "2.0");
    }
    Ok(())
}
