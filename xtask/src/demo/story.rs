//! The demo's steps, in their order.
//!
//! Every claim that is printed has been checked before.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Outcome, wait_until};

use super::cast::{APP, Cast, DEVICE, tampered};
use super::tell::Teller;

const REFUSED: i32 = 10;
const ALREADY_CURRENT: i32 = 30;

/// How long a rollout to one device on this machine may take.
const ROLLOUT_PATIENCE: Duration = Duration::from_secs(180);

pub(super) fn tell(tell: &mut Teller, keep: bool) -> Result<()> {
    tell.step("A release key, a relay with TLS, and a device with a podman service of its own");
    let mut cast = Cast::assemble(None, &["--long-poll", "30"])?;
    tell.command("relay key new --out release --no-password");
    tell.command("relay serve --data data --listen 127.0.0.1:0 --dev-ca ca --long-poll 30 &");
    tell.say(&format!("relay listens on {}", cast.server.url()));
    tell.command("agent run &");
    tell.say("The device trusts release.pub, and has one setting of its own: SITE_NAME.");

    tell.step("The device enrols itself with a one-time token, and makes its own key");
    enrol(tell, &cast)?;

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

    tell.step("Publishing version 1 and rolling it out: the device fetches it over HTTPS");
    publish(tell, &cast, &v1)?;
    roll_out(tell, &cast, "1.0", "succeeded")?;
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

    tell.step("Rolling version 2 out: only what the device lacks is fetched");
    let broker = cast.container("broker")?;
    publish(tell, &cast, &v2)?;
    roll_out(tell, &cast, "2.0", "succeeded")?;
    let reading = cast.reading(2)?;
    tell.say(&format!("  {}", reading.body.trim()));
    ensure!(
        cast.container("broker")? == broker,
        "the broker's container was replaced"
    );
    tell.holds("the answer changed; the broker did not change, so its container never stopped");

    tell.step("Rolling version 3 out, whose health check fails");
    let v3 = cast.pack(3)?;
    publish(tell, &cast, &v3)?;
    roll_out(tell, &cast, "3.0", "failed")?;
    cast.reading(2)?;
    let shown = operator(tell, &cast, &["devices", "show", DEVICE])?.ok()?;
    ensure!(
        shown.stdout.contains("rolled back"),
        "the relay does not show the rollback"
    );
    tell.holds("rolled back by the device itself; the relay knows why and has the last log lines");

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

    tell.step("The relay dies; a technician applies version 4 from a stick");
    tell.command("kill -9 <the relay>");
    cast.server.kill()?;
    let v4 = cast.pack(4)?;
    apply(tell, &cast, &v4)?;
    let reading = cast.reading(4)?;
    tell.say(&format!("  {}", reading.body.trim()));
    tell.holds("a relay that is away changes nothing on the device");

    tell.step("The relay returns, and learns of it");
    cast.server.resume()?;
    tell.command("relay serve … &");
    wait_until("the relay to learn of it", ROLLOUT_PATIENCE, || {
        let devices = cast.server.ask(&["devices"])?;
        let version = &devices[0]["apps"][0]["version"];
        Ok((version == "4.0").then_some(()))
    })?;
    operator(tell, &cast, &["devices"])?.ok()?;
    operator(tell, &cast, &["rollout", "list"])?.ok()?;
    operator(tell, &cast, &["audit"])?.ok()?;
    tell.holds("the relay shows version 4 on the device, and who did what before");

    tell.step("What the device says of itself");
    agent(tell, &cast, &["status"], None)?.ok()?;
    agent(tell, &cast, &["history"], None)?.ok()?;

    tell.step("The end");
    finish(tell, cast, keep)?;
    tell.end();
    Ok(())
}

/// A token from the relay, and the device's enrolment with it.
fn enrol(tell: &Teller, cast: &Cast) -> Result<()> {
    tell.command("relay token enroll --label site=harbour --ttl 1h");
    let server = &cast.server;
    tell.command(&format!(
        "agent enroll {} --token cet_… --relay-ca ca/ca.pem",
        server.url()
    ));
    let enrolled = cast.agent.enroll(server, &["site=harbour"])?;
    tell.output(&enrolled);
    enrolled.ok()?;
    wait_until("the device to check in", ROLLOUT_PATIENCE, || {
        let devices = server.ask(&["devices"])?;
        Ok((!devices[0]["last_seen"].is_null()).then_some(()))
    })?;
    operator(tell, cast, &["devices"])?.ok()?;
    tell.holds("the device called out; nothing listens on it");
    Ok(())
}

fn publish(tell: &Teller, cast: &Cast, bundle: &Path) -> Result<()> {
    let path = bundle.to_str().context("a path that is not UTF-8")?;
    let name = bundle.file_name().context("a bundle without a name")?;
    tell.command(&format!("relay publish {}", name.to_string_lossy()));
    let outcome = cast.server.operator(&["publish", path])?;
    tell.output(&outcome);
    outcome.ok().map(drop)
}

/// Starts a rollout and waits for its end.
fn roll_out(tell: &Teller, cast: &Cast, version: &str, expected: &str) -> Result<()> {
    let release = format!("{APP}@{version}");
    let start = ["rollout", "start", &release, "--to", "site=harbour"];
    tell.command(&format!("relay {}", start.join(" ")));
    let server = &cast.server;
    let id = server.roll_out(&release, "site=harbour")?;
    let rollout = wait_until("the rollout to end", ROLLOUT_PATIENCE, || {
        let rollout = server.rollout(id)?;
        Ok((rollout["state"] != "running").then_some(rollout))
    })?;
    operator(tell, cast, &["rollout", "status", &id.to_string()])?.ok()?;
    let state = &rollout["state"];
    ensure!(state == expected, "rollout {id} is {state}, not {expected}");
    Ok(())
}

/// Runs an operator's command, and shows it and what it prints.
fn operator(tell: &Teller, cast: &Cast, words: &[&str]) -> Result<Outcome> {
    tell.command(&format!("relay {}", words.join(" ")));
    let outcome = cast.server.operator(words)?;
    tell.output(&outcome);
    Ok(outcome)
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
        tell.say("And the relay:");
        let server = &cast.server;
        tell.command(&format!(
            "CORACLE_RELAY_URL={} CORACLE_RELAY_CA={} CORACLE_TOKEN={} {} devices",
            server.url(),
            server.ca().display(),
            server.admin_token()?,
            e2e::binary("relay")?.display()
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
        server,
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
    drop(server);
    drop(podman);
    tell.say("Removed: containers, podman service, relay, keys, state.");
    Ok(())
}
