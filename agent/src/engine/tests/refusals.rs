//! Bad input: refused with its exit code, the state byte-identical, and the next good bundle
//! applies.

use std::fs;
use std::path::Path;

use bundle::build::{SecretKey, key};
use bundle::manifest::{AgentVersion, Restart, Variable, VariableKind};
use runtime_shim::RuntimeError;
use runtime_shim::fake::{Fault, Op};

use super::bench::{Agent, Bench, EPOCH_S, Recipe, text_of};
use crate::api::{Reply, Request};
use crate::exit;

/// A device on which version 5 runs.
fn with_five() -> (Bench, Agent) {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    (bench, agent)
}

/// Applies a bad bundle: the code is as expected, nothing has changed, nobody is left without
/// words, and version 6 still applies afterwards.
#[track_caller]
fn check(bench: &Bench, agent: &Agent, bad: &Path, code: u8) {
    let (slots, running) = (bench.slots(), bench.running());
    let failure = agent.apply(bad).unwrap_err();
    assert_eq!(failure.code, code, "{failure:?}");
    assert!(
        !failure.message.is_empty() && (code == 30 || !failure.hint.is_empty()),
        "{failure:?}"
    );
    assert_eq!(bench.slots(), slots, "the state has changed");
    assert_eq!(bench.running(), running, "what runs has changed");
}

#[track_caller]
fn the_next_good_one_applies(bench: &Bench, agent: &Agent) {
    assert_eq!(agent.apply_code(&Recipe::new(6).build(bench)), exit::DONE);
}

fn head_bytes(bundle: &[u8]) -> usize {
    12 + u32::from_le_bytes(bundle[8..12].try_into().unwrap()) as usize
}

#[test]
fn bundles_for_others_are_refused() {
    let (bench, agent) = with_five();
    let other_arch = if cfg!(target_arch = "aarch64") {
        "amd64"
    } else {
        "arm64"
    };
    let bad: [fn(&mut bundle::Manifest); 6] = [
        |m| m.target.fleet = "other".parse().unwrap(),
        |m| m.target.classes = vec!["kiosk".parse().unwrap()],
        |m| m.target.devices = vec!["test-2".parse().unwrap()],
        |m| m.target.agent_min = AgentVersion(99, 0, 0),
        |m| m.keyring_min = 1,
        |m| m.not_after = Some(EPOCH_S - 100_000),
    ];
    for edit in bad {
        check(
            &bench,
            &agent,
            &Recipe::new(6).edit(edit).build(&bench),
            exit::REFUSED,
        );
    }
    let arch = Recipe::new(6).edit(|m| m.target.arch = other_arch.parse().unwrap());
    check(&bench, &agent, &arch.build(&bench), exit::REFUSED);
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn older_and_twin_sequences_are_refused() {
    let (bench, agent) = with_five();
    check(&bench, &agent, &Recipe::new(4).build(&bench), exit::REFUSED);
    let twin = Recipe::new(5).edit(|m| m.services[0].restart = Restart::No);
    check(&bench, &agent, &twin.build(&bench), exit::REFUSED);
    check(
        &bench,
        &agent,
        &Recipe::new(5).build(&bench),
        exit::ALREADY_CURRENT,
    );
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn an_epoch_below_the_floor_is_refused() {
    let (bench, agent) = with_five();
    agent
        .apply(&Recipe::new(6).edit(|m| m.epoch = 2).build(&bench))
        .unwrap();
    check(
        &bench,
        &agent,
        &Recipe::new(7).edit(|m| m.epoch = 1).build(&bench),
        exit::REFUSED,
    );
    assert_eq!(
        agent.ask(Request::Rollback { app: None }).unwrap_err().code,
        exit::REFUSED
    );
    assert_eq!(
        agent.apply_code(&Recipe::new(7).edit(|m| m.epoch = 2).build(&bench)),
        exit::DONE
    );
}

#[test]
fn unknown_and_missing_keys_refuse() {
    let (bench, agent) = with_five();
    let (stranger, _) = key::generate(None).unwrap();
    let stranger = SecretKey::from_text(&stranger, || unreachable!()).unwrap();
    check(
        &bench,
        &agent,
        &Recipe::new(6).build_with(&bench, &stranger),
        exit::REFUSED,
    );

    let good = Recipe::new(6).build(&bench);
    let file = bench.config.keys_dir.join("release.pub");
    let text = fs::read(&file).unwrap();
    fs::write(&file, "rubbish").unwrap();
    check(&bench, &agent, &good, exit::REFUSED);
    fs::remove_file(&file).unwrap();
    check(&bench, &agent, &good, exit::REFUSED);
    fs::remove_dir(&bench.config.keys_dir).unwrap();
    check(&bench, &agent, &good, exit::REFUSED);
    fs::create_dir(&bench.config.keys_dir).unwrap();
    fs::write(&file, text).unwrap();
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn a_flipped_byte_anywhere_is_refused() {
    let (bench, agent) = with_five();
    let good = fs::read(Recipe::new(6).build(&bench)).unwrap();
    let bad = bench.dir.path().join("flipped.bin");
    // Signature records first: magic, lengths, record; then samples of manifest and payload.
    let places = (0..300)
        .chain((300..good.len()).step_by(97))
        .chain([good.len() - 1]);
    for at in places {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        fs::write(&bad, &bytes).unwrap();
        let slots = bench.slots();
        let failure = agent.apply(&bad).unwrap_err();
        assert!(
            [exit::REFUSED, exit::DOWNLOAD_FAILED].contains(&failure.code),
            "byte {at}: {failure:?}"
        );
        assert_eq!(bench.slots(), slots, "byte {at}");
    }
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn truncated_and_padded_bundles_are_refused() {
    let (bench, agent) = with_five();
    let good = fs::read(Recipe::new(6).build(&bench)).unwrap();
    let bad = bench.dir.path().join("bad.bin");
    for length in [0, 1, 11, 12, 100, good.len() / 2, good.len() - 1] {
        fs::write(&bad, &good[..length]).unwrap();
        check(&bench, &agent, &bad, exit::REFUSED);
    }
    let mut padded = good.clone();
    padded.push(0);
    fs::write(&bad, &padded).unwrap();
    check(&bench, &agent, &bad, exit::REFUSED);
    // A gap between the head and the payload.
    let head = head_bytes(&good);
    let mut gap = good.clone();
    gap.insert(head, 0);
    fs::write(&bad, &gap).unwrap();
    check(&bench, &agent, &bad, exit::REFUSED);
    check(
        &bench,
        &agent,
        &bench.dir.path().join("no-such.bin"),
        exit::DOWNLOAD_FAILED,
    );
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn variables_that_do_not_fit_are_refused() {
    let mut bench = Bench::new();
    let own = [("PORT".to_owned(), "eighty".to_owned())]
        .into_iter()
        .collect();
    bench.config.variables.insert("shop".to_owned(), own);
    let agent = bench.daemon();
    let recipe = |seq| {
        Recipe::new(seq).edit(|m| {
            m.variables.push(Variable {
                name: "PORT".parse().unwrap(),
                kind: VariableKind::Integer { min: 1, max: 65535 },
                default: Some(text_of("80")),
                secret: false,
                description: text_of(""),
            });
        })
    };
    check(&bench, &agent, &recipe(1).build(&bench), exit::REFUSED);
    // Not declared at all.
    check(&bench, &agent, &Recipe::new(1).build(&bench), exit::REFUSED);
    agent.stop();
    bench
        .config
        .variables
        .get_mut("shop")
        .unwrap()
        .insert("PORT".to_owned(), "80".to_owned());
    let agent = bench.daemon();
    assert_eq!(agent.apply_code(&recipe(1).build(&bench)), exit::DONE);
}

#[test]
fn what_the_device_does_not_allow_is_refused() {
    let (bench, agent) = with_five();
    let privileged = Recipe::new(6).edit(|m| m.services[0].privileged = true);
    let privileged = privileged.build(&bench);
    check(&bench, &agent, &privileged, exit::REFUSED);
    fs::write(&bench.config.policy_file, "privileged = maybe").unwrap();
    check(&bench, &agent, &privileged, exit::REFUSED);
    fs::write(&bench.config.policy_file, "privileged = true").unwrap();
    assert_eq!(agent.apply_code(&privileged), exit::DONE);
}

#[test]
fn a_runtime_that_is_down_is_said_so() {
    let (bench, agent) = with_five();
    let down = bench.fake.inject(Fault::unreachable());
    let good = Recipe::new(6).build(&bench);
    let (slots, failure) = (bench.slots(), agent.apply(&good).unwrap_err());
    assert_eq!(failure.code, exit::RUNTIME_UNREACHABLE, "{failure:?}");
    assert_eq!(bench.slots(), slots);
    assert_eq!(
        agent.ask(Request::Rollback { app: None }).unwrap_err().code,
        exit::RUNTIME_UNREACHABLE
    );
    assert!(agent.app("shop").is_some(), "status answers all the same");
    assert!(down.fired() > 0);
    down.release();
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn a_disk_that_is_too_small_is_noticed_before_anything_happens() {
    let (bench, agent) = with_five();
    bench.host.free_bytes.set(1 << 20);
    check(
        &bench,
        &agent,
        &Recipe::new(6).build(&bench),
        exit::NO_SPACE,
    );
    let imported = bench
        .fake
        .calls()
        .iter()
        .filter(|call| call.op == Op::ImportImage)
        .count();
    assert_eq!(imported, 2, "only those of version 5");
    bench.host.free_bytes.set(u64::MAX);
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn a_disk_that_fills_while_staging_leaves_what_runs() {
    let (bench, agent) = with_five();
    for op in [Op::ImportImage, Op::Create] {
        let full = bench
            .fake
            .inject(Fault::fail(|| RuntimeError::NoSpace).on(op));
        let running = bench.running();
        let failure = agent.apply(&Recipe::new(6).build(&bench)).unwrap_err();
        assert_eq!(failure.code, exit::NO_SPACE, "{failure:?}");
        assert_eq!(bench.running(), running);
        assert!(full.fired() > 0);
        full.release();
    }
    let images = bench
        .fake
        .calls()
        .iter()
        .filter(|call| call.op == Op::RemoveImage)
        .count();
    assert!(images > 0, "what was brought in is removed again");
    assert_eq!(bench.fake.all_containers().len(), 2);
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn a_bundle_swapped_or_cut_off_under_our_hands_is_noticed() {
    let (bench, agent) = with_five();
    let good = Recipe::new(6).build(&bench);
    let bytes = fs::read(&good).unwrap();
    let head = head_bytes(&bytes);
    for change in [true, false] {
        let stall = bench.fake.inject(Fault::stall_import(0));
        let engine = std::rc::Rc::clone(&agent.engine);
        let path = good.clone();
        let apply = agent.spawn(async move {
            engine
                .handle(Request::Apply { bundle: path }, &|_| {})
                .await
        });
        agent.settle();
        assert_eq!(stall.fired(), 1, "verified, and now being imported");
        let mut changed = bytes.clone();
        if change {
            // The same file, other bytes: what a hostile USB stick can do.
            changed[head..].fill(0x55);
        } else {
            changed.truncate(head);
        }
        fs::write(&good, &changed).unwrap();
        stall.release();
        let failure = agent.run(apply).unwrap_err();
        assert_eq!(failure.code, exit::REFUSED, "{failure:?}");
        assert!(failure.message.contains("shop 6.0"), "{failure:?}");
        fs::write(&good, &bytes).unwrap();
    }
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn plan_changes_nothing_not_even_a_file() {
    let (bench, agent) = with_five();
    let (before, calls) = (bench.state_files(), bench.fake.calls().len());
    let plan = |bundle: &Path| {
        agent.ask(Request::Plan {
            bundle: bundle.to_path_buf(),
        })
    };
    let Ok(Reply::Plan(view)) = plan(&Recipe::new(6).build(&bench)) else {
        panic!()
    };
    assert_eq!(
        (view.from.as_deref(), view.to.as_str()),
        (Some("5.0"), "6.0")
    );
    let actions: Vec<_> = view
        .services
        .iter()
        .map(|s| (s.name.as_str(), s.action.as_str()))
        .collect();
    assert_eq!(actions, [("web", "replace"), ("db", "keep")]);
    assert!(
        view.fetch_bytes > 0 && view.fetch_bytes < view.full_bytes,
        "{view:?}"
    );
    assert!(view.blocked_by.is_empty());
    let Ok(Reply::Plan(view)) = plan(&Recipe::new(5).build(&bench)) else {
        panic!()
    };
    assert_eq!(view.blocked_by.len(), 1, "{view:?}");
    assert_eq!(
        plan(&Recipe::new(4).build(&bench)).unwrap_err().code,
        exit::REFUSED
    );
    assert_eq!(bench.state_files(), before);
    assert!(
        bench.fake.calls()[calls..]
            .iter()
            .all(|call| !call.op.is_effect())
    );
}

#[test]
fn refusals_are_in_the_history_only_if_signed() {
    let (bench, agent) = with_five();
    let count = || match agent.ask(Request::History { app: None }) {
        Ok(Reply::History(entries)) => entries.len(),
        _ => panic!(),
    };
    assert_eq!(count(), 1);
    agent.apply(&Recipe::new(4).build(&bench)).unwrap_err();
    assert_eq!(count(), 2);
    let (stranger, _) = key::generate(None).unwrap();
    let stranger = SecretKey::from_text(&stranger, || unreachable!()).unwrap();
    agent
        .apply(&Recipe::new(6).build_with(&bench, &stranger))
        .unwrap_err();
    assert_eq!(count(), 2);
}
