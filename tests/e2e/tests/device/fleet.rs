//! Through a relay: what an operator rolls out reaches devices, those that return too, and what
//! happens there reaches the operator.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::{Agent, Daemon, Outcome, RelayServer};
use serde_json::Value;

use crate::bench::{Bench, eventually, exit, two_services};

/// The exit code of an operator's command that the relay refuses.
const UNFIT: i32 = 5;

/// A device with a running daemon, enrolled at a relay.
pub(crate) struct Fleet {
    pub(crate) server: RelayServer,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) bench: Bench,
}

impl Fleet {
    pub(crate) fn new() -> Result<Self> {
        Self::of(Bench::new()?, &[])
    }

    /// With further options of `relay serve`.
    pub(crate) fn of(bench: Bench, options: &[&str]) -> Result<Self> {
        let options = [&["--long-poll", "20", "--interval", "2"], options].concat();
        let server = RelayServer::start(&bench.sandbox, &options)?;
        let daemon = bench.agent.start()?;
        bench.agent.enroll(&server, &["site=harbour"])?.ok()?;
        Ok(Self {
            server,
            daemon: Some(daemon),
            bench,
        })
    }

    /// Packs and publishes version `SEQ.0` of `app`.
    pub(crate) fn publish(&self, seq: u64, compose: &str) -> Result<()> {
        let bundle = self.bench.pack(seq, compose)?;
        self.server.publish(&bundle).map(drop)
    }

    /// Rolls version `SEQ.0` out to every device and waits for its end; gives the rollout.
    pub(crate) fn roll_out(&self, seq: u64, expected: &str) -> Result<Value> {
        let id = self.server.roll_out(&format!("app@{seq}.0"), "all")?;
        self.ended(id, expected)
    }

    /// Waits until a rollout has ended, as expected.
    pub(crate) fn ended(&self, id: u64, expected: &str) -> Result<Value> {
        let rollout = eventually("the rollout to end", || {
            let rollout = self.server.rollout(id)?;
            Ok((rollout["state"] != "running").then_some(rollout))
        })?;
        ensure!(
            rollout["state"] == expected,
            "not {expected}: {rollout}\nthe agent wrote\n{}",
            self.agent_log()
        );
        Ok(rollout)
    }

    /// Installs version `SEQ.0` through the relay.
    pub(crate) fn install(&self, seq: u64, compose: &str) -> Result<Value> {
        self.publish(seq, compose)?;
        self.roll_out(seq, "succeeded")
    }

    /// What the relay knows of a device.
    pub(crate) fn device(&self, id: &str) -> Result<Value> {
        self.server.ask(&["devices", "show", id])
    }

    /// Waits until the relay shows this version of `app` on the device.
    pub(crate) fn shows(&self, id: &str, version: &str) -> Result<Value> {
        eventually(&format!("the relay to show {version} on {id}"), || {
            let device = self.device(id)?;
            Ok((device["apps"][0]["version"] == version).then_some(device))
        })
    }

    pub(crate) fn agent_log(&self) -> String {
        let folder = self.bench.sandbox.path().join("device-1");
        fs::read_to_string(folder.join("agent.log")).unwrap_or_default()
    }

    /// Ends the daemon as `kill -9` does.
    pub(crate) fn kill_agent(&mut self) -> Result<()> {
        self.daemon.take().context("no daemon runs")?.kill()
    }

    /// Starts it again.
    pub(crate) fn start_agent(&mut self) -> Result<()> {
        self.daemon = Some(self.bench.agent.start()?);
        Ok(())
    }
}

/// A version whose health check never passes, and which says why.
pub(crate) fn sick() -> String {
    "services:
  web:
    image: v2
    restart: always
    command: [sh, -c, 'echo no such table: readings; sleep 100000']
    healthcheck: {test: [CMD, 'false'], interval: 500ms, retries: 2}
x-coracle: {trial: {duration: 1s, healthy_within: 10s}}
"
    .to_owned()
}

fn refused(outcome: Outcome, code: i32, words: &str) -> Result<()> {
    let outcome = outcome.code(code)?;
    ensure!(outcome.stderr.contains(words), "{outcome:?}");
    Ok(())
}

#[test]
fn what_is_rolled_out_reaches_every_device_now_or_when_it_returns() -> Result<()> {
    let mut fleet = Fleet::new()?;
    fleet.install(1, &two_services("v1"))?;
    let status = fleet.bench.agent.status()?;
    assert_eq!(status["relay"]["url"], fleet.server.url());
    assert!(status["relay"]["last_contact"].is_string(), "{status}");

    // A device that is away when version 2 is rolled out, and one that comes new.
    fleet.kill_agent()?;
    fleet.publish(2, &two_services("v2"))?;
    let id = fleet.server.roll_out("app@2.0", "site=harbour")?;
    assert_eq!(fleet.server.rollout(id)?["stages"][0]["pending"], 1);
    fleet.start_agent()?;
    fleet.ended(id, "succeeded")?;
    assert_eq!(fleet.bench.app()?["version"], "2.0");

    let device = fleet.shows("device-1", "2.0")?;
    assert_eq!(device["labels"]["site"], "harbour");
    let services = device["apps"][0]["services"].as_array().context("none")?;
    let own = fleet.bench.app()?;
    for service in services {
        let name = service["name"].as_str().context("a name")?;
        let at_home = own["services"].as_array().into_iter().flatten();
        let at_home = at_home.into_iter().find(|one| one["name"] == name);
        let at_home = at_home.context("a service that the device does not have")?;
        assert_eq!(service["image_id"], at_home["image_id"], "{name}");
    }
    let audit = fleet.server.ask(&["audit"])?;
    let actions: Vec<_> = audit.as_array().into_iter().flatten().collect();
    for action in ["publish", "rollout.start", "device.enroll"] {
        assert!(
            actions.iter().any(|one| one["action"] == action),
            "no {action}: {audit}"
        );
    }
    Ok(())
}

#[test]
fn a_version_that_fails_comes_back_and_the_relay_has_its_last_words() -> Result<()> {
    let mut fleet = Fleet::new()?;
    fleet.install(1, &two_services("v1"))?;
    fleet.publish(2, &sick())?;
    let rollout = fleet.roll_out(2, "failed")?;
    assert_eq!(rollout["stages"][0]["failed"], 1);
    let device = fleet.shows("device-1", "1.0")?;
    let events = device["events"].as_array().context("no events")?;
    let rolled_back = events.iter().find(|one| one["result"] == "rolled_back");
    let rolled_back = rolled_back.with_context(|| format!("no rollback: {device}"))?;
    assert_eq!(rolled_back["rollout"], rollout["id"]);
    let evidence = rolled_back["evidence"].to_string();
    assert!(evidence.contains("no such table: readings"), "{evidence}");

    // It is tried once for each rollout: not again, not even after a restart.
    let containers = fleet.bench.containers()?;
    fleet.kill_agent()?;
    fleet.start_agent()?;
    let id = fleet.server.roll_out("app@2.0", "all")?;
    fleet.ended(id, "failed")?;
    let updates = |log: String| log.matches("phase=switching").count();
    assert_eq!(updates(fleet.agent_log()), 3, "{}", fleet.agent_log());
    assert_eq!(fleet.bench.app()?["version"], "1.0");
    assert_eq!(fleet.bench.containers()?["side"], containers["side"]);

    // The next good one goes in.
    fleet.install(3, &two_services("v2"))?;
    Ok(())
}

#[test]
fn a_relay_that_is_away_changes_nothing_and_learns_of_the_stick_later() -> Result<()> {
    let mut fleet = Fleet::new()?;
    fleet.install(1, &two_services("v1"))?;
    let before = fleet.bench.containers()?;
    fleet.server.kill()?;
    let stick = fleet.bench.pack(3, &two_services("v2"))?;
    fleet.bench.agent.apply(&stick)?.ok()?;
    assert_eq!(fleet.bench.containers()?["side"], before["side"]);
    fleet.server.resume()?;
    let device = fleet.shows("device-1", "3.0")?;
    let events = device["events"].as_array().context("no events")?;
    let on_site = |one: &&Value| one["version"] == "3.0" && one["rollout"].is_null();
    let event = events.iter().find(on_site);
    event.with_context(|| format!("the stick is not told: {device}"))?;

    // An older version that somebody rolls out does not bring it back.
    fleet.publish(2, &two_services("v1"))?;
    let start = ["rollout", "start", "app@2.0", "--to", "all"];
    refused(fleet.server.operator(&start)?, UNFIT, "has committed seq 3")?;
    assert_eq!(fleet.bench.app()?["version"], "3.0");
    Ok(())
}

#[test]
fn a_setting_from_the_relay_makes_a_new_generation_of_the_same_bundle() -> Result<()> {
    let fleet = Fleet::new()?;
    let compose = "services:
  web:
    image: v1
    restart: always
    environment: {GREETING: '${GREETING}'}
    command: [sleep, '100000']
x-coracle:
  trial: 1s
  variables:
    GREETING: {type: text, default: Hello}
";
    fleet.install(1, compose)?;
    let asked = || fleet.bench.exec("web", &["sh", "-c", "echo $GREETING"]);
    assert_eq!(asked()?.trim(), "Hello");
    let set = ["devices", "set", "device-1", "app.GREETING=Good morning"];
    fleet.server.operator(&set)?.ok()?;
    eventually("the setting to arrive", || {
        Ok((fleet.bench.app()?["generation"] == 2).then_some(()))
    })?;
    assert_eq!(asked()?.trim(), "Good morning");
    let app = fleet.bench.app()?;
    assert_eq!((&app["seq"], &app["version"]), (&1.into(), &"1.0".into()));
    Ok(())
}

#[test]
fn tokens_are_used_once_and_a_removed_device_keeps_running() -> Result<()> {
    let fleet = Fleet::new()?;
    fleet.install(1, &two_services("v1"))?;
    let second = Agent::new(&fleet.bench.sandbox, "device-2", &fleet.bench.podman)?;
    let enroll = |agent: &Agent, token: &str, url: &str| {
        let ca = fleet.server.ca();
        let ca = ca.to_str().context("UTF-8")?.to_owned();
        agent.run(&["enroll", url, "--token", token, "--relay-ca", &ca])
    };
    let (token, url) = (fleet.server.enroll_token(&[])?, fleet.server.url());
    enroll(&second, &token, &url)?.ok()?;
    // The same device again: its answer may have been lost.
    enroll(&second, &token, &url)?.ok()?;
    let third = Agent::new(&fleet.bench.sandbox, "device-3", &fleet.bench.podman)?;
    refused(enroll(&third, &token, &url)?, exit::FAILURE, "used")?;
    refused(enroll(&third, "cet_wrong", &url)?, exit::FAILURE, "token")?;
    let nobody = "https://127.0.0.1:9";
    refused(enroll(&third, &token, nobody)?, exit::DOWNLOAD_FAILED, "")?;
    // Without the authority that signed its certificate, the relay is nobody.
    let fresh = fleet.server.enroll_token(&[])?;
    let strange = third.run(&["enroll", &url, "--token", &fresh])?;
    refused(strange, exit::FAILURE, "--relay-ca")?;
    enroll(&third, &fresh, &url)?.ok()?;

    let before = fleet.bench.containers()?;
    let remove = ["devices", "remove", "device-1", "--yes"];
    fleet.server.operator(&remove)?.ok()?;
    eventually("the device to be told", || {
        let checks = fleet.bench.agent.run(&["doctor", "--json"])?.stdout;
        let checks: Value = serde_json::from_str(&checks)?;
        let relay = checks.as_array().into_iter().flatten();
        let relay = relay.into_iter().find(|check| check["name"] == "relay");
        let relay = relay.context("doctor does not look at the relay")?;
        Ok((relay["result"] != "ok").then_some(()))
    })?;
    assert_eq!(fleet.bench.containers()?, before);
    Ok(())
}
