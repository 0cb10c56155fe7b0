//! The agent, the device or its disk goes down at any point of a rollback: the relay learns of it
//! once, and of what the failed version left behind.

use std::io;
use std::rc::Rc;

use relay_api::device::UpdateResult;
use runtime_shim::fake::Fault;

use super::bench::{Bench, Recipe};
use super::reporting::{Relay, crashing_two, deliver, enrolled, of_web, waiting};
use crate::api::Request;
use crate::state::tests::{BadDisk, Fate, Forgetful, Harm};
use crate::state::vfs::RealVfs;

/// Applies a version 2 that crashes over version 1; the agent or the device goes down in the n-th
/// call of the runtime, before its effect or after it. Says whether there were so many calls.
fn crash_in_call(nth: u64, after: bool, power: bool) -> bool {
    let (bench, agent, relay) = enrolled();
    let (engine, path) = (Rc::clone(&agent.engine), crashing_two(&bench));
    let hang = Fault::hang().nth(nth);
    let hang = if after { hang.after_effect() } else { hang };
    let hang = bench.fake.inject(hang);
    let apply = agent.spawn(async move {
        engine
            .handle(Request::Apply { bundle: path }, &|_| {})
            .await
    });
    while hang.fired() == 0 && !apply.is_finished() && agent.single_step() {}
    let reached = hang.fired() > 0;
    hang.release();
    std::mem::forget(apply);
    std::mem::forget(agent);
    if power {
        bench.fake.reboot();
        bench.host.boot.set(2);
    }
    bench.host.forget_sleepers();
    let agent = bench.daemon();
    agent.pass_ms(600_000);
    deliver(&agent, &relay).unwrap();
    agent.stop();
    // And once more, after everything has come to rest.
    let agent = bench.daemon();
    agent.pass_ms(60_000);
    assert_eq!(waiting(&agent), 0);
    let told = relay.updates();
    let place = format!("call {nth}, after: {after}, power: {power}: {told:?}");
    match told.as_slice() {
        // Nothing durable had come of it.
        [_] => assert!(reached, "{place}"),
        [_, two] => {
            assert_eq!(
                (two.seq, two.result),
                (2, UpdateResult::RolledBack),
                "{place}"
            );
            let web = of_web(&two.evidence);
            assert_eq!(web.exit_code, Some(3), "{place}");
            let last = web.lines.last().map(String::as_str);
            assert_eq!(last, Some("no such device"), "{place}");
        }
        _ => panic!("{place}"),
    }
    let spool = bench.config.state_dir.join("reports");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0, "{place}");
    let kept = bench.config.state_dir.join("evidence");
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 0, "{place}");
    reached
}

#[test]
fn a_crash_in_any_call_loses_no_report_and_no_evidence() {
    for (after, power) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut nth = 1;
        while crash_in_call(nth, after, power) {
            nth += 1;
        }
        assert!(nth > 30, "only {nth} calls");
    }
}

/// As above, but the disk dies at its n-th operation, and a power cut takes what was not synced.
/// Says whether there were so many operations.
fn crash_at_operation(nth: u64) -> bool {
    let fate = Rc::new(Fate::default());
    let mut bench = Bench::new();
    bench.enrolled.set(true);
    let memory = Forgetful::with(bench.dir.path());
    bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::new(memory.clone())));
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let relay = Rc::new(Relay::default());
    deliver(&agent, &relay).unwrap();
    let two = crashing_two(&bench);
    fate.at.set(fate.count.get() + nth);
    fate.harm.set(Some(Harm::Torn));
    let engine = Rc::clone(&agent.engine);
    let apply =
        agent.spawn(async move { engine.handle(Request::Apply { bundle: two }, &|_| {}).await });
    while !apply.is_finished() && agent.single_step() {}
    let over = apply.is_finished();
    let reached = fate.fired.get() > 0;
    std::mem::forget(apply);
    std::mem::forget(agent);
    memory.power_cut();
    bench.fake.reboot();
    bench.host.boot.set(2);
    bench.host.forget_sleepers();
    bench.vfs = Rc::new(memory);
    let agent = bench.daemon();
    agent.pass_ms(600_000);
    deliver(&agent, &relay).unwrap();
    let told = relay.updates();
    let place = format!("operation {nth}, over: {over}: {told:?}");
    match told.as_slice() {
        // Staging was given up, and nothing durable had come of it.
        [_] => {
            assert!(reached, "{place}");
            let last = agent.app("shop").and_then(|app| app.last_update);
            assert_eq!(last.map(|last| last.seq), Some(1), "{place}");
        }
        [_, two] => {
            let end = (two.seq, two.result);
            assert_eq!(end, (2, UpdateResult::RolledBack), "{place}");
        }
        _ => panic!("{place}"),
    }
    assert!(!bench.running().is_empty(), "{place}");
    reached
}

#[test]
fn a_power_cut_at_any_operation_loses_no_report() {
    let mut nth = 1;
    while crash_at_operation(nth) {
        nth += 1;
    }
    assert!(nth > 30, "only {nth} operations");
}

#[test]
fn a_disk_that_fails_at_any_operation_loses_no_report() {
    let mut nth = 1;
    loop {
        let fate = Rc::new(Fate::default());
        let mut bench = Bench::new();
        bench.enrolled.set(true);
        bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::new(RealVfs)));
        let agent = bench.daemon();
        agent.apply(&Recipe::new(1).build(&bench)).unwrap();
        let relay = Rc::new(Relay::default());
        deliver(&agent, &relay).unwrap();
        let two = crashing_two(&bench);
        fate.at.set(fate.count.get() + nth);
        fate.harm.set(Some(Harm::Once(io::ErrorKind::StorageFull)));
        let code = agent.apply_code(&two);
        let reached = fate.fired.get() > 0;
        deliver(&agent, &relay).unwrap();
        let told = relay.updates();
        let place = format!("operation {nth}, exit code {code}: {told:?}");
        if code == 20 {
            assert_eq!(told.len(), 2, "{place}");
            assert_eq!(told[1].result, UpdateResult::RolledBack, "{place}");
            assert_eq!(of_web(&told[1].evidence).exit_code, Some(3), "{place}");
        }
        if !reached {
            assert_eq!(code, 20, "{place}");
            assert!(nth > 30, "only {nth} operations");
            return;
        }
        nth += 1;
    }
}
