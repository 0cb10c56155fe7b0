//! The agent or the device goes down at any step: what comes back is one complete generation.

use runtime_shim::fake::Fault;

use super::bench::{Bench, Recipe, exec_health};
use crate::api::Request;

/// How the machine goes down.
#[derive(Clone, Copy, Debug)]
enum Crash {
    /// The agent is killed; containers go on.
    Agent,
    /// The power fails; containers end, and the newest image may be lost.
    Power,
}

/// Applies version 2 over version 1, crashes after `steps` steps, starts again, and says whether
/// the update was over by then. `broken` makes version 2 fail its trial.
fn crash_after(steps: u32, crash: Crash, broken: bool) -> bool {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let sick = broken.then(|| bench.fake.service("shop", "web").generation(2).exec(1, ""));
    let two = Recipe::new(2).edit(|m| {
        m.services[0].health = Some(exec_health());
        m.volumes.push("data".parse().unwrap());
    });
    let two = two.build(&bench);
    let (engine, path) = (std::rc::Rc::clone(&agent.engine), two.clone());
    let apply = agent.spawn(async move {
        engine
            .handle(Request::Apply { bundle: path }, &|_| {})
            .await
    });
    let mut over = false;
    for _ in 0..steps {
        over = apply.is_finished() || !agent.single_step();
        if over {
            break;
        }
    }
    // Gone without a word: nothing of it is ever polled again.
    std::mem::forget(apply);
    std::mem::forget(agent);
    if let Crash::Power = crash {
        bench.fake.reboot();
        bench.host.boot.set(bench.host.boot.get() + 1);
    }
    bench.host.forget_sleepers();

    let agent = bench.daemon();
    agent.pass_ms(600_000);
    let app = agent.app("shop").unwrap();
    let version = app.version.clone().unwrap();
    let place = format!("{crash:?} after {steps} steps, broken: {broken}");
    assert_eq!(app.state, "running", "{place}");
    let web = if version == "1.0" { 1 } else { 2 };
    let running = bench.running();
    let expected = [("db".to_owned(), 1), ("web".to_owned(), web)]
        .into_iter()
        .collect();
    assert_eq!(running, expected, "{place}: {version}");
    assert_eq!(
        bench.fake.all_containers().len(),
        2,
        "{place}: something is left over"
    );
    assert!(
        !broken || version == "1.0",
        "{place}: a broken version was kept"
    );

    // The floors hold, and life goes on.
    if let Some(sick) = sick {
        sick.release();
    }
    let code = agent.apply_code(&two);
    assert_eq!(code, if version == "2.0" { 30 } else { 0 }, "{place}");
    assert_eq!(
        agent.apply_code(&Recipe::new(3).build(&bench)),
        0,
        "{place}"
    );
    assert_eq!(agent.apply_code(&two), 10, "{place}");
    over
}

fn crash_everywhere(crash: Crash, broken: bool) {
    let mut steps = 0;
    while !crash_after(steps, crash, broken) {
        steps += 1;
    }
    assert!(
        steps > 30,
        "only {steps} steps: the test no longer reaches the update"
    );
}

#[test]
fn the_agent_is_killed_at_every_step_of_an_update() {
    crash_everywhere(Crash::Agent, false);
}

#[test]
fn the_agent_is_killed_at_every_step_of_a_rollback() {
    crash_everywhere(Crash::Agent, true);
}

#[test]
fn the_power_fails_at_every_step_of_an_update() {
    crash_everywhere(Crash::Power, false);
}

#[test]
fn the_power_fails_at_every_step_of_a_rollback() {
    crash_everywhere(Crash::Power, true);
}

/// Each call that changes something at the runtime does it, but its answer never comes.
#[test]
fn the_agent_is_killed_inside_every_call() {
    for nth in 1.. {
        let bench = Bench::new();
        let agent = bench.daemon();
        agent.apply(&Recipe::new(1).build(&bench)).unwrap();
        bench.fake.forget_calls();
        let hang = bench.fake.inject(Fault::hang().after_effect().nth(nth));
        let two = Recipe::new(2).build(&bench);
        let engine = std::rc::Rc::clone(&agent.engine);
        let apply = agent
            .spawn(async move { engine.handle(Request::Apply { bundle: two }, &|_| {}).await });
        for _ in 0..2_000 {
            if hang.fired() > 0 || apply.is_finished() || !agent.single_step() {
                break;
            }
        }
        let reached = hang.fired() > 0;
        hang.release();
        std::mem::forget(apply);
        std::mem::forget(agent);
        bench.host.forget_sleepers();
        let agent = bench.daemon();
        agent.pass_ms(600_000);
        let running = bench.running();
        assert_eq!(
            running.keys().map(String::as_str).collect::<Vec<_>>(),
            ["db", "web"],
            "call {nth}"
        );
        assert_eq!(
            bench.fake.all_containers().len(),
            2,
            "call {nth}: something is left over"
        );
        if !reached {
            assert!(nth > 15, "only {nth} calls");
            return;
        }
    }
}

/// Each call fails once: the update may fail, the device may not.
#[test]
fn every_call_fails_once() {
    for nth in 1.. {
        let bench = Bench::new();
        let agent = bench.daemon();
        agent.apply(&Recipe::new(1).build(&bench)).unwrap();
        let fail = bench
            .fake
            .inject(Fault::fail(|| runtime_shim::RuntimeError::TimedOut).nth(nth));
        let two = Recipe::new(2).build(&bench);
        let result = agent.apply(&two);
        if let Err(failure) = &result {
            assert!(
                [1, 12, 20].contains(&failure.code),
                "call {nth}: {failure:?}"
            );
        }
        let reached = fail.fired() > 0;
        fail.release();
        agent.pass_ms(600_000);
        let web = if result.is_ok() { 2 } else { 1 };
        let running = bench.running();
        assert_eq!(
            running.get("web"),
            Some(&web),
            "call {nth}: {result:?} {running:?}"
        );
        assert_eq!(running.get("db"), Some(&1), "call {nth}");
        assert_eq!(
            agent.apply_code(&two),
            if result.is_ok() { 30 } else { 0 },
            "call {nth}"
        );
        assert_eq!(
            bench.fake.all_containers().len(),
            2,
            "call {nth}: something is left over"
        );
        if !reached {
            assert!(nth > 15, "only {nth} calls");
            return;
        }
    }
}
