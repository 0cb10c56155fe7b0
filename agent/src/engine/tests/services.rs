//! Services: dependencies, ways to switch, volumes that come back, logs, idleness.

use std::fs;

use bundle::manifest::{Condition, Dependency, Restart, SwitchMode, VolumeMount};
use runtime_shim::Stream;
use runtime_shim::fake::{Fault, Op};

use super::super::Mode;
use super::bench::{Bench, Recipe, exec_health, text_of};
use crate::api::{Reply, Request, Update};

fn needs(condition: Condition) -> Dependency {
    Dependency {
        service: "db".parse().unwrap(),
        condition,
    }
}

/// The calls of one kind since the last look, by the service they are about.
fn order(bench: &Bench, op: Op) -> Vec<String> {
    let calls = bench.fake.calls();
    let names = calls
        .iter()
        .filter(|call| call.op == op)
        .map(|call| call.subject.clone());
    names
        .filter_map(|name| name.split('-').nth(2).map(str::to_owned))
        .collect()
}

#[test]
fn dependencies_start_first_and_are_waited_for() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let one = Recipe::new(1).edit(|m| {
        m.services[0].depends_on = vec![needs(Condition::Healthy)];
        m.services[1].health = Some(exec_health());
    });
    agent.apply(&one.build(&bench)).unwrap();
    assert_eq!(order(&bench, Op::Start), ["db", "web"]);

    let sick = bench.fake.service("shop", "db").generation(2).exec(1, "");
    let two = Recipe::new(2).edit(|m| {
        m.services[0].depends_on = vec![needs(Condition::Healthy)];
        m.services[1].health = Some(exec_health());
        m.services[1].hostname = Some(text_of("other"));
    });
    let failure = agent.apply(&two.build(&bench)).unwrap_err();
    assert!(
        failure
            .message
            .contains("what web depends on was not ready"),
        "{failure:?}"
    );
    assert_eq!(failure.code, 20);
    assert!(sick.fired() > 0);
    assert_eq!(
        bench.running().values().copied().collect::<Vec<_>>(),
        [1, 1]
    );
}

#[test]
fn a_one_shot_service_runs_to_its_end_before_the_next() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let ends = bench.fake.service("shop", "db").exits_on_start(0);
    let one = Recipe::new(1).edit(|m| {
        m.services[0].depends_on = vec![needs(Condition::CompletedSuccessfully)];
        m.services[1].restart = Restart::No;
    });
    agent.apply(&one.build(&bench)).unwrap();
    assert_eq!(order(&bench, Op::Start), ["db", "web"]);
    assert_eq!(ends.fired(), 1, "and is not started again");
    // Nor by a start of the agent, as long as the device has not booted.
    agent.stop();
    let agent = bench.daemon();
    agent.pass_ms(60_000);
    assert_eq!(ends.fired(), 1);
    assert_eq!(agent.app("shop").unwrap().services[1].state, "exited");
}

#[test]
fn start_first_leaves_no_gap() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let recipe = |seq| Recipe::new(seq).edit(|m| m.policy.switch = SwitchMode::StartFirst);
    agent.apply(&recipe(1).build(&bench)).unwrap();
    bench.fake.forget_calls();
    agent.apply(&recipe(2).build(&bench)).unwrap();
    let ops: Vec<Op> = bench.fake.calls().iter().map(|call| call.op).collect();
    let first = |op| ops.iter().position(|o| *o == op).unwrap();
    assert!(first(Op::Start) < first(Op::Stop), "{ops:?}");
}

#[test]
fn a_rollback_puts_the_volume_back() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let data = |m: &mut bundle::Manifest| {
        m.volumes = vec!["data".parse().unwrap()];
        m.services[1].volumes = vec![VolumeMount {
            volume: "data".parse().unwrap(),
            target: text_of("/data"),
            read_only: false,
        }];
        m.policy.restore_on_rollback = vec!["data".parse().unwrap()];
    };
    agent
        .apply(&Recipe::new(1).edit(data).build(&bench))
        .unwrap();
    let volume = bench.volume("coracle_shop_data");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("schema"), "1").unwrap();

    // `db` itself does not change: it is stopped for the copy, and started again.
    let crash = bench
        .fake
        .service("shop", "web")
        .generation(2)
        .exits_on_start(1);
    let migrating = Fault::hang()
        .on(Op::Start)
        .about("coracle-shop-web-2")
        .nth(1);
    let migrating = bench.fake.inject(migrating);
    let (engine, two) = (
        std::rc::Rc::clone(&agent.engine),
        Recipe::new(2).edit(data).build(&bench),
    );
    let apply =
        agent.spawn(async move { engine.handle(Request::Apply { bundle: two }, &|_| {}).await });
    agent.settle();
    assert_eq!(migrating.fired(), 1);
    fs::write(volume.join("schema"), "2").unwrap();
    fs::write(volume.join("more"), "").unwrap();
    migrating.release();
    assert_eq!(agent.run(apply).unwrap_err().code, 20);
    agent.settle();
    assert!(crash.fired() > 0);
    assert_eq!(fs::read_to_string(volume.join("schema")).unwrap(), "1");
    assert!(!volume.join("more").exists());
    assert_eq!(
        bench.running().values().copied().collect::<Vec<_>>(),
        [1, 1]
    );
    assert!(
        !bench.config.state_dir.join("volumes/shop").exists(),
        "the copy is gone"
    );
}

#[test]
fn an_app_that_cannot_be_restored_is_tried_again_for_ever() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let crash = bench
        .fake
        .service("shop", "web")
        .generation(2)
        .exits_on_start(1);
    let stuck = bench.fake.inject(
        Fault::fail(|| runtime_shim::RuntimeError::TimedOut)
            .on(Op::Start)
            .about("coracle-shop-web-1"),
    );
    let failure = agent.apply(&Recipe::new(2).build(&bench)).unwrap_err();
    assert_eq!(failure.code, 21, "{failure:?}");
    assert_eq!(agent.app("shop").unwrap().state, "failed");
    assert!(stuck.fired() >= 5 && crash.fired() > 0);
    stuck.release();
    agent.pass_ms(3_600_000);
    assert_eq!(agent.app("shop").unwrap().state, "running");
    assert_eq!(
        bench.running().values().copied().collect::<Vec<_>>(),
        [1, 1]
    );
}

#[test]
fn a_newer_bundle_takes_the_place_of_one_that_is_being_staged() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let stall = bench.fake.inject(Fault::stall_import(0).nth(1));
    let (engine, two) = (
        std::rc::Rc::clone(&agent.engine),
        Recipe::new(2).build(&bench),
    );
    let apply =
        agent.spawn(async move { engine.handle(Request::Apply { bundle: two }, &|_| {}).await });
    agent.settle();
    assert_eq!(stall.fired(), 1);
    let app = agent.app("shop").unwrap();
    assert_eq!(
        (app.state.as_str(), app.version.as_deref()),
        ("updating", Some("1.0"))
    );
    agent.apply(&Recipe::new(3).build(&bench)).unwrap();
    let failure = agent.run(apply).unwrap_err();
    assert!(
        failure.message.contains("a newer bundle took its place"),
        "{failure:?}"
    );
    assert_eq!(
        bench.running()["web"],
        2,
        "numbers are used up by what was staged whole"
    );
    assert_eq!(bench.fake.all_containers().len(), 2);
}

#[test]
fn whoever_stops_waiting_does_not_stop_the_update() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let (engine, two) = (
        std::rc::Rc::clone(&agent.engine),
        Recipe::new(2).build(&bench),
    );
    let apply =
        agent.spawn(async move { engine.handle(Request::Apply { bundle: two }, &|_| {}).await });
    agent.settle();
    drop(apply);
    assert_eq!(agent.app("shop").unwrap().state, "trial");
    let busy = agent.apply(&Recipe::new(3).build(&bench)).unwrap_err();
    assert!(busy.message.contains("under way"), "{busy:?}");
    agent.pass_ms(60_000);
    assert_eq!(agent.app("shop").unwrap().version.as_deref(), Some("2.0"));
}

#[test]
fn nothing_is_written_and_nobody_wakes_up_while_nothing_happens() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.pass_ms(60_000);
    let (files, calls) = (bench.state_files(), bench.fake.calls().len());
    assert_eq!(bench.host.sleepers(), 0, "somebody waits for a timer");
    agent.pass_ms(7 * 86_400_000);
    assert_eq!(bench.state_files(), files);
    assert_eq!(
        bench.fake.calls().len(),
        calls,
        "the runtime was asked without cause"
    );
}

#[test]
fn health_goes_on_after_the_trial() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent
        .apply(
            &Recipe::new(1)
                .edit(|m| m.services[0].health = Some(exec_health()))
                .build(&bench),
        )
        .unwrap();
    assert_eq!(agent.app("shop").unwrap().services[0].healthy, Some(true));
    assert_eq!(agent.app("shop").unwrap().services[1].healthy, None);
    let sick = bench.fake.service("shop", "web").exec(1, "");
    agent.pass_ms(30_000);
    assert_eq!(agent.app("shop").unwrap().services[0].healthy, Some(false));
    sick.release();
    agent.pass_ms(30_000);
    assert_eq!(agent.app("shop").unwrap().services[0].healthy, Some(true));
}

#[test]
fn logs_come_merged_and_named() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    for (n, service) in ["web", "db", "web"].into_iter().enumerate() {
        bench.fake.set_now(1_700_000_100 + n as u64);
        bench
            .fake
            .write_line("shop", service, Stream::Stdout, &format!("line {n}"));
    }
    let logs = |service: Option<&str>| {
        let heard = std::cell::RefCell::new(Vec::new());
        let request = Request::Logs {
            app: None,
            service: service.map(str::to_owned),
            tail: None,
            since: None,
            follow: false,
        };
        let updates = |update| {
            if let Update::Log { service, text, .. } = update {
                heard.borrow_mut().push(format!("{service}: {text}"));
            }
        };
        agent
            .run(agent.engine.handle(request, &updates))
            .map(|_| heard.take())
    };
    assert_eq!(
        logs(None).unwrap(),
        ["web: line 0", "db: line 1", "web: line 2"]
    );
    assert_eq!(logs(Some("db")).unwrap(), ["db: line 1"]);
    let failure = logs(Some("no")).unwrap_err();
    assert_eq!(
        (failure.code, failure.hint.as_str()),
        (1, "Name one of: web, db.")
    );
}

#[test]
fn one_shot_and_read_only_do_no_more_than_they_may() {
    let bench = Bench::new();
    let agent = bench.agent(Mode::OneShot);
    assert_eq!(agent.apply_code(&Recipe::new(1).build(&bench)), 0);
    agent.stop();
    assert_eq!(bench.running().len(), 2);
    let files = bench.state_files();
    let agent = bench.agent(Mode::ReadOnly);
    assert_eq!(agent.app("shop").unwrap().state, "running");
    let Ok(Reply::Containers(ps)) = agent.ask(Request::Ps) else {
        panic!()
    };
    assert_eq!(
        ps.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["coracle-shop-db-1", "coracle-shop-web-1"]
    );
    let Ok(Reply::Doctor(checks)) = agent.ask(Request::Doctor) else {
        panic!()
    };
    assert!(
        checks
            .iter()
            .all(|check| check.result != "failed" || check.name == "image policy"),
        "{checks:?}"
    );
    assert_eq!(agent.apply_code(&Recipe::new(2).build(&bench)), 1);
    assert_eq!(bench.state_files(), files);
}

#[test]
fn binds_are_judged_by_where_they_lead() {
    // Not in `/dev/shm`: everything in `/dev` is protected.
    let bench = Bench::within(tempfile::tempdir().unwrap());
    let agent = bench.daemon();
    let link = bench.dir.path().join("link");
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    let state = bench.config.state_dir.to_str().unwrap().to_owned();
    let bind = |source: &str| {
        let bind = bundle::manifest::BindMount {
            source: text_of(source),
            target: text_of("/mnt"),
            read_only: true,
        };
        Recipe::new(1)
            .edit(move |m| m.services[0].binds.push(bind))
            .build(&bench)
    };
    for bad in [
        link.to_str().unwrap(),
        &state,
        bench.dir.path().to_str().unwrap(),
        "/etc/shadow",
    ] {
        assert_eq!(agent.apply_code(&bind(bad)), 10, "{bad}");
    }
    let good = bench.dir.path().join("data");
    assert_eq!(agent.apply_code(&bind(good.to_str().unwrap())), 0);
}
