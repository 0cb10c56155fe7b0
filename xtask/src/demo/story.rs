//! The demo's steps, in their order.
//!
//! Every claim that is printed has been checked before.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Outcome, wait_until};

use super::cast::{APP, Cast, tampered};
use super::tell::Teller;

const REFUSED: i32 = 10;
const ROLLED_BACK: i32 = 20;
const ALREADY_CURRENT: i32 = 30;

pub(super) fn tell(tell: &mut Teller, keep: bool) -> Result<()> {
    tell.step("A release key, a device that trusts it, and a podman service of our own");
    let cast = Cast::assemble(None)?;
    tell.command("relay key new --out release --no-password");
    tell.command("agent run &");
    tell.say("The device has one setting of its own: SITE_NAME = \"Harbour office\".");

    tell.step("Packing version 1: three services that talk to each other, in one signed file");
    let v1 = cast.pack(1)?;
    tell.command(&format!(
        "relay pack compose.v1.yaml --app {APP} --version 1.0 --seq 1 --key release.key --image …"
    ));
    tell.command("relay bundle inspect kiosk-1.0.bin");
    let inspected = cast
        .relay
        .run(&["bundle".as_ref(), "inspect".as_ref(), v1.as_os_str()])?
        .ok()?;
    tell.excerpt(&inspected.stdout);

    tell.step("Applying version 1 to the empty device");
    apply(tell, &cast, &v1)?;
    let reading = cast.reading(1)?;
    tell.command(&format!("curl http://127.0.0.1:{}/reading", cast.port));
    tell.say(&format!("  {}", reading.body.trim()));
    ensure!(
        reading.body.contains("Harbour office"),
        "the device's setting is not in the reading"
    );
    tell.holds(
        "nginx → Node-RED → mosquitto and back: the app answers, with the device's own setting",
    );

    tell.step("What would version 2 change?");
    let v2 = cast.pack(2)?;
    agent(tell, &cast, &["plan"], Some(&v2))?.ok()?;

    tell.step("Updating to version 2");
    let broker = cast.container("broker")?;
    apply(tell, &cast, &v2)?;
    let reading = cast.reading(2)?;
    tell.say(&format!("  {}", reading.body.trim()));
    ensure!(
        cast.container("broker")? == broker,
        "the broker's container was replaced"
    );
    tell.holds("the answer changed; the broker did not change, so its container never stopped");

    tell.step("Applying version 3, whose health check fails");
    let v3 = cast.pack(3)?;
    agent(tell, &cast, &["apply"], Some(&v3))?.code(ROLLED_BACK)?;
    cast.reading(2)?;
    tell.holds("exit code 20: rolled back by itself, and version 2 answers");

    tell.step("Killing a container");
    let before = cast.container("web")?;
    tell.command("podman kill --signal KILL <the container of web>");
    cast.podman
        .podman(&["kill", "--signal", "KILL", &before])?
        .ok()?;
    let restarts = wait_until("web to be restarted", Duration::from_secs(60), || {
        Ok(restarts(&cast, "web")?.filter(|restarts| *restarts > 0))
    })?;
    cast.reading(2)?;
    tell.holds(&format!(
        "the agent started it again ({restarts} restart), and the page answers"
    ));

    tell.step("Refusing what must not run");
    let state = slots(&cast)?;
    agent(tell, &cast, &["apply"], Some(&tampered(&v2)?))?.code(REFUSED)?;
    agent(tell, &cast, &["apply"], Some(&v1))?.code(REFUSED)?;
    agent(tell, &cast, &["apply"], Some(&v2))?.code(ALREADY_CURRENT)?;
    ensure!(slots(&cast)? == state, "a refusal changed the state");
    tell.holds("a tampered bundle and an older one are refused, the state is untouched");

    tell.step("What the device says of itself");
    agent(tell, &cast, &["status"], None)?.ok()?;
    agent(tell, &cast, &["history"], None)?.ok()?;

    tell.step("The end");
    finish(tell, cast, keep)?;
    tell.end();
    Ok(())
}

/// Applies a bundle that must go through.
fn apply(tell: &Teller, cast: &Cast, bundle: &Path) -> Result<()> {
    agent(tell, cast, &["apply"], Some(bundle))?.ok().map(drop)
}

/// Runs `agent`, and shows the command and what it prints.
fn agent(tell: &Teller, cast: &Cast, words: &[&str], bundle: Option<&Path>) -> Result<Outcome> {
    let mut arguments: Vec<&std::ffi::OsStr> = words.iter().map(AsRef::as_ref).collect();
    let mut line = format!("agent {}", words.join(" "));
    if let Some(bundle) = bundle {
        arguments.push(bundle.as_os_str());
        let name = bundle.file_name().context("a bundle without a name")?;
        line = format!("{line} {}", name.to_string_lossy());
    }
    tell.command(&line);
    let outcome = cast.agent.run(&arguments)?;
    tell.output(&outcome);
    Ok(outcome)
}

fn restarts(cast: &Cast, service: &str) -> Result<Option<u64>> {
    let status = cast.agent.status()?;
    let services = status["apps"][0]["services"]
        .as_array()
        .context("status without services")?;
    let found = services.iter().find(|one| one["name"] == service);
    Ok(found.and_then(|one| one["restarts"].as_u64()))
}

/// The bytes of both slots of the state file.
fn slots(cast: &Cast) -> Result<[Vec<u8>; 2]> {
    let dir = cast.agent.state_dir();
    Ok([
        std::fs::read(dir.join("state.a"))?,
        std::fs::read(dir.join("state.b"))?,
    ])
}

/// Stops the daemon, which leaves the containers running; then removes everything, or nothing.
fn finish(tell: &Teller, cast: Cast, keep: bool) -> Result<()> {
    if keep {
        tell.say(&format!(
            "The app runs on at http://127.0.0.1:{}/",
            cast.port
        ));
        tell.say("Ask the device yourself:");
        let socket = cast.agent.control_socket();
        let agent = e2e::binary("agent")?;
        tell.command(&format!(
            "{} --control-socket {} status",
            agent.display(),
            socket.display()
        ));
        tell.say(&format!(
            "Everything is in {}; the next demo clears it away.",
            cast.sandbox.path().display()
        ));
        cast.sandbox.clone().keep()?;
        // Not dropped: dropping is what stops and removes.
        std::mem::forget(cast);
        return Ok(());
    }
    let Cast { daemon, podman, .. } = &cast;
    tell.say(&format!(
        "agent (pid {}) stops; containers stay until podman goes.",
        daemon.process_id()
    ));
    let running = podman.running()?.len();
    let port = cast.port;
    let Cast {
        daemon,
        agent: _agent,
        podman,
        sandbox: _sandbox,
        ..
    } = cast;
    daemon.stop()?;
    ensure!(
        podman.running()?.len() == running,
        "containers stopped with the agent"
    );
    ensure!(
        e2e::http::get(port, "/reading")?.status == 200,
        "the app stopped with the agent"
    );
    tell.holds(&format!(
        "the agent has ended; all {running} containers run on and answer"
    ));
    drop(podman);
    tell.say("Removed: containers, podman service, keys, state.");
    Ok(())
}
