//! Tests of what lies on the disk.

mod bad_disk;
mod forgetful;
mod reports;

use std::fs;
use std::path::Path;
use std::rc::Rc;

use agent_core::{AppState, GenerationId};
use bundle::Digest;

use super::vfs::RealVfs;
use super::*;
use crate::api::HistoryView;
pub(crate) use bad_disk::{BadDisk, Fate, Harm};
pub(crate) use forgetful::Forgetful;

const BINDING: [u8; 32] = [7; 32];

fn open(dir: &Path) -> StateFile {
    match StateFile::open(Rc::new(RealVfs), dir, &[BINDING], true).unwrap() {
        Opened::Good(file) => file,
        Opened::Fresh(mut file) => {
            file.create().unwrap();
            file
        }
        Opened::Lost(_) => panic!("lost"),
    }
}

fn slots(dir: &Path) -> [Vec<u8>; 2] {
    ["state.a", "state.b"].map(|slot| fs::read(dir.join(slot)).unwrap())
}

/// Commits an app with this floor.
fn commit(file: &mut StateFile, seq_floor: u64, generation: u32) {
    let mut record = file.record().clone();
    let mut app = AppState::new("shop".parse().unwrap());
    (app.seq_floor, app.next_generation) = (seq_floor, GenerationId(generation));
    record.set(app).unwrap();
    file.commit(record).unwrap();
}

fn floor(file: &StateFile) -> u64 {
    file.record()
        .app(&"shop".parse().unwrap())
        .unwrap()
        .seq_floor
}

#[test]
fn a_commit_overwrites_the_older_slot_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = open(dir.path());
    commit(&mut file, 0, 2);
    let before = slots(dir.path());
    commit(&mut file, 0, 3);
    let after = slots(dir.path());
    let changed = [before[0] != after[0], before[1] != after[1]];
    assert_ne!(changed[0], changed[1], "{changed:?}");
    commit(&mut file, 0, 3);
    assert_eq!(slots(dir.path()), after, "the same facts are not written");
    assert!(after.iter().all(|slot| slot.len() == 4096));
    assert_eq!(open(dir.path()).record(), file.record());
}

#[test]
fn a_floor_survives_the_loss_of_either_slot() {
    for rotten in ["state.a", "state.b"] {
        let dir = tempfile::tempdir().unwrap();
        let mut file = open(dir.path());
        commit(&mut file, 4, 2);
        commit(&mut file, 5, 2);
        let path = dir.path().join(rotten);
        let mut bytes = fs::read(&path).unwrap();
        bytes[200] ^= 1;
        fs::write(&path, bytes).unwrap();
        let mut file = open(dir.path());
        assert_eq!(floor(&file), 5, "{rotten}");
        // And the rotten one has been repaired.
        assert_eq!(floor(&open(dir.path())), 5);
        commit(&mut file, 6, 2);
        assert_eq!(floor(&open(dir.path())), 6);
    }
}

#[test]
fn both_slots_damaged_is_lost_and_another_binding_a_clone() {
    let dir = tempfile::tempdir().unwrap();
    commit(&mut open(dir.path()), 1, 2);
    let open = |binding| StateFile::open(Rc::new(RealVfs), dir.path(), &[binding], true);
    assert!(matches!(open([8; 32]), Err(StateError::Clone)));
    for slot in ["state.a", "state.b"] {
        fs::write(dir.path().join(slot), [1; 4096]).unwrap();
    }
    let before = slots(dir.path());
    assert!(matches!(open(BINDING), Ok(Opened::Lost(_))));
    assert_eq!(slots(dir.path()), before, "evidence stays");
}

#[test]
fn a_reader_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("state");
    let opened = StateFile::open(Rc::new(RealVfs), &inner, &[BINDING], false);
    let Ok(Opened::Fresh(mut file)) = opened else {
        panic!()
    };
    let record = file.record().clone();
    assert!(matches!(file.commit(record), Err(StateError::ReadOnly)));
    assert!(!inner.exists());
}

#[test]
fn one_agent_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let held = Lock::take(dir.path()).unwrap();
    match Lock::take(dir.path()) {
        Err(LockError::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
        _ => panic!("two locks"),
    }
    drop(held);
    assert!(Lock::take(dir.path()).is_ok());
}

#[test]
fn the_history_is_bounded_and_outlives_rubbish() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.jsonl");
    let history = History::new(Rc::new(RealVfs), path.clone());
    let entry = |seq| HistoryView {
        at: "2026-01-01T00:00:00Z".into(),
        app: "shop".into(),
        version: "1".into(),
        seq,
        generation: None,
        result: "refused".into(),
        cause: Some("é".repeat(2000)),
    };
    for seq in 0..300 {
        history.add(entry(seq)).unwrap();
    }
    let entries = history.entries();
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (44..300).collect::<Vec<_>>());
    assert!(
        entries
            .iter()
            .all(|entry| entry.cause.as_ref().unwrap().len() <= 1024)
    );
    fs::write(&path, b"\xff rubbish\n{}\n").unwrap();
    assert!(history.entries().is_empty());
    history.add(entry(1)).unwrap();
    assert_eq!(history.entries().len(), 1);
}

#[test]
fn objects_and_intents_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::new(Rc::new(RealVfs), dir.path().join("objects"));
    let name = Digest::of(b"content");
    assert_eq!(objects.get(&name).unwrap(), None);
    objects.put(&name, b"content").unwrap();
    assert_eq!(objects.get_content(&name).unwrap().unwrap(), b"content");
    assert_eq!(objects.names().unwrap(), [name]);
    fs::write(dir.path().join("objects").join(name.hex()), b"contend").unwrap();
    assert!(objects.get_content(&name).is_err());
    // Damaged ones are written anew, absent ones removed in peace.
    objects.put(&name, b"content").unwrap();
    assert!(objects.get_content(&name).is_ok());
    objects.remove(&name).unwrap();
    objects.remove(&name).unwrap();

    let intents = Intents::new(Rc::new(RealVfs), dir.path().join("staging"));
    let app = "shop".parse().unwrap();
    let intent = Intent {
        generation: GenerationId(4),
        bundle: name,
    };
    intents.begin(&app, intent).unwrap();
    assert_eq!(intents.open().unwrap(), [(app.clone(), intent)]);
    intents.end(&app).unwrap();
    assert!(intents.open().unwrap().is_empty());
}
