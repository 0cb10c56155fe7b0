//! The engine and its relay: what is tried, what is left, what is remembered.

use std::collections::BTreeSet;
use std::rc::Rc;

use bundle::manifest::{Variable, VariableKind};
use relay_api::device::{AppPhase, ServiceState};

use super::bench::{Agent, Bench, Recipe, exec_health, text_of};
use super::relay::FakeRelay;
use crate::api::{CheckView, Reply, Request, Secret, StatusView};
use crate::relay::RemoteError;
use crate::state::tests::{BadDisk, Fate, Harm};
use crate::state::vfs::RealVfs;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// An enrolled daemon with its relay.
fn enrolled() -> (Bench, Rc<FakeRelay>, Agent) {
    let mut bench = Bench::new();
    let relay = FakeRelay::new(&mut bench);
    let agent = bench.daemon();
    FakeRelay::enroll(&agent).unwrap();
    (bench, relay, agent)
}

fn status(agent: &Agent) -> StatusView {
    match agent.ask(Request::Status).unwrap() {
        Reply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn doctor(agent: &Agent) -> CheckView {
    match agent.ask(Request::Doctor).unwrap() {
        Reply::Doctor(checks) => checks.into_iter().find(|c| c.name == "relay").unwrap(),
        other => panic!("{other:?}"),
    }
}

fn version(agent: &Agent) -> Option<String> {
    agent.app("shop").and_then(|app| app.version)
}

/// A bundle whose service `web` never becomes healthy.
fn sick(bench: &Bench, seq: u64) -> std::path::PathBuf {
    bench.fake.service("shop", "web").generation(2).exec(1, "");
    let recipe = Recipe::new(seq).edit(|m| m.services[0].health = Some(exec_health()));
    recipe.build(bench)
}

fn down() -> RemoteError {
    RemoteError::Unreachable("no answer in time".into())
}

fn busy() -> RemoteError {
    RemoteError::Busy {
        retry_after_s: 3_600,
    }
}

fn garbage() -> RemoteError {
    RemoteError::Garbage("it is no answer to a check-in")
}

#[test]
fn a_device_that_is_not_enrolled_asks_nobody() {
    let mut bench = Bench::new();
    let relay = FakeRelay::new(&mut bench);
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.asked(), 0);
    assert_eq!(doctor(&agent).result, "ok");
}

#[test]
fn an_enrolled_device_checks_in_at_once_and_in_each_interval() {
    let (_bench, relay, agent) = enrolled();
    agent.pass_ms(1);
    assert_eq!(relay.asked(), 1);
    assert_eq!(relay.last().seen, 0);
    agent.pass_ms(10 * MINUTE_MS);
    assert!((10..=12).contains(&relay.asked()), "{}", relay.asked());
    assert_eq!(relay.last().seen, relay.answer.borrow().revision);
    // At the same second of each interval.
    let check_ins = relay.check_ins.borrow();
    let seconds: BTreeSet<u64> = check_ins[2..]
        .iter()
        .map(|c| c.0 % MINUTE_MS / 1_000)
        .collect();
    assert!(seconds.len() <= 2, "{seconds:?}");
    drop(check_ins);
    let view = status(&agent).relay;
    assert_eq!(view.url.as_deref(), Some("https://relay.example"));
    assert!(
        view.last_contact.is_some() && view.error.is_none(),
        "{view:?}"
    );
    assert_eq!(doctor(&agent).result, "ok");
}

#[test]
fn a_device_that_was_enrolled_while_no_agent_ran_checks_in_at_once() {
    let mut bench = Bench::new();
    let relay = FakeRelay::new(&mut bench);
    let one_shot = bench.agent(super::super::Mode::OneShot);
    FakeRelay::enroll(&one_shot).unwrap();
    one_shot.stop();
    let agent = bench.daemon();
    agent.pass_ms(1);
    assert_eq!(relay.asked(), 1);
}

#[test]
fn an_address_without_an_enrolment_is_said_to_be_none() {
    let mut bench = Bench::new();
    let relay = FakeRelay::new(&mut bench);
    bench.config.relay = Some("https://relay.example".into());
    let agent = bench.daemon();
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.asked(), 0);
    let error = status(&agent).relay.error.unwrap();
    assert!(error.contains("agent enroll URL"), "{error}");
    assert_eq!(doctor(&agent).result, "warning");
    FakeRelay::enroll(&agent).unwrap();
    agent.pass_ms(1);
    assert_eq!(status(&agent).relay.error, None);
}

#[test]
fn what_the_relay_names_is_installed_and_told() {
    let (bench, relay, agent) = enrolled();
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    agent.pass_ms(5 * MINUTE_MS);
    assert_eq!(version(&agent).as_deref(), Some("1.0"));
    let told = relay.last();
    let [app] = &told.apps[..] else {
        panic!("{told:?}");
    };
    let running = app.running.as_ref().unwrap();
    assert_eq!(
        (app.phase, running.seq, running.generation),
        (AppPhase::Running, 1, 1)
    );
    assert_eq!(running.bundle, relay.answer.borrow().desired[0].bundle);
    let names: Vec<_> = app.services.iter().map(|s| s.service.as_str()).collect();
    assert_eq!(names, ["web", "db"]);
    assert!(
        app.services
            .iter()
            .all(|s| s.state == ServiceState::Running)
    );
    // The trial was seen on the way.
    let check_ins = relay.check_ins.borrow();
    let phases = check_ins
        .iter()
        .flat_map(|(_, c)| c.apps.iter().map(|app| app.phase));
    assert!(phases.into_iter().any(|phase| phase == AppPhase::Trial));
    assert_eq!(relay.fetches.get(), 1);
}

#[test]
fn an_update_is_told_soon_and_an_exit_with_the_next_check_in() {
    let (bench, relay, agent) = enrolled();
    let next = || {
        let before = relay.asked();
        while relay.asked() == before {
            agent.pass_ms(1_000);
        }
    };
    next();
    let before = relay.asked();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.pass_ms(10_000);
    assert!(relay.asked() > before);
    agent.pass_ms(10 * MINUTE_MS);
    next();
    let before = relay.asked();
    assert!(bench.fake.crash("shop", "db", 1));
    agent.pass_ms(2_000);
    assert_eq!(relay.asked(), before);
}

#[test]
fn a_check_in_at_rest_does_not_wake_the_runtime() {
    let (bench, relay, agent) = enrolled();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    agent.pass_ms(5 * MINUTE_MS);
    let (calls, before) = (bench.fake.calls(), relay.asked());
    agent.pass_ms(30 * MINUTE_MS);
    assert!(relay.asked() > before + 20);
    assert_eq!(bench.fake.calls(), calls);
}

#[test]
fn a_relay_that_is_away_changes_nothing() {
    let (bench, relay, agent) = enrolled();
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    agent.pass_ms(5 * MINUTE_MS);
    let contact = status(&agent).relay.last_contact.unwrap();
    let (files, running) = (bench.state_files(), bench.running());
    relay.fault.set(Some(down));
    let before = relay.asked();
    agent.pass_ms(24 * HOUR_MS);
    let asked = relay.asked() - before;
    assert!(
        (96..400).contains(&asked),
        "ever more rarely, and for ever: {asked}"
    );
    assert_eq!(bench.running(), running);
    assert_eq!(bench.state_files(), files);
    let view = status(&agent).relay;
    assert_eq!(view.last_contact, Some(contact));
    assert!(view.error.unwrap().contains("no answer in time"));
    assert_eq!(doctor(&agent).result, "warning");
    relay.fault.set(None);
    relay.wants(2, 2, &Recipe::new(2).build(&bench));
    agent.pass_ms(HOUR_MS);
    assert_eq!(version(&agent).as_deref(), Some("2.0"));
    assert_eq!(status(&agent).relay.error, None);
}

#[test]
fn garbage_from_the_relay_changes_nothing() {
    let (bench, relay, agent) = enrolled();
    agent.pass_ms(MINUTE_MS);
    relay.fault.set(Some(garbage));
    agent.pass_ms(HOUR_MS);
    assert!(
        status(&agent)
            .relay
            .error
            .unwrap()
            .contains("makes no sense")
    );
    relay.fault.set(None);
    agent.pass_ms(HOUR_MS);
    let files = bench.state_files();
    // Two bundles for one app; no revision.
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    relay.now(|answer| answer.desired.extend(answer.desired.clone()));
    agent.pass_ms(HOUR_MS);
    relay.now(|answer| {
        answer.desired.clear();
        answer.interval_s = 7;
    });
    relay.answer.borrow_mut().revision = 0;
    agent.pass_ms(HOUR_MS);
    assert_eq!(bench.state_files(), files);
    assert_eq!((relay.fetches.get(), version(&agent)), (0, None));
    assert!(
        status(&agent)
            .relay
            .error
            .unwrap()
            .contains("contradicts itself")
    );
}

#[test]
fn idle_check_ins_write_nothing() {
    let mut bench = Bench::new();
    let relay = FakeRelay::new(&mut bench);
    let fate = Rc::new(Fate::default());
    bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::new(RealVfs)));
    let agent = bench.daemon();
    FakeRelay::enroll(&agent).unwrap();
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    agent.pass_ms(10 * MINUTE_MS);
    assert_eq!(version(&agent).as_deref(), Some("1.0"));
    let (writes, asked) = (fate.count.get(), relay.asked());
    assert!(writes > 0, "the counter counts");
    agent.pass_ms(1_001 * MINUTE_MS);
    assert!(relay.asked() >= asked + 1_000);
    assert_eq!(fate.count.get(), writes);
}

#[test]
fn a_rolled_back_rollout_is_not_tried_again_and_a_new_one_is() {
    let (bench, relay, agent) = enrolled();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let two = sick(&bench, 2);
    relay.wants(7, 2, &two);
    agent.pass_ms(30 * MINUTE_MS);
    assert_eq!(version(&agent).as_deref(), Some("1.0"));
    let last = agent.app("shop").unwrap().last_update.unwrap();
    assert_eq!(last.result, "rolled_back");
    assert_eq!(relay.fetches.get(), 1);
    agent.pass_ms(24 * HOUR_MS);
    assert_eq!(relay.fetches.get(), 1, "in a day");
    agent.stop();
    bench.host.forget_sleepers();
    let agent = bench.daemon();
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.fetches.get(), 1, "after a restart");
    relay.wants(8, 2, &two);
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.fetches.get(), 2, "for another rollout");
    relay.wants(7, 2, &two);
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.fetches.get(), 2, "back at the first");
}

#[test]
fn a_rollout_whose_trial_a_crash_interrupts_is_not_tried_again() {
    let (bench, relay, agent) = enrolled();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    relay.wants(7, 2, &sick(&bench, 2));
    // Until it is on trial; then the agent is killed.
    while agent.app("shop").unwrap().state != "trial" {
        agent.pass_ms(500);
    }
    std::mem::forget(agent);
    bench.host.forget_sleepers();
    let agent = bench.daemon();
    agent.pass_ms(HOUR_MS);
    let app = agent.app("shop").unwrap();
    assert_eq!(app.version.as_deref(), Some("1.0"));
    assert_eq!(app.last_update.unwrap().result, "rolled_back");
    assert_eq!(relay.fetches.get(), 1);
}

#[test]
fn a_technician_who_is_ahead_stays_ahead() {
    let (bench, relay, agent) = enrolled();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    relay.wants(1, 4, &Recipe::new(4).build(&bench));
    agent.pass_ms(HOUR_MS);
    assert_eq!(
        (relay.fetches.get(), version(&agent).as_deref()),
        (0, Some("5.0"))
    );
}

#[test]
fn a_technician_who_rolls_back_is_not_overruled_by_the_same_rollout() {
    let (bench, relay, agent) = enrolled();
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    agent.pass_ms(10 * MINUTE_MS);
    relay.wants(2, 2, &Recipe::new(2).build(&bench));
    agent.pass_ms(10 * MINUTE_MS);
    assert_eq!(version(&agent).as_deref(), Some("2.0"));
    agent.ask(Request::Rollback { app: None }).unwrap();
    agent.pass_ms(HOUR_MS);
    assert_eq!(version(&agent).as_deref(), Some("1.0"));
    assert_eq!(relay.fetches.get(), 2);
}

#[test]
fn a_download_that_breaks_is_tried_again_ever_more_rarely() {
    let (bench, relay, agent) = enrolled();
    relay.broken.set(Some(down));
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    agent.pass_ms(10 * MINUTE_MS);
    let soon = relay.fetches.get();
    assert!(soon >= 3, "{soon}");
    agent.pass_ms(10 * HOUR_MS);
    let later = relay.fetches.get() - soon;
    assert!((9..80).contains(&later), "{later} in ten hours");
    relay.broken.set(None);
    agent.pass_ms(2 * HOUR_MS);
    assert_eq!(version(&agent).as_deref(), Some("1.0"));
}

#[test]
fn a_wish_that_is_withdrawn_is_not_pursued() {
    let (bench, relay, agent) = enrolled();
    relay.broken.set(Some(down));
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    agent.pass_ms(5 * MINUTE_MS);
    relay.now(|answer| answer.desired.clear());
    agent.pass_ms(2 * MINUTE_MS);
    let before = relay.fetches.get();
    relay.broken.set(None);
    agent.pass_ms(10 * HOUR_MS);
    assert_eq!((relay.fetches.get(), version(&agent)), (before, None));
}

#[test]
fn a_newer_wish_takes_the_place_of_one_that_is_being_fetched() {
    let (bench, relay, agent) = enrolled();
    relay.broken.set(Some(down));
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    agent.pass_ms(2 * MINUTE_MS);
    relay.wants(2, 2, &Recipe::new(2).build(&bench));
    relay.broken.set(None);
    agent.pass_ms(10 * MINUTE_MS);
    assert_eq!(version(&agent).as_deref(), Some("2.0"));
    let history = match agent.ask(Request::History { app: None }).unwrap() {
        Reply::History(history) => history,
        other => panic!("{other:?}"),
    };
    let seqs: Vec<_> = history.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, [2]);
}

#[test]
fn retry_after_is_obeyed_and_remembered_over_a_restart() {
    let (bench, relay, agent) = enrolled();
    agent.pass_ms(MINUTE_MS);
    relay.fault.set(Some(busy));
    agent.pass_ms(2 * MINUTE_MS);
    relay.fault.set(None);
    let asked = relay.asked();
    agent.engine.nudge();
    agent.pass_ms(30 * MINUTE_MS);
    assert_eq!(relay.asked(), asked, "news do not hasten it");
    agent.stop();
    bench.host.forget_sleepers();
    let agent = bench.daemon();
    agent.pass_ms(25 * MINUTE_MS);
    assert_eq!(relay.asked(), asked, "nor does a restart");
    agent.pass_ms(30 * MINUTE_MS);
    assert!(relay.asked() > asked, "and it ends");
}

#[test]
fn a_storm_of_news_is_no_storm_of_check_ins() {
    let (_bench, relay, agent) = enrolled();
    agent.pass_ms(MINUTE_MS);
    let asked = relay.asked();
    for _ in 0..100 {
        agent.engine.nudge();
        agent.pass_ms(100);
    }
    let early = relay.asked() - asked;
    assert!((4..=6).contains(&early), "{early} in ten seconds");
}

#[test]
fn a_long_poll_hears_of_changes_at_once_and_lets_news_out() {
    let (bench, relay, agent) = enrolled();
    relay.now(|answer| answer.long_poll_s = 200);
    agent.pass_ms(2 * MINUTE_MS);
    assert_eq!(relay.last().wait_s, 55, "at most");
    let asked = relay.asked();
    agent.pass_ms(10 * MINUTE_MS);
    let held = relay.asked() - asked;
    assert!((9..=12).contains(&held), "{held} in ten minutes");
    // A change.
    relay.wants(1, 1, &Recipe::new(1).build(&bench));
    agent.pass_ms(2_000);
    assert_eq!(relay.fetches.get(), 1);
    agent.pass_ms(5 * MINUTE_MS);
    assert_eq!(version(&agent).as_deref(), Some("1.0"));
    // News.
    let asked = relay.asked();
    agent.engine.nudge();
    agent.pass_ms(2_001);
    assert!(relay.asked() > asked);
    relay.now(|answer| answer.long_poll_s = 0);
    agent.pass_ms(5 * MINUTE_MS);
    assert_eq!(relay.last().wait_s, 0);
}

fn with_variable(seq: u64) -> Recipe {
    Recipe::new(seq).file("site = ${SITE}\n").edit(|m| {
        m.variables = vec![Variable {
            name: "SITE".parse().unwrap(),
            kind: VariableKind::Text { pattern: None },
            default: Some(text_of("nowhere")),
            secret: false,
            description: text_of("where it is"),
        }];
    })
}

#[test]
fn new_values_make_a_new_generation_under_the_same_seq() {
    let (bench, relay, agent) = enrolled();
    relay.wants(1, 1, &with_variable(1).build(&bench));
    agent.pass_ms(10 * MINUTE_MS);
    let generation = |agent: &Agent| {
        let app = agent.app("shop").unwrap();
        (app.seq, app.generation)
    };
    assert_eq!(generation(&agent), (Some(1), Some(1)));
    relay.gives(&[("SITE", "Harbour"), ("OF_THE_NEXT_VERSION", "x")]);
    agent.pass_ms(10 * MINUTE_MS);
    assert_eq!(generation(&agent), (Some(1), Some(2)));
    // Once; also after a restart, from the disk.
    agent.pass_ms(HOUR_MS);
    agent.stop();
    bench.host.forget_sleepers();
    relay.fault.set(Some(down));
    let agent = bench.daemon();
    agent.pass_ms(HOUR_MS);
    assert_eq!(generation(&agent), (Some(1), Some(2)));
    relay.fault.set(None);
    // A value that the relay takes back leaves the default.
    relay.gives(&[]);
    agent.pass_ms(HOUR_MS);
    assert_eq!(generation(&agent), (Some(1), Some(3)));
    assert_eq!(relay.fetches.get(), 1);
}

#[test]
fn values_that_come_with_a_new_version_switch_once() {
    let (bench, relay, agent) = enrolled();
    relay.wants(1, 1, &with_variable(1).build(&bench));
    agent.pass_ms(10 * MINUTE_MS);
    relay.gives(&[("SITE", "Harbour")]);
    relay.wants(2, 2, &with_variable(2).build(&bench));
    agent.pass_ms(10 * MINUTE_MS);
    let app = agent.app("shop").unwrap();
    assert_eq!((app.seq, app.generation), (Some(2), Some(2)));
    // A version that cannot be fetched does not hold the values up for ever.
    relay.broken.set(Some(down));
    relay.gives(&[("SITE", "Pier")]);
    relay.wants(3, 3, &with_variable(3).build(&bench));
    agent.pass_ms(10 * MINUTE_MS);
    let app = agent.app("shop").unwrap();
    assert_eq!((app.seq, app.generation), (Some(2), Some(3)));
}

#[test]
fn another_relay_takes_the_place_of_the_first_with_all_it_wanted() {
    let (bench, relay, agent) = enrolled();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let two = sick(&bench, 2);
    relay.wants(7, 2, &two);
    agent.pass_ms(30 * MINUTE_MS);
    assert_eq!(relay.fetches.get(), 1);
    // The same relay: its rollout 7 has had its attempt.
    FakeRelay::enroll(&agent).unwrap();
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.fetches.get(), 1);
    // Another one, whose rollout 7 is another.
    let request = Request::Enroll {
        url: "https://other.example/".into(),
        token: Secret("cet_2".into()),
        ca: None,
    };
    agent.ask(request).unwrap();
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.fetches.get(), 2);
    let url = status(&agent).relay.url;
    assert_eq!(url.as_deref(), Some("https://other.example"));
}

#[test]
fn the_devices_own_value_beats_the_relays() {
    let (mut bench, relay, agent) = enrolled();
    agent.stop();
    let own = [("SITE".to_owned(), "Attic".to_owned())];
    bench.config.variables = [("shop".to_owned(), own.into())].into();
    let agent = bench.daemon();
    agent.apply(&with_variable(1).build(&bench)).unwrap();
    relay.gives(&[("SITE", "Harbour")]);
    agent.pass_ms(10 * MINUTE_MS);
    assert_eq!(agent.app("shop").unwrap().generation, Some(1));
}

#[test]
fn a_damaged_record_is_no_record_and_says_so() {
    let (bench, relay, agent) = enrolled();
    relay.wants(1, 1, &with_variable(1).build(&bench));
    relay.gives(&[("SITE", "Harbour")]);
    agent.pass_ms(10 * MINUTE_MS);
    agent.stop();
    bench.host.forget_sleepers();
    std::fs::write(bench.config.state_dir.join("relay.jsonl"), "{").unwrap();
    let asked = relay.asked();
    let agent = bench.daemon();
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.asked(), asked);
    let app = agent.app("shop").unwrap();
    assert_eq!(
        app.generation,
        Some(1),
        "what the relay gave is not taken away"
    );
    assert_eq!(doctor(&agent).result, "failed");
    FakeRelay::enroll(&agent).unwrap();
    agent.pass_ms(MINUTE_MS);
    assert!(relay.asked() > asked);
    assert_eq!(doctor(&agent).result, "ok");
}

#[test]
fn a_refused_enrolment_leaves_the_device_as_it_was() {
    let used = || RemoteError::Refused {
        status: 403,
        code: "token_used".into(),
        message: "the token was used".into(),
        hint: String::new(),
    };
    let untrusted = || RemoteError::Certificate("it is for another host".into());
    let mut bench = Bench::new();
    let relay = FakeRelay::new(&mut bench);
    let agent = bench.daemon();
    for (fault, code, hint) in [
        (used as super::relay::Fault, 1, "ask for another"),
        (untrusted, 1, "--relay-ca"),
        (down, 13, "the token is still good"),
        (busy, 13, "the token is still good"),
        (garbage, 1, "must be a relay's"),
    ] {
        relay.fault.set(Some(fault));
        let failure = FakeRelay::enroll(&agent).unwrap_err();
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.hint.contains(hint), "{failure:?}");
        assert!(!agent.engine.is_enrolled());
    }
    agent.pass_ms(HOUR_MS);
    assert_eq!(relay.asked(), 0);
    relay.fault.set(None);
    let view = FakeRelay::enroll(&agent).unwrap();
    assert_eq!(view.device, "test-1");
    assert_eq!(view.labels["site"], "harbour");
}

#[test]
fn an_enrolment_that_cannot_be_stored_is_no_enrolment() {
    let mut bench = Bench::new();
    let relay = FakeRelay::new(&mut bench);
    let fate = Rc::new(Fate::default());
    bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::new(RealVfs)));
    let agent = bench.daemon();
    let before = fate.count.get();
    fate.at.set(before + 1);
    fate.harm
        .set(Some(Harm::Forever(std::io::ErrorKind::StorageFull)));
    FakeRelay::enroll(&agent).unwrap_err();
    assert!(relay.tokens.borrow().is_empty(), "the key comes first");
    fate.harm.set(None);
    FakeRelay::enroll(&agent).unwrap();
    // The key is there; the record cannot be written.
    fate.at.set(fate.count.get() + 1);
    fate.harm
        .set(Some(Harm::Forever(std::io::ErrorKind::StorageFull)));
    let asked = relay.asked();
    FakeRelay::enroll(&agent).unwrap_err();
    assert_eq!(relay.tokens.borrow().len(), 2);
    fate.harm.set(None);
    agent.pass_ms(2 * MINUTE_MS);
    assert!(relay.asked() > asked, "the earlier enrolment holds");
}
