//! Bundles over the network: broken anywhere, lied about, on a full disk.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bundle::Digest;
use bundle::build::{SecretKey, key};
use relay_api::device::Desired;

use super::bench::{Agent, Bench, Recipe};
use super::server::{Server, desired, desired_by};
use super::small_disk::SmallDisk;
use crate::api::{HistoryView, Reply, Request, Step, Update};
use crate::exit;
use crate::state::tests::Forgetful;
use crate::state::vfs::{RealVfs, Vfs as _};

const MIB: u64 = 1 << 20;

fn spooled(bench: &Bench) -> Vec<PathBuf> {
    RealVfs.list(&bench.config.state_dir.join("spool")).unwrap()
}

fn history(agent: &Agent) -> Vec<HistoryView> {
    match agent.ask(Request::History { app: None }) {
        Ok(Reply::History(entries)) => entries,
        other => panic!("{other:?}"),
    }
}

/// A device on which version 5 runs, and a server without mischief that has version 6.
fn five_and_a_server_with_six() -> (Bench, Agent, Rc<Server>, Desired) {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    let six = Recipe::new(6).build(&bench);
    let (server, desired) = (Server::with(&six), desired(&bench, &six));
    (bench, agent, server, desired)
}

/// Fetches something bad: the code is as expected, the state and what runs are untouched, and the
/// next good bundle applies.
#[track_caller]
fn check(bench: &Bench, agent: &Agent, server: &Rc<Server>, wanted: &Desired, code: u8) {
    let (slots, running) = (bench.slots(), bench.running());
    let failure = agent.fetch(server, wanted).unwrap_err();
    assert_eq!(failure.code, code, "{failure:?}");
    assert!(!failure.hint.is_empty(), "{failure:?}");
    assert_eq!(bench.slots(), slots, "the state has changed");
    assert_eq!(bench.running(), running, "what runs has changed");
    if code == exit::REFUSED {
        assert_eq!(spooled(bench), [] as [PathBuf; 0], "of no use any longer");
    }
    the_next_good_one_applies(bench, agent);
}

#[track_caller]
fn the_next_good_one_applies(bench: &Bench, agent: &Agent) {
    let nine = Recipe::new(9).build(bench);
    let server = Server::with(&nine);
    assert_eq!(agent.fetch_code(&server, &desired(bench, &nine)), 0);
    assert_eq!(spooled(bench), [] as [PathBuf; 0]);
    assert_eq!(agent.app("shop").unwrap().version.as_deref(), Some("9.0"));
}

#[test]
fn a_new_device_fetches_every_byte_once_and_few_times() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let path = Recipe::new(1).file("a").layer(1, 3_000_000).build(&bench);
    let server = Server::with(&path);
    let task = agent.begin_fetch(&server, &desired(&bench, &path));
    let (result, updates) = agent.run(task);
    let view = result.unwrap();
    assert_eq!((view.version.as_str(), view.from), ("1.0", None));
    assert!(server.given.borrow().iter().all(|count| *count == 1));
    let asked = server.asked.borrow();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(
        (asked[0].etag.as_ref(), &asked[1].etag),
        (None, &*server.etag.borrow())
    );
    assert_eq!(spooled(&bench), [] as [PathBuf; 0]);
    let fetching = updates.iter().filter_map(|update| match update {
        Update::Progress(progress) if progress.step == Step::Fetch => Some(progress),
        _ => None,
    });
    let fetching: Vec<_> = fetching.map(|p| (p.done, p.total)).collect();
    let total = fetching[0].1;
    assert!(
        fetching.is_sorted() && fetching.last() == Some(&(total, total)),
        "{fetching:?}"
    );
    assert!(fetching.len() > 1000 && total > 3_000_000);
}

/// Fetches a bundle over a line that breaks after every `step` bytes, over and over, with a new
/// agent each time.
fn broken_every(step: u64, recipe: Recipe, url: Option<&str>) {
    let bench = Bench::new();
    let path = recipe.build(&bench);
    let (server, mut wanted) = (Server::with(&path), desired(&bench, &path));
    if let Some(url) = url {
        wanted.url = url.to_owned();
    }
    server.breaks_after.set(Some(step));
    server.slow.set(true);
    let file_bytes = wanted.file_bytes;
    let mut attempts = 0;
    loop {
        let agent = bench.daemon();
        let before = bench.slots();
        match agent.fetch(&server, &wanted) {
            Ok(_) => break,
            Err(failure) => {
                assert_eq!(failure.code, exit::DOWNLOAD_FAILED, "{failure:?}");
                assert_eq!(bench.slots(), before);
                assert!(history(&agent).len() <= 1, "told once");
                agent.kill();
                bench.host.forget_sleepers();
            }
        }
        attempts += 1;
        assert!(attempts <= file_bytes.div_ceil(step), "no progress");
    }
    let given = server.given.borrow();
    let wrong = given.iter().position(|count| *count != 1);
    assert_eq!(
        wrong,
        None,
        "every {step}: {:?} of {file_bytes}",
        wrong.map(|at| given[at])
    );
    assert!(attempts > 0, "it never broke");
}

#[test]
fn broken_after_every_kth_byte_and_restarted_nothing_is_fetched_twice() {
    for step in [1, 2, 11, 12, 13, 97, 500] {
        broken_every(step, Recipe::new(1).file("a"), None);
    }
}

#[test]
fn the_same_from_another_server_and_over_pieces() {
    broken_every(
        700_001,
        Recipe::new(1).layer(3, 2_500_000),
        Some("https://cdn.example/6.bin"),
    );
    broken_every(MIB, Recipe::new(1).layer(4, 2_500_000).file("b"), None);
}

#[test]
fn a_line_that_breaks_after_much_is_taken_up_again_at_once() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let path = Recipe::new(1).layer(1, 500_000).build(&bench);
    let server = Server::with(&path);
    server.breaks_after.set(Some(70_000));
    assert_eq!(agent.fetch_code(&server, &desired(&bench, &path)), 0);
    assert!(server.given.borrow().iter().all(|count| *count == 1));
    assert_eq!(
        server.asked.borrow().len() as u64,
        1 + (500_000 / 70_000 + 1)
    );
}

#[test]
fn an_etag_outlives_a_restart_only_where_it_is_known() {
    for (url, known) in [(None, true), (Some("https://cdn.example/1.bin"), false)] {
        let bench = Bench::new();
        let path = Recipe::new(1).layer(1, 50_000).build(&bench);
        let (server, mut wanted) = (Server::with(&path), desired(&bench, &path));
        wanted.url = url.map_or(wanted.url, str::to_owned);
        server.breaks_after.set(Some(10_000));
        let agent = bench.daemon();
        assert_eq!(agent.fetch_code(&server, &wanted), exit::DOWNLOAD_FAILED);
        agent.stop();
        server.asked.borrow_mut().clear();
        let agent = bench.daemon();
        assert_eq!(agent.fetch_code(&server, &wanted), exit::DOWNLOAD_FAILED);
        let asked = server.asked.borrow();
        let etag = format!("\"{}\"", wanted.file.hex());
        assert_eq!(asked[0].etag, known.then_some(etag), "{url:?}");
        assert!(asked[0].from > 4096, "the head is there");
    }
}

#[test]
fn an_answer_that_ends_too_early_is_gone_on_with() {
    let (bench, agent, server, wanted) = five_and_a_server_with_six();
    server.ends_after.set(Some(300));
    assert_eq!(agent.fetch_code(&server, &wanted), exit::DOWNLOAD_FAILED);
    server.ends_after.set(None);
    assert_eq!(agent.fetch_code(&server, &wanted), 0);
    assert!(server.given.borrow().iter().all(|count| *count <= 1));
    assert_eq!(bench.running()["web"], 2);
}

#[test]
fn a_byte_that_is_wrong_once_costs_one_piece() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let path = Recipe::new(1).layer(1, 2_500_000).build(&bench);
    let (server, wanted) = (Server::with(&path), desired(&bench, &path));
    server.corrupts.set(Some((1_500_000, 1)));
    assert_eq!(agent.fetch_code(&server, &wanted), 0);
    assert_eq!(server.corrupts.get().unwrap().1, 0, "it was wrong");
    let extra = server.given_bytes() - wanted.file_bytes;
    assert!(extra <= MIB + 1000, "{extra}");
}

#[test]
fn a_byte_that_is_always_wrong_refuses_the_bundle() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    let path = Recipe::new(6).layer(1, 2_500_000).build(&bench);
    let (server, wanted) = (Server::with(&path), desired(&bench, &path));
    server.corrupts.set(Some((1_500_000, u32::MAX)));
    check(&bench, &agent, &server, &wanted, exit::REFUSED);
    assert!(server.given_bytes() < wanted.file_bytes + 2 * MIB);
}

#[test]
fn a_head_that_is_wrong_once_is_fetched_again_and_twice_refused() {
    for place in [3, 9, 100] {
        let (bench, agent, server, wanted) = five_and_a_server_with_six();
        server.corrupts.set(Some((place, 1)));
        assert_eq!(agent.fetch_code(&server, &wanted), 0, "{place}");
        assert_eq!(server.corrupts.get().unwrap().1, 0);
        drop(bench);
        let (bench, agent, server, wanted) = five_and_a_server_with_six();
        server.corrupts.set(Some((place, u32::MAX)));
        check(&bench, &agent, &server, &wanted, exit::REFUSED);
    }
}

#[test]
fn garbage_in_place_of_a_bundle_is_refused() {
    for garbage in [
        vec![],
        vec![0; 5],
        vec![0xFF; 50_000],
        b"<html>log in</html>".repeat(100),
    ] {
        let (bench, agent, server, mut wanted) = five_and_a_server_with_six();
        wanted.file_bytes = garbage.len() as u64;
        server.file.replace(garbage);
        check(&bench, &agent, &server, &wanted, exit::REFUSED);
        assert_eq!(history(&agent).len(), 2, "what nobody signed is not told");
    }
}

#[test]
fn a_head_that_declares_too_much_is_not_read() {
    let (bench, agent, server, wanted) = five_and_a_server_with_six();
    server.file.borrow_mut()[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    check(&bench, &agent, &server, &wanted, exit::REFUSED);
    assert!(server.given_bytes() <= 2 * 4096);
}

#[test]
fn a_bundle_signed_by_a_stranger_is_refused_and_not_told() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    let (secret, public) = key::generate(None).unwrap();
    let stranger = SecretKey::from_text(&secret, || unreachable!()).unwrap();
    let keys = tempfile::tempdir().unwrap();
    fs::write(keys.path().join("stranger.pub"), public).unwrap();
    let path = Recipe::new(6).build_with(&bench, &stranger);
    let (server, wanted) = (Server::with(&path), desired_by(keys.path(), &path));
    check(&bench, &agent, &server, &wanted, exit::REFUSED);
    assert_eq!(history(&agent).len(), 2);
}

#[test]
fn another_bundle_than_the_relay_named_is_refused() {
    let lies: [fn(&mut Desired); 4] = [
        |d| d.app = "other".parse().unwrap(),
        |d| d.seq = 8,
        |d| d.bundle = Digest::of(b"another"),
        |d| d.file_bytes -= 1,
    ];
    for (n, lie) in lies.into_iter().enumerate() {
        let (bench, agent, server, mut wanted) = five_and_a_server_with_six();
        lie(&mut wanted);
        server.says_bytes.set(Some(wanted.file_bytes));
        check(&bench, &agent, &server, &wanted, exit::REFUSED);
        assert!(
            server.given_bytes() <= 4096,
            "{n}: only its head was fetched"
        );
    }
}

#[test]
fn a_bundle_for_others_or_older_is_refused_after_its_head_and_told_once() {
    let bad: [fn(&mut bundle::Manifest); 3] = [
        |m| m.target.fleet = "other".parse().unwrap(),
        |m| m.seq = 4,
        |m| m.seq = 5,
    ];
    for edit in bad {
        let bench = Bench::new();
        let agent = bench.daemon();
        agent.apply(&Recipe::new(5).build(&bench)).unwrap();
        let path = Recipe::new(6).layer(1, 100_000).edit(edit).build(&bench);
        let (server, wanted) = (Server::with(&path), desired(&bench, &path));
        for _ in 0..3 {
            assert_eq!(agent.fetch_code(&server, &wanted), exit::REFUSED);
        }
        assert_eq!(history(&agent).len(), 2, "the first, and one refusal");
        assert!(server.given_bytes() <= 3 * 4096, "only heads");
        check(&bench, &agent, &server, &wanted, exit::REFUSED);
    }
}

#[test]
fn what_runs_already_is_not_fetched_again() {
    let (bench, agent, server, wanted) = five_and_a_server_with_six();
    assert_eq!(agent.fetch_code(&server, &wanted), 0);
    let given = server.given_bytes();
    assert_eq!(agent.fetch_code(&server, &wanted), exit::ALREADY_CURRENT);
    assert_eq!(server.given_bytes(), given, "not even its head");
    assert_eq!(spooled(&bench), [] as [PathBuf; 0]);
}

#[test]
fn a_file_called_otherwise_in_the_middle_is_the_same_if_its_head_is() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let path = Recipe::new(1).layer(1, 500_000).build(&bench);
    let (server, mut wanted) = (Server::with(&path), desired(&bench, &path));
    wanted.url = "https://cdn.example/1.bin".to_owned();
    let same = fs::read(&path).unwrap();
    server
        .becomes
        .borrow_mut()
        .push((1, same, "\"mirror-2\"".to_owned()));
    assert_eq!(agent.fetch_code(&server, &wanted), 0);
    assert_eq!(
        server.asked.borrow().len(),
        4,
        "head, broken off, head, the rest"
    );
    assert_eq!(server.asked.borrow()[2].etag, None);
}

#[test]
fn a_file_that_changes_again_and_again_is_given_up_for_now() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    let path = Recipe::new(6).layer(1, 500_000).build(&bench);
    let (server, wanted) = (Server::with(&path), desired(&bench, &path));
    let same = fs::read(&path).unwrap();
    for n in 1..20 {
        let etag = format!("\"{n}\"");
        server.becomes.borrow_mut().push((n, same.clone(), etag));
    }
    let asked = |server: &Server| server.asked.borrow().len();
    check(&bench, &agent, &server, &wanted, exit::DOWNLOAD_FAILED);
    assert!(asked(&server) < 8, "{}", asked(&server));
}

#[test]
fn another_file_between_two_ranges_is_noticed() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    let path = Recipe::new(6).layer(1, 500_000).build(&bench);
    let other = fs::read(Recipe::new(7).layer(2, 500_000).build(&bench)).unwrap();
    // Said to be another, or not said.
    for said in [true, false] {
        let (server, wanted) = (Server::with(&path), desired(&bench, &path));
        let etag = server.etag.borrow().clone().unwrap();
        let etag = if said { "\"7\"".to_owned() } else { etag };
        server.becomes.borrow_mut().push((1, other.clone(), etag));
        server.says_bytes.set(Some(wanted.file_bytes));
        let slots = bench.slots();
        let failure = agent.fetch(&server, &wanted).unwrap_err();
        assert_eq!(failure.code, exit::REFUSED, "{failure:?}");
        assert_eq!(bench.slots(), slots);
        assert_eq!(spooled(&bench), [] as [PathBuf; 0]);
    }
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn a_server_that_says_another_length_is_given_up_for_now() {
    let (bench, agent, server, wanted) = five_and_a_server_with_six();
    server.says_bytes.set(Some(7));
    check(&bench, &agent, &server, &wanted, exit::DOWNLOAD_FAILED);
}

#[test]
fn bytes_from_another_place_are_refused() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    let path = Recipe::new(6).layer(1, 500_000).build(&bench);
    let (server, wanted) = (Server::with(&path), desired(&bench, &path));
    server.breaks_after.set(Some(5000));
    assert_eq!(agent.fetch_code(&server, &wanted), exit::DOWNLOAD_FAILED);
    server.breaks_after.set(None);
    server.shifts.set(1);
    check(&bench, &agent, &server, &wanted, exit::REFUSED);
}

#[test]
fn a_server_that_never_stops_is_cut_off() {
    let (bench, agent, server, wanted) = five_and_a_server_with_six();
    server.endless.set(true);
    let slots = bench.slots();
    assert_eq!(agent.fetch_code(&server, &wanted), exit::DOWNLOAD_FAILED);
    let spool: u64 = spooled(&bench)
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert!(spool <= wanted.file_bytes, "{spool}");
    assert_eq!(bench.slots(), slots);
    server.endless.set(false);
    assert_eq!(agent.fetch_code(&server, &wanted), 0, "what came was good");
    assert!(server.given.borrow().iter().all(|count| *count <= 1));
}

#[test]
fn only_what_is_lacking_is_fetched() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let one = Recipe::new(1)
        .layer(7, 300_000)
        .layer(8, 300_000)
        .file("same");
    agent.apply(&one.build(&bench)).unwrap();
    let two = Recipe::new(2)
        .layer(7, 300_000)
        .layer(9, 100_000)
        .file("same")
        .build(&bench);
    let Ok(Reply::Plan(plan)) = agent.ask(Request::Plan {
        bundle: two.clone(),
    }) else {
        panic!()
    };
    assert!((100_000..110_000).contains(&plan.fetch_bytes), "{plan:?}");
    let (server, wanted) = (Server::with(&two), desired(&bench, &two));
    assert_eq!(agent.fetch_code(&server, &wanted), 0);
    let given = server.given_bytes();
    assert!(
        given <= plan.fetch_bytes + 4096 + 64 * 1024,
        "{given} for {plan:?}"
    );
    assert!(server.given.borrow().iter().all(|count| *count <= 1));
    assert_eq!(
        bench.running().into_iter().collect::<Vec<_>>(),
        [("db".to_owned(), 1), ("web".to_owned(), 2)]
    );
}

#[test]
fn a_layer_that_was_taken_to_be_there_is_fetched_when_it_is_wanted() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let layer = |seq| Recipe::new(seq).layer(7, 300_000);
    agent.apply(&layer(1).build(&bench)).unwrap();
    let two = layer(2).build(&bench);
    let head = bundle::read_head(&mut fs::File::open(&two).unwrap()).unwrap();
    let trust = bundle::TrustStore::load(&bench.config.keys_dir).unwrap();
    let bundle = bundle::verify(head, &trust).unwrap();
    let mut blobs = bundle.manifest().blobs.iter();
    let big = blobs.find(|blob| blob.plain_bytes == 300_000).unwrap();
    assert!(bench.fake.lose_layer(&big.plain));
    let (server, wanted) = (Server::with(&two), desired(&bench, &two));
    // The line breaks while the rest is fetched: it may pass, and nothing was stopped.
    server.breaks_after.set(Some(20_000));
    let failure = agent.fetch(&server, &wanted).unwrap_err();
    assert_eq!(failure.code, exit::DOWNLOAD_FAILED, "{failure:?}");
    assert_eq!(bench.running()["web"], 1);
    server.breaks_after.set(None);
    assert_eq!(agent.fetch_code(&server, &wanted), 0);
    assert!(server.given.borrow().iter().all(|count| *count <= 1));
    let results: Vec<_> = history(&agent).into_iter().map(|e| e.result).collect();
    assert_eq!(results, ["committed", "failed", "committed"]);
}

#[test]
fn a_stick_applied_meanwhile_supersedes() {
    let bench = Bench::new();
    let agent = bench.daemon();
    agent.apply(&Recipe::new(5).build(&bench)).unwrap();
    let six = Recipe::new(6).layer(1, 300_000).build(&bench);
    let (server, wanted) = (Server::with(&six), desired(&bench, &six));
    server.breaks_after.set(Some(100_000));
    let task = agent.begin_fetch(&server, &wanted);
    // It waits before it takes up the broken line.
    agent.settle();
    assert!(server.given_bytes() > 100_000 && !task.is_finished());
    assert_eq!(agent.apply_code(&Recipe::new(7).build(&bench)), 0);
    let (result, _) = agent.run(task);
    assert_ne!(result.unwrap_err().code, 0);
    assert_eq!(agent.app("shop").unwrap().version.as_deref(), Some("7.0"));
    assert_eq!(
        agent.fetch_code(&server, &wanted),
        exit::REFUSED,
        "older now"
    );
    the_next_good_one_applies(&bench, &agent);
}

#[test]
fn what_nobody_wants_any_longer_leaves_the_spool() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let begin = |recipe: Recipe| {
        let path = recipe.build(&bench);
        let (server, wanted) = (Server::with(&path), desired(&bench, &path));
        server.breaks_after.set(Some(4500));
        assert_eq!(agent.fetch_code(&server, &wanted), exit::DOWNLOAD_FAILED);
        wanted
    };
    let other = |m: &mut bundle::Manifest| m.app = "other".parse().unwrap();
    let one = begin(Recipe::new(1).layer(1, 50_000));
    let mine = begin(Recipe::new(1).layer(2, 50_000).edit(other));
    assert_eq!(spooled(&bench).len(), 2, "one for each app");
    let two = begin(Recipe::new(2).layer(3, 50_000));
    assert_eq!(spooled(&bench).len(), 2, "one for each app");
    let spool = bench.config.state_dir.join("spool");
    fs::write(spool.join("left-over.part"), "x").unwrap();
    agent
        .engine
        .keep_spooled(&[two.clone(), mine.clone(), one.clone()]);
    let name = |wanted: &Desired| spool.join(wanted.file.hex());
    assert!(name(&two).exists() && name(&mine).exists() && !name(&one).exists());
    agent.engine.keep_spooled(std::slice::from_ref(&mine));
    assert!(!name(&two).exists() && name(&mine).exists());
    assert!(spool.join("left-over.part").exists(), "not its own");
    agent.engine.keep_spooled(&[]);
    assert!(!name(&mine).exists());
}

#[test]
fn a_disk_that_fills_while_fetching_is_gone_on_with_once_it_is_freed() {
    for room in [0, 1, 100, 4096, 5000, 1_500_000, 2_400_123] {
        let mut bench = Bench::new();
        let left = Arc::new(AtomicU64::new(room));
        bench.vfs = Rc::new(SmallDisk(Arc::clone(&left)));
        let agent = bench.daemon();
        let path = Recipe::new(1).layer(1, 2_500_000).build(&bench);
        let (server, wanted) = (Server::with(&path), desired(&bench, &path));
        let slots = bench.slots();
        for _ in 0..2 {
            let failure = agent.fetch(&server, &wanted).unwrap_err();
            assert_eq!(failure.code, exit::NO_SPACE, "{room}: {failure:?}");
        }
        assert_eq!(bench.slots(), slots);
        left.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(agent.fetch_code(&server, &wanted), 0, "{room}");
        // The slice that did not fit came again, each time.
        assert!(
            server.given_bytes() <= wanted.file_bytes + 3 * 1000,
            "{room}"
        );
    }
}

#[test]
fn a_disk_that_is_too_small_is_noticed_before_the_payload() {
    let (bench, agent, server, wanted) = five_and_a_server_with_six();
    bench.host.free_bytes.set(1 << 20);
    assert_eq!(agent.fetch_code(&server, &wanted), exit::NO_SPACE);
    assert!(server.given_bytes() <= 4096);
    bench.host.free_bytes.set(u64::MAX);
    assert_eq!(agent.fetch_code(&server, &wanted), 0);
    assert!(server.given.borrow().iter().all(|count| *count <= 1));
}

#[test]
fn a_power_cut_loses_at_most_what_was_not_synced() {
    for cut_after in [3_000, 1_000_000, 5_000_000, 8_600_000] {
        let mut bench = Bench::new();
        let memory = Forgetful::with(bench.dir.path());
        bench.vfs = Rc::new(memory.clone());
        let path = Recipe::new(1).layer(1, 9_000_000).build(&bench);
        let (server, wanted) = (Server::with(&path), desired(&bench, &path));
        let agent = bench.daemon();
        server.stalls_after.set(Some(cut_after));
        let task = agent.begin_fetch(&server, &wanted);
        for _ in 0..cut_after / 500 + 1000 {
            agent.single_step();
        }
        assert!(server.given_bytes() >= cut_after && !task.is_finished());
        std::mem::forget(task);
        agent.kill();
        bench.fake.reboot();
        bench.host.boot.set(2);
        bench.host.forget_sleepers();
        memory.power_cut();
        server.stalls_after.set(None);
        let agent = bench.daemon();
        assert_eq!(agent.fetch_code(&server, &wanted), 0);
        let again = server.given_bytes() - wanted.file_bytes;
        assert!(again <= 4 * MIB + 5096, "{again} after {cut_after}");
    }
}

#[test]
fn killed_at_any_step_it_ends_with_one_complete_version_and_nothing_fetched_twice() {
    let mut steps = 0;
    loop {
        let (bench, agent, server, wanted) = five_and_a_server_with_six();
        let task = agent.begin_fetch(&server, &wanted);
        for _ in 0..steps {
            if task.is_finished() || !agent.single_step() {
                break;
            }
        }
        let over = task.is_finished();
        std::mem::forget(task);
        agent.kill();
        bench.host.forget_sleepers();
        let agent = bench.daemon();
        agent.pass_ms(600_000);
        let there = agent.app("shop").unwrap().version;
        let code = agent.fetch_code(&server, &wanted);
        let expected = if there.as_deref() == Some("6.0") {
            30
        } else {
            0
        };
        assert_eq!(code, expected, "after {steps} steps: {there:?}");
        assert_eq!(bench.running()["web"], 2, "after {steps} steps");
        assert!(server.given.borrow().iter().all(|count| *count <= 1));
        agent.engine.keep_spooled(std::slice::from_ref(&wanted));
        assert_eq!(spooled(&bench), [] as [PathBuf; 0], "after {steps} steps");
        if over {
            break;
        }
        steps += 1;
    }
    assert!(steps > 20, "{steps}");
}

#[test]
fn a_spool_that_rotted_or_has_holes_is_filled_again() {
    let bench = Bench::new();
    let agent = bench.daemon();
    let path = Recipe::new(1).layer(1, 3_500_000).build(&bench);
    let (server, wanted) = (Server::with(&path), desired(&bench, &path));
    server.breaks_after.set(Some(3_200_000));
    let stuck = Cell::new(0);
    // Only the first break is of interest.
    let task = agent.begin_fetch(&server, &wanted);
    while server.given_bytes() < 3_200_000 {
        agent.single_step();
        stuck.set(stuck.get() + 1);
        assert!(stuck.get() < 100_000);
    }
    drop(task);
    server.breaks_after.set(None);
    let spool = bench.config.state_dir.join("spool").join(wanted.file.hex());
    let mut bytes = fs::read(&spool).unwrap();
    bytes[1_200_000] ^= 1;
    let hole = bytes.len() - 200_000;
    bytes[2_000_000..2_050_000].fill(0);
    fs::write(&spool, &bytes).unwrap();
    assert!(hole > 2_050_000);
    assert_eq!(agent.fetch_code(&server, &wanted), 0);
    let again = server.given_bytes() - wanted.file_bytes;
    assert!(again > 0 && again <= 2 * MIB + 2000, "{again}");
}
