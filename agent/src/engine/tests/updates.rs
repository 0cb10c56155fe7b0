//! Updates that go well, and those that come back out.

use runtime_shim::fake::{Fault, Op};

use super::bench::{Bench, Recipe, exec_health};
use crate::api::{Reply, Request};

fn running(pairs: &[(&str, u32)]) -> std::collections::BTreeMap<String, u32> {
    pairs
        .iter()
        .map(|(name, generation)| ((*name).to_owned(), *generation))
        .collect()
}

#[test]
fn one_then_two_then_a_broken_three_that_comes_back_out() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let one = agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    assert_eq!((one.seq, one.generation, one.from), (1, 1, None));
    assert_eq!(bench.running(), running(&[("web", 1), ("db", 1)]));

    let two = agent.apply(&Recipe::new(2).build(&bench)).unwrap();
    assert_eq!(
        (two.seq, two.generation, two.from.as_deref()),
        (2, 2, Some("1.0"))
    );
    let actions: Vec<_> = two
        .services
        .iter()
        .map(|s| (s.name.as_str(), s.action.as_str()))
        .collect();
    assert_eq!(actions, [("web", "replace"), ("db", "keep")]);
    assert_eq!(bench.running(), running(&[("web", 2), ("db", 1)]));
    assert_eq!(
        bench.fake.all_containers().len(),
        2,
        "the old container is collected"
    );

    let three = Recipe::new(3)
        .edit(|m| m.services[0].health = Some(exec_health()))
        .build(&bench);
    let sick = bench
        .fake
        .service("shop", "web")
        .generation(3)
        .exec(1, "broken");
    let failure = agent.apply(&three).unwrap_err();
    assert_eq!(failure.code, 20, "{failure:?}");
    assert!(
        failure.message.contains("the health check of web failed"),
        "{failure:?}"
    );
    assert!(
        failure.message.contains("it exits with code 1: broken"),
        "{failure:?}"
    );
    assert!(sick.fired() > 0);
    assert_eq!(bench.running(), running(&[("web", 2), ("db", 1)]));

    let app = agent.app("shop").unwrap();
    assert_eq!(
        (app.version.as_deref(), app.state.as_str()),
        (Some("2.0"), "running")
    );
    assert_eq!(app.last_update.unwrap().result, "rolled_back");
    assert_eq!(app.previous.unwrap().seq, 1);
    assert_eq!(
        bench.fake.all_containers().len(),
        2,
        "nothing of the failed one is left"
    );
    let Ok(Reply::History(history)) = agent.ask(Request::History { app: None }) else {
        panic!()
    };
    let results: Vec<_> = history.iter().map(|h| (h.seq, h.result.as_str())).collect();
    assert_eq!(
        results,
        [(3, "rolled_back"), (2, "committed"), (1, "committed")]
    );
    agent.stop();
    assert_eq!(
        bench.running(),
        running(&[("web", 2), ("db", 1)]),
        "containers outlive the agent"
    );
}

#[test]
fn a_crash_in_the_trial_rolls_back_and_one_after_it_is_restarted() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let crash = bench
        .fake
        .service("shop", "web")
        .generation(2)
        .exits_on_start(3);
    bench
        .fake
        .service("shop", "web")
        .prints(runtime_shim::Stream::Stderr, "cannot open /dev/gpio");
    let failure = agent.apply(&Recipe::new(2).build(&bench)).unwrap_err();
    assert_eq!(failure.code, 20);
    assert!(
        failure.message.contains("web exited with code 3"),
        "{}",
        failure.message
    );
    assert!(
        failure.message.contains("cannot open /dev/gpio"),
        "{}",
        failure.message
    );
    assert!(crash.fired() > 0);
    assert_eq!(bench.running(), running(&[("web", 1), ("db", 1)]));

    assert!(bench.fake.crash("shop", "web", 137));
    agent.pass_ms(2_000);
    assert_eq!(bench.running(), running(&[("web", 1), ("db", 1)]));
    let app = agent.app("shop").unwrap();
    assert_eq!(
        (app.services[0].restarts, app.services[0].state.as_str()),
        (1, "running")
    );
}

#[test]
fn a_crash_loop_backs_off() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let loops = bench.fake.service("shop", "web").exits_on_start(1);
    assert!(bench.fake.crash("shop", "web", 1));
    agent.pass_ms(3_600_000);
    let restarts = loops.fired();
    assert!(
        (5..200).contains(&restarts),
        "{restarts} restarts in an hour"
    );
    loops.release();
    agent.pass_ms(400_000);
    assert_eq!(bench.running(), running(&[("web", 1), ("db", 1)]));
}

#[test]
fn rollback_returns_to_the_previous_and_back_again() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    assert_eq!(
        agent.ask(Request::Rollback { app: None }).unwrap_err().code,
        1
    );
    agent.apply(&Recipe::new(2).build(&bench)).unwrap();
    let Ok(Reply::Applied(back)) = agent.ask(Request::Rollback { app: None }) else {
        panic!()
    };
    assert_eq!((back.seq, back.generation), (1, 3));
    assert_eq!(bench.running(), running(&[("web", 3), ("db", 1)]));
    // The number of what was rolled back may come again, an older one may not.
    assert_eq!(agent.apply_code(&Recipe::new(1).build(&bench)), 30);
    assert_eq!(agent.apply_code(&Recipe::new(2).build(&bench)), 0);
}

#[test]
fn remove_stops_everything_and_a_newer_bundle_comes_back() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent
        .ask(Request::Remove {
            app: "shop".to_owned(),
        })
        .unwrap();
    assert!(bench.fake.all_containers().is_empty());
    assert_eq!(agent.app("shop").unwrap().state, "stopped");
    assert_eq!(agent.apply_code(&Recipe::new(2).build(&bench)), 0);
    assert_eq!(bench.running(), running(&[("web", 2), ("db", 2)]));
}

#[test]
fn a_bundle_without_services_retires_the_app() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let retired = Recipe::retired(2).build(&bench);
    assert_eq!(agent.apply_code(&retired), 0);
    assert!(bench.fake.all_containers().is_empty());
    assert_eq!(agent.app("shop").unwrap().state, "stopped");
}

#[test]
fn several_apps_live_side_by_side() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let other = |seq| Recipe::new(seq).edit(|m| m.app = "cafe".parse().unwrap());
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.apply(&other(7).build(&bench)).unwrap();
    agent.apply(&other(8).build(&bench)).unwrap();
    assert_eq!(bench.fake.all_containers().len(), 4);
    assert_eq!(
        agent.ask(Request::Rollback { app: None }).unwrap_err().code,
        1,
        "which one?"
    );
    agent
        .ask(Request::Rollback {
            app: Some("cafe".to_owned()),
        })
        .unwrap();
    agent
        .ask(Request::Remove {
            app: "cafe".to_owned(),
        })
        .unwrap();
    assert_eq!(bench.running(), running(&[("web", 1), ("db", 1)]));
    assert_eq!(agent.apply_code(&Recipe::new(2).build(&bench)), 0);
}

#[test]
fn containers_of_others_are_never_touched() {
    let bench = Bench::new();
    bench.fake.preload_foreign_container("somebody-elses");
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.apply(&Recipe::new(2).build(&bench)).unwrap();
    agent
        .ask(Request::Remove {
            app: "shop".to_owned(),
        })
        .unwrap();
    let calls = bench.fake.calls();
    assert!(calls.iter().all(|call| call.subject != "somebody-elses"));
    assert_eq!(bench.running(), running(&[("somebody-elses", 0)]));
}

#[test]
fn containers_of_another_device_are_not_ours() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let recipe = Recipe::new(1).manifest;
    let image = bench.fake.all_containers()[0].image.unwrap();
    let labels = [
        ("coracle.app", "shop"),
        ("coracle.service", "web"),
        ("coracle.generation", "1"),
        ("coracle.device", "test-2"),
    ];
    let theirs = runtime_shim::ContainerSpec {
        app: recipe.app.clone(),
        name: "of-another-agent".to_owned(),
        image,
        service: recipe.services[0].clone(),
        labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        file_sources: vec![],
        api_socket: None,
    };
    smol::block_on(async {
        let id = runtime_shim::Runtime::create(&bench.fake, &theirs)
            .await
            .unwrap();
        runtime_shim::Runtime::start(&bench.fake, &id)
            .await
            .unwrap();
    });
    bench.fake.forget_calls();
    agent.apply(&Recipe::new(2).build(&bench)).unwrap();
    agent
        .ask(Request::Remove {
            app: "shop".to_owned(),
        })
        .unwrap();
    assert!(
        bench
            .fake
            .calls()
            .iter()
            .all(|call| call.subject != theirs.name)
    );
    let left = bench.fake.all_containers();
    assert_eq!(left.len(), 1);
    assert!(super::super::ours::is_running(&left[0]));
}

#[test]
fn nothing_stops_before_everything_is_staged() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    bench.fake.forget_calls();
    let two = Recipe::new(2)
        .edit(|m| m.volumes.push("data".parse().unwrap()))
        .build(&bench);
    agent.apply(&two).unwrap();
    let ops: Vec<Op> = bench.fake.calls().iter().map(|call| call.op).collect();
    let last_of = |op| ops.iter().rposition(|o| *o == op).unwrap();
    let first_stop = ops.iter().position(|op| *op == Op::Stop).unwrap();
    for staged in [Op::ImportImage, Op::Create] {
        assert!(last_of(staged) < first_stop, "{staged:?}: {ops:?}");
    }
}

#[test]
fn a_device_that_boots_starts_what_is_committed() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.stop();
    bench.fake.reboot();
    bench.host.boot.set(2);
    let down = bench.fake.inject(Fault::unreachable());
    let agent = bench.daemon();
    assert!(bench.running().is_empty());
    assert_eq!(
        agent.app("shop").unwrap().version.as_deref(),
        Some("1.0"),
        "status answers"
    );
    down.release();
    agent.pass_ms(120_000);
    assert_eq!(bench.running(), running(&[("web", 1), ("db", 1)]));
}

#[test]
fn settings_make_a_new_generation_of_the_same_bundle() {
    let mut bench = Bench::new();
    let recipe = || {
        Recipe::new(1).file("greeting = ${GREETING}\n").edit(|m| {
            m.variables.push(bundle::manifest::Variable {
                name: "GREETING".parse().unwrap(),
                kind: bundle::manifest::VariableKind::Text { pattern: None },
                default: Some(super::bench::text_of("hello")),
                secret: false,
                description: super::bench::text_of(""),
            });
        })
    };
    let rendered = |bench: &Bench, text: &str| {
        let files = bench.state_files();
        files.iter().any(|(path, content)| {
            path.to_string_lossy().contains("/files/") && content == text.as_bytes()
        })
    };
    let agent = bench.daemon();
    agent.apply(&recipe().build(&bench)).unwrap();
    assert!(rendered(&bench, "greeting = hello\n"));
    agent.stop();
    let own = [("GREETING".to_owned(), "hi".to_owned())];
    bench
        .config
        .variables
        .insert("shop".to_owned(), own.into_iter().collect());
    let agent = bench.daemon();
    agent.pass_ms(60_000);
    let app = agent.app("shop").unwrap();
    assert_eq!((app.seq, app.generation), (Some(1), Some(2)));
    assert_eq!(bench.running(), running(&[("web", 2), ("db", 1)]));
    assert!(rendered(&bench, "greeting = hi\n") && rendered(&bench, "greeting = hello\n"));
}

#[test]
fn keys_can_be_exchanged_between_two_versions() {
    for broken in [false, true] {
        let mut bench = Bench::new();
        let agent = bench.daemon();
        agent.apply(&Recipe::new(1).build(&bench)).unwrap();
        let (secret, public) = bundle::build::key::generate(None).unwrap();
        std::fs::write(bench.config.keys_dir.join("release.pub"), public).unwrap();
        bench.key = bundle::build::SecretKey::from_text(&secret, || unreachable!()).unwrap();
        if broken {
            bench
                .fake
                .service("shop", "web")
                .generation(2)
                .exits_on_start(1);
        }
        let code = agent.apply_code(&Recipe::new(2).build(&bench));
        assert_eq!(code, if broken { 20 } else { 0 });
        let web = if broken { 1 } else { 2 };
        assert_eq!(
            bench.running(),
            running(&[("web", web), ("db", 1)]),
            "broken: {broken}"
        );
        assert_eq!(
            agent.apply_code(&Recipe::new(3).build(&bench)),
            0,
            "broken: {broken}"
        );
    }
}

#[test]
fn a_runtime_that_comes_up_late_does_not_end_a_trial() {
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
    assert_eq!(agent.app("shop").unwrap().state, "trial");
    drop(apply);
    agent.stop();
    bench.fake.reboot();
    bench.host.boot.set(2);
    let down = bench.fake.inject(Fault::unreachable());
    let agent = bench.daemon();
    agent.pass_ms(30_000);
    assert!(down.fired() > 1);
    down.release();
    agent.pass_ms(120_000);
    assert_eq!(agent.app("shop").unwrap().version.as_deref(), Some("2.0"));
    assert_eq!(bench.running(), running(&[("web", 2), ("db", 1)]));
}
