//! The disk fails, tears writes, fills, and is copied: what was acknowledged holds.

use std::fs;
use std::io;
use std::rc::Rc;

use runtime_shim::fake::Fault;

use super::bench::{Agent, Bench, Recipe, exec_health};
use crate::api::Request;
use crate::state::tests::{BadDisk, Fate, Forgetful, Harm};
use crate::state::vfs::{RealVfs, Vfs};

/// An update over a running version 1, with harm at the n-th operation on the disk; then the
/// device boots with a good disk, which has forgotten what nobody synced if it is `forgetful`.
/// Says whether the harm was reached.
fn update_with(harm: Harm, nth: u64, forgetful: bool) -> bool {
    let fate = Rc::new(Fate::default());
    let mut bench = Bench::new();
    let memory = Forgetful::with(bench.dir.path());
    let disk: Rc<dyn Vfs> = if forgetful {
        Rc::new(memory.clone())
    } else {
        Rc::new(RealVfs)
    };
    bench.vfs = Rc::clone(&disk);
    let agent = bench.daemon();
    agent
        .apply(&Recipe::new(1).file("a").build(&bench))
        .unwrap();
    agent.stop();
    bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::clone(&disk)));
    let agent = bench.daemon();
    fate.at.set(fate.count.get() + nth);
    fate.harm.set(Some(harm));
    let two = Recipe::new(2).file("b").build(&bench);
    let result = agent.apply(&two);
    let reached = fate.fired.get() > 0;
    agent.stop();
    let place = format!("{harm:?} at {nth}: {result:?}");

    bench.fake.reboot();
    bench.host.boot.set(2);
    bench.vfs = disk;
    memory.power_cut();
    bench.host.forget_sleepers();
    let agent = bench.daemon();
    agent.pass_ms(600_000);
    let app = agent.app("shop").unwrap();
    assert_eq!(app.state, "running", "{place}");
    if result.is_ok() {
        // Acknowledged means durable.
        assert_eq!(app.version.as_deref(), Some("2.0"), "{place}");
    }
    let web = if app.version.as_deref() == Some("2.0") {
        2
    } else {
        1
    };
    assert_eq!(bench.running()["web"], web, "{place}");
    assert_eq!(bench.fake.all_containers().len(), 2, "{place}");
    let expected = if web == 2 { 30 } else { 0 };
    assert_eq!(agent.apply_code(&two), expected, "{place}");
    reached
}

fn at_every_operation(harm: Harm, forgetful: bool) {
    let mut nth = 1;
    while update_with(harm, nth, forgetful) {
        nth += 1;
    }
    assert!(
        nth > 30,
        "only {nth} operations: the test no longer reaches the update"
    );
}

#[test]
fn each_operation_fails_once() {
    at_every_operation(Harm::Once(io::ErrorKind::Other), false);
}

#[test]
fn the_disk_fills_for_good_at_each_operation() {
    at_every_operation(Harm::Forever(io::ErrorKind::StorageFull), false);
}

#[test]
fn each_write_is_torn_by_a_power_cut() {
    at_every_operation(Harm::Torn, false);
}

#[test]
fn the_power_fails_at_each_operation_and_nothing_is_kept_by_luck() {
    at_every_operation(Harm::Forever(io::ErrorKind::Other), true);
    at_every_operation(Harm::Torn, true);
}

#[test]
fn a_state_that_cannot_be_written_is_read_only_and_what_runs_goes_on() {
    let fate = Rc::new(Fate::default());
    let mut bench = Bench::new();
    bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::new(RealVfs)));
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    // Whatever is synced from here on fails: objects are stored before the record.
    fate.at.set(fate.count.get() + 1);
    fate.harm.set(Some(Harm::Forever(io::ErrorKind::Other)));
    assert_eq!(agent.apply_code(&Recipe::new(2).build(&bench)), 1);
    assert!(bench.fake.crash("shop", "web", 1));
    agent.pass_ms(10_000);
    assert_eq!(bench.running().len(), 2, "still supervised");
}

/// Version 1 runs; then the disk fails for good at the n-th operation of what is done to it. Says
/// whether that was reached. What is done gives its answer, or the bench is stuck.
fn answered_with(nth: u64, done: impl FnOnce(&Bench, &Agent)) -> bool {
    let fate = Rc::new(Fate::default());
    let mut bench = Bench::new();
    bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::new(RealVfs)));
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    fate.at.set(fate.count.get() + nth);
    fate.harm.set(Some(Harm::Forever(io::ErrorKind::Other)));
    done(&bench, &agent);
    fate.fired.get() > 0
}

#[test]
fn whoever_waits_is_answered_though_the_end_cannot_be_written() {
    let mut nth = 1;
    while answered_with(nth, |bench, agent| {
        let two = Recipe::new(2).edit(|m| m.services[0].health = Some(exec_health()));
        let sick = bench.fake.service("shop", "web").generation(2);
        sick.exec(1, "broken");
        assert_ne!(agent.apply_code(&two.build(bench)), 0, "at {nth}");
    }) {
        nth += 1;
    }
    assert!(nth > 30, "only {nth} operations: no rollback");
    let mut nth = 1;
    while answered_with(nth, |_, agent| {
        // It may also be done, if what fails is only told.
        let _ = agent.ask(Request::Remove { app: "shop".into() });
    }) {
        nth += 1;
    }
    assert!(nth > 5, "only {nth} operations: nothing is removed");
}

#[test]
fn a_copied_disk_is_noticed() {
    let mut bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.stop();
    bench.config.device_id = Some("test-2".parse().unwrap());
    let slots = bench.slots();
    let failure = bench.try_agent(super::super::Mode::Daemon).err().unwrap();
    assert!(
        failure.message.contains("another device") && !failure.hint.is_empty(),
        "{failure:?}"
    );
    assert_eq!(bench.slots(), slots);
}

#[test]
fn damaged_slots_are_rebuilt_from_what_runs() {
    rebuilt(false);
}

#[test]
fn slots_that_are_gone_are_rebuilt_from_what_runs() {
    rebuilt(true);
}

fn rebuilt(gone: bool) {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.apply(&Recipe::new(2).build(&bench)).unwrap();
    agent.stop();
    for slot in ["state.a", "state.b"] {
        let path = bench.config.state_dir.join(slot);
        if gone {
            fs::remove_file(path)
        } else {
            fs::write(path, [0xa5; 4096])
        }
        .unwrap();
    }
    let starts = |bench: &Bench| {
        let calls = bench.fake.calls();
        calls
            .iter()
            .filter(|call| call.op.is_effect() && call.subject.starts_with("coracle-"))
            .count()
    };
    let before = starts(&bench);
    // Not before the runtime has been asked what runs.
    let down = bench.fake.inject(Fault::unreachable());
    let agent = bench.agent(super::super::Mode::Daemon);
    let engine = Rc::clone(&agent.engine);
    let start = agent.spawn(async move { engine.start().await });
    agent.settle();
    assert_eq!(agent.apply_code(&Recipe::new(3).build(&bench)), 1);
    down.release();
    agent.run(start);
    agent.pass_ms(10_000);
    let app = agent.app("shop").unwrap();
    assert_eq!(
        (app.version.as_deref(), app.state.as_str()),
        (Some("2.0"), "running")
    );
    assert_eq!(starts(&bench), before, "what runs was left alone");
    assert_eq!(
        bench.running().values().copied().collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(
        agent.apply_code(&Recipe::new(1).build(&bench)),
        10,
        "the floor holds"
    );
    assert_eq!(agent.apply_code(&Recipe::new(2).build(&bench)), 30);
    assert_eq!(agent.apply_code(&Recipe::new(3).build(&bench)), 0);
}

#[test]
fn without_its_key_an_app_is_left_alone() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.stop();
    let key = bench.config.keys_dir.join("release.pub");
    let text = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let agent = bench.daemon();
    assert_eq!(bench.running().len(), 2);
    assert_eq!(agent.app("shop").unwrap().state, "failed");
    assert_eq!(
        agent
            .ask(Request::Remove { app: "shop".into() })
            .map(|_| ()),
        Ok(()),
        "it can be removed"
    );
    fs::write(&key, text).unwrap();
    assert_eq!(agent.apply_code(&Recipe::new(2).build(&bench)), 0);
}
