//! What the relay learns: nothing is lost, nothing is told twice, failures bring their evidence.

use std::io;
use std::path::Path;
use std::rc::Rc;

use bundle::manifest::Restart;
use relay_api::device::{EVIDENCE_LINES_MAX, Event, REPORT_BYTES_MAX, UpdateResult};
use runtime_shim::fake::{Fault, Op};
use runtime_shim::{ExitStatus, Stream};

use super::super::reports::EVENTS_PER_HOUR_MAX;
use super::bench::{Agent, Bench, EPOCH_S, Recipe, exec_health, text_of};
use super::reporting::{Mood, Relay, crashing_two, deliver, enrolled, of_web, waiting};
use crate::api::{Reply, Request};
use crate::state::tests::{BadDisk, Fate, Harm};
use crate::state::vfs::RealVfs;

#[test]
fn a_version_that_crashes_in_its_trial_is_told_with_its_last_words() {
    let (bench, agent, relay) = enrolled();
    assert_eq!(agent.apply_code(&crashing_two(&bench)), 20);
    assert_eq!(waiting(&agent), 1, "events of a trial are in its report");
    deliver(&agent, &relay).unwrap();
    assert_eq!(waiting(&agent), 0);
    let told = relay.updates();
    let [one, two] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(one.result, UpdateResult::Committed);
    assert_eq!((one.seq, one.generation, one.rollout), (1, Some(1), None));
    assert!(one.evidence.is_empty() && one.cause.is_none());
    assert_eq!(two.result, UpdateResult::RolledBack);
    assert_eq!((two.seq, two.version.as_str()), (2, "2.0"));
    let cause = two.cause.as_deref().unwrap();
    assert!(cause.contains("web exited with code 3"), "{cause}");
    let runs: Vec<_> = two.running.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(runs, ["web", "db"]);
    assert_eq!(two.running, one.running, "version 1 runs again");
    let web = &two.evidence[0];
    assert_eq!((web.service.as_str(), web.exit_code), ("web", Some(3)));
    let last = &web.lines[web.lines.len() - 2..];
    assert_eq!(last, ["opening /dev/gpio", "no such device"]);
    let report = &relay.reports()[1];
    assert!(report.at >= EPOCH_S);
    assert_eq!(report.app.as_str(), "shop");
}

#[test]
fn an_ill_version_is_told_with_the_log_of_its_service() {
    let (bench, agent, relay) = enrolled();
    let web = || bench.fake.service("shop", "web").generation(2);
    web().prints(Stream::Stdout, "listening on 81");
    web().exec(1, "refused");
    let ill = Recipe::new(2).edit(|m| m.services[0].health = Some(exec_health()));
    assert_eq!(agent.apply_code(&ill.build(&bench)), 20);
    assert_eq!(waiting(&agent), 1, "health in a trial is in its report");
    deliver(&agent, &relay).unwrap();
    let told = relay.updates().pop().unwrap();
    assert_eq!(told.result, UpdateResult::RolledBack);
    let web = of_web(&told.evidence);
    assert_eq!(web.exit_code, None, "it still ran");
    assert_eq!(web.lines, ["listening on 81"]);
}

#[test]
fn a_report_whose_answer_is_lost_is_sent_again_and_stored_once() {
    let (bench, agent, relay) = enrolled();
    agent.apply(&Recipe::new(2).build(&bench)).unwrap();
    relay.mood.set(Mood::AnswerLost);
    assert!(deliver(&agent, &relay).is_err());
    assert_eq!(waiting(&agent), 1);
    agent.stop();
    let agent = bench.daemon();
    relay.mood.set(Mood::Good);
    deliver(&agent, &relay).unwrap();
    let attempts = relay.attempts.borrow();
    let [.., lost, again] = attempts.as_slice() else {
        panic!("{}", attempts.len());
    };
    assert_eq!(lost, again, "the same key and the same bytes");
    assert_eq!(relay.updates().len(), 2);
    assert_eq!(waiting(&agent), 0);
}

#[test]
fn while_the_relay_is_away_everything_waits_in_order() {
    let (bench, agent, relay) = enrolled();
    for (seq, mood) in [
        (2, Mood::Away),
        (3, Mood::Busy),
        (4, Mood::Refuses(503, "")),
        (5, Mood::Refuses(401, "challenge")),
        (6, Mood::Refuses(400, "protocol")),
        (7, Mood::Refuses(400, "")),
    ] {
        agent.apply(&Recipe::new(seq).build(&bench)).unwrap();
        relay.mood.set(mood);
        let before = relay.attempts.borrow().len();
        assert!(deliver(&agent, &relay).is_err(), "{seq}");
        assert_eq!(relay.attempts.borrow().len(), before + 1, "{seq}");
    }
    assert_eq!(waiting(&agent), 6);
    relay.mood.set(Mood::Good);
    deliver(&agent, &relay).unwrap();
    let seqs: Vec<_> = relay.updates().iter().map(|told| told.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn what_the_relay_never_takes_does_not_hold_up_the_rest() {
    for (status, code) in [(409, "report_differs"), (400, "malformed"), (413, "")] {
        let (bench, agent, relay) = enrolled();
        agent.apply(&Recipe::new(2).build(&bench)).unwrap();
        relay.mood.set(Mood::Refuses(status, code));
        deliver(&agent, &relay).unwrap();
        assert_eq!(waiting(&agent), 0, "{status}");
        relay.mood.set(Mood::Good);
        agent.apply(&Recipe::new(3).build(&bench)).unwrap();
        deliver(&agent, &relay).unwrap();
        let seqs: Vec<_> = relay.updates().iter().map(|told| told.seq).collect();
        assert_eq!(seqs, [1, 3], "{status}");
    }
}

#[test]
fn a_restart_tells_nothing_again() {
    let (bench, agent, relay) = enrolled();
    assert_eq!(agent.apply_code(&crashing_two(&bench)), 20);
    deliver(&agent, &relay).unwrap();
    agent.stop();
    for _ in 0..3 {
        let agent = bench.daemon();
        assert_eq!(waiting(&agent), 0);
        agent.stop();
    }
}

#[test]
fn a_device_without_a_relay_spools_nothing() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    assert_eq!(agent.apply_code(&crashing_two(&bench)), 20);
    assert_eq!(agent.apply_code(&Recipe::new(0).build(&bench)), 10);
    assert!(bench.fake.crash("shop", "db", 1));
    agent.pass_ms(60_000);
    assert_eq!(waiting(&agent), 0);
    let spooled = |path: &&std::path::PathBuf| {
        let mut parts = path.iter();
        parts.any(|part| part == "reports" || part == "evidence")
    };
    let files = bench.state_files();
    assert_eq!(
        files.keys().filter(spooled).count(),
        0,
        "{:?}",
        files.keys()
    );
}

#[test]
fn nothing_is_written_while_nothing_happens() {
    let fate = Rc::new(Fate::default());
    let mut bench = Bench::new();
    bench.enrolled.set(true);
    bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::new(RealVfs)));
    let agent = bench.daemon();
    let one = Recipe::new(1).edit(|m| m.services[0].health = Some(exec_health()));
    agent.apply(&one.build(&bench)).unwrap();
    agent.pass_ms(60_000);
    let before = fate.count.get();
    agent.pass_ms(86_400_000);
    let relay = Rc::new(Relay::default());
    relay.mood.set(Mood::Away);
    assert!(deliver(&agent, &relay).is_err());
    assert_eq!(fate.count.get(), before);
    assert!(before > 0);
}

#[test]
fn exits_are_told_and_a_crash_loop_is_told_a_few_times_an_hour() {
    let (bench, agent, relay) = enrolled();
    let status = ExitStatus {
        code: 137,
        oom_killed: true,
    };
    assert!(bench.fake.crash_with("shop", "db", status));
    agent.pass_ms(2_000);
    deliver(&agent, &relay).unwrap();
    let exited = |service: &str, exit_code, oom_killed| Event::Exited {
        service: service.parse().unwrap(),
        generation: 1,
        exit_code,
        oom_killed,
    };
    assert_eq!(relay.events(), [exited("db", 137, true)]);

    let loops = bench.fake.service("shop", "web").exits_on_start(1);
    assert!(bench.fake.crash("shop", "web", 1));
    agent.pass_ms(3_000_000);
    assert!(loops.fired() > u64::from(EVENTS_PER_HOUR_MAX));
    deliver(&agent, &relay).unwrap();
    let web = exited("web", 1, false);
    let told = |relay: &Relay| relay.events().iter().filter(|e| **e == web).count();
    assert_eq!(told(&relay), EVENTS_PER_HOUR_MAX as usize);
    agent.pass_ms(3_600_000);
    deliver(&agent, &relay).unwrap();
    assert_eq!(told(&relay), 2 * EVENTS_PER_HOUR_MAX as usize);
}

#[test]
fn a_service_that_has_ended_for_good_is_told_once() {
    let bench = Bench::new();
    bench.enrolled.set(true);
    let agent = bench.daemon();
    let one = Recipe::new(1).edit(|m| m.services[1].restart = Restart::No);
    agent.apply(&one.build(&bench)).unwrap();
    assert!(bench.fake.crash("shop", "db", 0));
    agent.pass_ms(1_000);
    assert_eq!(waiting(&agent), 2);
    agent.stop();
    let agent = bench.daemon();
    agent.pass_ms(600_000);
    assert_eq!(waiting(&agent), 2);
    assert!(!bench.running().contains_key("db"));
}

#[test]
fn health_is_told_when_it_turns_bad_and_when_it_comes_back() {
    let bench = Bench::new();
    bench.enrolled.set(true);
    let agent = bench.daemon();
    let relay = Rc::new(Relay::default());
    let one = Recipe::new(1).edit(|m| m.services[0].health = Some(exec_health()));
    agent.apply(&one.build(&bench)).unwrap();
    agent.pass_ms(60_000);
    deliver(&agent, &relay).unwrap();
    assert_eq!(relay.events(), [], "well from the start is no news");
    let health = |healthy| Event::Health {
        service: "web".parse().unwrap(),
        generation: 1,
        healthy,
    };
    let ill = bench.fake.service("shop", "web").exec(1, "");
    agent.pass_ms(300_000);
    deliver(&agent, &relay).unwrap();
    assert_eq!(relay.events(), [health(false)]);
    ill.release();
    agent.pass_ms(300_000);
    deliver(&agent, &relay).unwrap();
    assert_eq!(relay.events(), [health(false), health(true)]);
}

#[test]
fn evidence_has_the_last_lines_within_its_bounds() {
    for (text, lines_max) in [
        ("a line".to_owned(), EVIDENCE_LINES_MAX),
        ("é".repeat(2_000), 191),
    ] {
        let (bench, agent, relay) = enrolled();
        let web = || bench.fake.service("shop", "web").generation(2);
        for n in 0..300 {
            web().prints(Stream::Stderr, &format!("{n} {text}"));
        }
        web().exits_on_start(3);
        let db = || bench.fake.service("shop", "db").generation(2);
        for n in 0..300 {
            db().prints(Stream::Stdout, &format!("{n} {text}"));
        }
        let two = Recipe::new(2).edit(|m| m.services[1].command = Some(vec![text_of("x")]));
        assert_eq!(agent.apply_code(&two.build(&bench)), 20);
        deliver(&agent, &relay).unwrap();
        let told = relay.updates().pop().unwrap();
        let bytes = relay.attempts.borrow().last().unwrap().1.len();
        assert!(bytes <= REPORT_BYTES_MAX, "{bytes}");
        let [web, db] = told.evidence.as_slice() else {
            panic!("{:?}", told.evidence.len());
        };
        assert_eq!((web.service.as_str(), db.service.as_str()), ("web", "db"));
        for one in [web, db] {
            assert!(one.lines.len() <= lines_max, "{}", one.lines.len());
            assert!(one.lines.iter().all(|line| line.len() <= 1024));
            assert!(one.lines.last().unwrap().starts_with("299 "));
            assert!(one.lines.len() > 90, "a fair share: {}", one.lines.len());
        }
    }
}

#[test]
fn a_runtime_that_hangs_does_not_hold_a_rollback_up_for_its_evidence() {
    let (bench, agent, relay) = enrolled();
    let ill = Recipe::new(2).edit(|m| m.services[0].health = Some(exec_health()));
    bench.fake.service("shop", "web").generation(2).exec(1, "");
    // The last words come first, then the evidence.
    let hang = bench.fake.inject(Fault::hang().on(Op::Logs).nth(2));
    assert_eq!(agent.apply_code(&ill.build(&bench)), 20);
    assert_eq!(hang.fired(), 1);
    assert_eq!(bench.running()["web"], 1);
    deliver(&agent, &relay).unwrap();
    let told = relay.updates().pop().unwrap();
    assert_eq!(told.result, UpdateResult::RolledBack);
    let web = of_web(&told.evidence);
    assert_eq!(web.lines.len(), 1);
    assert!(web.lines[0].contains("did not give this log"), "{web:?}");
}

#[test]
fn on_a_full_disk_a_report_is_delivered_from_memory() {
    let fate = Rc::new(Fate::default());
    let mut bench = Bench::new();
    bench.enrolled.set(true);
    bench.vfs = Rc::new(BadDisk(Rc::clone(&fate), Rc::new(RealVfs)));
    let agent = bench.daemon();
    agent.apply(&Recipe::new(1).build(&bench)).unwrap();
    let relay = Rc::new(Relay::default());
    deliver(&agent, &relay).unwrap();
    fate.at.set(1);
    fate.harm
        .set(Some(Harm::Forever(io::ErrorKind::StorageFull)));
    // Older than what runs: refused, which needs no other write.
    assert_eq!(agent.apply_code(&Recipe::new(0).build(&bench)), 10);
    assert!(fate.fired.get() > 0);
    deliver(&agent, &relay).unwrap();
    assert_eq!(relay.updates().pop().unwrap().result, UpdateResult::Refused);
    assert_eq!(waiting(&agent), 0);
}

#[test]
fn a_refusal_is_told_once_for_a_rollout_and_each_time_to_somebody_on_site() {
    let (bench, agent, relay) = enrolled();
    let old = Recipe::new(0).build(&bench);
    for _ in 0..2 {
        assert_eq!(agent.apply_code(&old), 10);
        agent.pass_ms(1_000);
    }
    deliver(&agent, &relay).unwrap();
    assert_eq!(relay.updates().len(), 3);

    let other = Recipe::new(0).edit(|m| m.version = "0.1".parse().unwrap());
    let rejected = reject(&agent, &other.build(&bench));
    let bundle = rejected.bundle.as_ref().unwrap();
    let refuse = |agent: &Agent, rollout, code, message: &str| {
        let failure = crate::api::Failure {
            code,
            message: message.to_owned(),
            ..rejected.failure.clone()
        };
        agent.engine.report_refusal(bundle, Some(rollout), &failure);
        agent.pass_ms(60_000);
        deliver(agent, &relay).unwrap();
        relay.updates().len()
    };
    assert_eq!(refuse(&agent, 7, 10, "too old"), 4);
    assert_eq!(refuse(&agent, 7, 10, "too old"), 4);
    assert_eq!(refuse(&agent, 8, 10, "too old"), 5, "another rollout");
    // What may pass is tried again, and not told (clause D34).
    assert_eq!(refuse(&agent, 8, 12, "5 bytes short"), 5);
    let attempts = relay.attempts.borrow().len();
    assert_eq!(attempts, 5, "nothing was sent twice");
    agent.stop();
    let agent = bench.daemon();
    let again = refuse(&agent, 8, 10, "too old");
    assert_eq!(again, 5, "nor after a restart");
    let told = relay.updates();
    let last = told.last().unwrap();
    assert_eq!(last.result, UpdateResult::Refused);
    assert_eq!((last.rollout, last.generation), (Some(8), None));
    assert_eq!(last.running.len(), 2, "version 1 runs on");
    let Ok(Reply::History(history)) = agent.ask(Request::History { app: None }) else {
        panic!()
    };
    assert_eq!(history.len(), 4, "{history:?}");
}

fn reject(agent: &Agent, path: &Path) -> super::super::admit::Rejected {
    let (engine, path) = (Rc::clone(&agent.engine), path.to_path_buf());
    let admitted = agent.run(async move { engine.admit(&path, &|_| {}).await });
    admitted.err().unwrap()
}

/// Offers a bundle as a rollout does, and waits for its end.
fn offer(agent: &Agent, path: &Path, rollout: u64) {
    let (engine, path) = (Rc::clone(&agent.engine), path.to_path_buf());
    agent.run(async move {
        let mut offer = engine.admit(&path, &|_| {}).await.ok().unwrap();
        offer.rollout = Some(rollout);
        let app = engine.app(&offer.source.bundle().manifest().app);
        let event = agent_core::Event::Offered(offer.generation);
        app.ask(&engine, event, Some(Rc::new(offer))).await.unwrap();
    });
    agent.pass_ms(120_000);
}

#[test]
fn a_report_names_the_rollout_that_wanted_it_and_no_other() {
    let (bench, agent, relay) = enrolled();
    offer(&agent, &Recipe::new(2).build(&bench), 7);
    agent.apply(&Recipe::new(3).build(&bench)).unwrap();
    agent.ask(Request::Rollback { app: None }).unwrap();
    let app = "shop".to_owned();
    agent.ask(Request::Remove { app }).unwrap();
    deliver(&agent, &relay).unwrap();
    let told = relay.updates();
    let told: Vec<_> = told
        .iter()
        .map(|told| (told.seq, told.result, told.rollout))
        .collect();
    assert_eq!(
        told,
        [
            (1, UpdateResult::Committed, None),
            (2, UpdateResult::Committed, Some(7)),
            (3, UpdateResult::Committed, None),
            (2, UpdateResult::Committed, None),
            (2, UpdateResult::Removed, None),
        ]
    );
}
