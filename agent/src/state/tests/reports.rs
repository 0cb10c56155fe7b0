//! The spool of reports: its bounds, and what a crash or a bad disk leaves of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use relay_api::device::{REPORT_BYTES_MAX, ReportKey};

use super::{BadDisk, Fate, Forgetful, Harm};
use crate::state::reports::{REPORTS_MAX, SPOOL_BYTES_MAX};
use crate::state::vfs::{RealVfs, Vfs};
use crate::state::{Importance, Reports};

const HEALTH: Importance = Importance::Health;
const EXIT: Importance = Importance::Exit;
const UPDATE: Importance = Importance::Update;

fn key(n: usize) -> ReportKey {
    ReportKey::of(&n.to_le_bytes())
}

fn body(n: usize) -> Vec<u8> {
    format!("report {n}").into_bytes()
}

fn open(dir: &Path) -> Reports {
    Reports::open(Rc::new(RealVfs), dir.to_path_buf(), true)
}

fn add(spool: &Reports, importance: Importance, n: usize) {
    spool.add(importance, key(n), body(n)).unwrap();
}

/// Takes everything out as a delivery does.
fn drain(spool: &Reports) -> Vec<(ReportKey, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some((key, body)) = spool.oldest() {
        spool.remove(&key);
        all.push((key, body));
    }
    all
}

fn keys(spool: &Reports) -> Vec<ReportKey> {
    drain(spool).into_iter().map(|(key, _)| key).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    RealVfs.list(dir).unwrap()
}

#[test]
fn reports_come_out_in_order_and_outlive_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    for n in 0..20 {
        add(&spool, [UPDATE, HEALTH, EXIT][n % 3], n);
    }
    let spool = open(dir.path());
    assert_eq!(spool.count(), 20);
    let expected: Vec<_> = (0..20).map(|n| (key(n), body(n))).collect();
    assert_eq!(drain(&spool), expected);
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn the_first_report_with_a_key_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    add(&spool, UPDATE, 1);
    let before = files(dir.path());
    spool.add(UPDATE, key(1), b"told anew".to_vec()).unwrap();
    open(dir.path())
        .add(UPDATE, key(1), b"told anew".to_vec())
        .unwrap();
    assert_eq!(files(dir.path()), before);
    assert_eq!(drain(&spool), [(key(1), body(1))]);
}

#[test]
fn too_many_reports_push_out_the_oldest_of_the_least_important() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    for n in 0..REPORTS_MAX {
        add(&spool, [UPDATE, EXIT, HEALTH, HEALTH][n % 4], n);
    }
    // As many as there are changes of health: these go.
    for n in 1000..1128 {
        add(&spool, EXIT, n);
    }
    let mut expected: Vec<_> = (0..REPORTS_MAX).filter(|n| n % 4 < 2).map(key).collect();
    expected.extend((1000..1128).map(key));
    assert_eq!(files(dir.path()).len(), REPORTS_MAX);
    // No room for a change of health now; an update pushes the oldest exit out.
    add(&spool, HEALTH, 2000);
    add(&spool, UPDATE, 2001);
    expected.retain(|known| *known != key(1));
    expected.push(key(2001));
    assert_eq!(keys(&open(dir.path())), expected);
}

#[test]
fn a_spool_full_of_updates_drops_the_oldest_and_takes_no_exit() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    for n in 0..REPORTS_MAX + 10 {
        add(&spool, UPDATE, n);
    }
    add(&spool, EXIT, 1000);
    let expected: Vec<_> = (10..REPORTS_MAX + 10).map(key).collect();
    assert_eq!(keys(&spool), expected);
}

#[test]
fn too_many_bytes_push_reports_out_and_one_too_large_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let large = |n: u8| vec![n; REPORT_BYTES_MAX - 1000];
    for n in 0..9 {
        spool.add(UPDATE, key(usize::from(n)), large(n)).unwrap();
        let bytes: u64 = files(dir.path())
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum();
        assert!(bytes <= SPOOL_BYTES_MAX as u64, "{bytes}");
    }
    let error = spool.add(UPDATE, key(10), vec![0; REPORT_BYTES_MAX + 1]);
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    let expected: Vec<_> = (5..9).map(|n| (key(usize::from(n)), large(n))).collect();
    assert_eq!(drain(&open(dir.path())), expected);
}

#[test]
fn damaged_and_foreign_files_are_removed_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    for n in 0..5 {
        add(&spool, UPDATE, n);
    }
    let names = files(dir.path());
    let damage = |path: &Path, edit: fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).unwrap();
        edit(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    damage(&names[0], |bytes| bytes[35] ^= 1);
    damage(&names[1], |bytes| bytes.truncate(31));
    damage(&names[2], |bytes| bytes.push(0));
    let twice = names[3].to_str().unwrap().replace("0004-", "0009-");
    fs::copy(&names[3], twice).unwrap();
    for foreign in [
        "notes.txt",
        "4-update-00000000000000000000000000000000",
        "0000000000000004-gossip-00000000000000000000000000000000",
        "0000000000000004-update-0.part",
    ] {
        fs::write(dir.path().join(foreign), b"x").unwrap();
    }
    let reader = Reports::open(Rc::new(RealVfs), dir.path().to_path_buf(), false);
    assert_eq!(reader.count(), 2);
    assert_eq!(files(dir.path()).len(), 10, "a reader removes nothing");
    let spool = open(dir.path());
    assert_eq!(files(dir.path()), names[3..]);
    // One that rots while the agent runs does not stop those after it.
    damage(&names[3], |bytes| bytes[39] ^= 1);
    assert_eq!(drain(&spool), [(key(4), body(4))]);
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

/// Adds and removes reports on a disk that comes to harm at its n-th operation and has then
/// forgotten what nobody synced. Says whether the harm was reached.
fn crash_at(nth: u64, harm: Harm) -> bool {
    let folder = Path::new("/state/reports");
    let memory = Forgetful::with(folder);
    let fate = Rc::new(Fate::default());
    fate.at.set(nth);
    fate.harm.set(Some(harm));
    let disk = BadDisk(Rc::clone(&fate), Rc::new(memory.clone()));
    let spool = Reports::open(Rc::new(disk), folder.to_path_buf(), true);
    let mut kept = Vec::new();
    for n in 0..3 {
        if spool.add(UPDATE, key(n), body(n)).is_ok() {
            kept.push(n);
        }
    }
    // Delivered: it may come back, to be delivered again.
    spool.remove(&key(0));
    if spool.add(EXIT, key(3), body(3)).is_ok() {
        kept.push(3);
    }
    memory.power_cut();
    let spool = Reports::open(Rc::new(memory.clone()), folder.to_path_buf(), true);
    let place = format!("{harm:?} at {nth}");
    let names = memory.list(folder).unwrap();
    assert!(
        names.iter().all(|name| name.extension().is_none()),
        "{place}: {names:?}"
    );
    let found = drain(&spool);
    for n in kept.into_iter().filter(|n| *n > 0) {
        assert!(found.contains(&(key(n), body(n))), "{place}: {n} is lost");
    }
    for (found, bytes) in found {
        let n = (0..4).find(|n| key(*n) == found);
        assert_eq!(n.map(body), Some(bytes), "{place}: not as it was written");
    }
    fate.fired.get() > 0
}

#[test]
fn an_added_report_survives_a_crash_at_any_operation() {
    for harm in [
        Harm::Torn,
        Harm::Forever(io::ErrorKind::Other),
        Harm::Once(io::ErrorKind::Other),
    ] {
        let mut nth = 1;
        while crash_at(nth, harm) {
            nth += 1;
        }
        assert!(nth > 20, "only {nth} operations");
    }
}

#[test]
fn on_a_full_disk_reports_wait_in_memory_until_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let fate = Rc::new(Fate::default());
    let disk = || BadDisk(Rc::clone(&fate), Rc::new(RealVfs));
    let spool = Reports::open(Rc::new(disk()), dir.path().to_path_buf(), true);
    add(&spool, UPDATE, 0);
    fate.at.set(1);
    fate.harm
        .set(Some(Harm::Forever(io::ErrorKind::StorageFull)));
    for n in 1..3 {
        let full = spool.add(UPDATE, key(n), body(n)).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }
    assert!(spool.add(EXIT, key(3), body(3)).is_err());
    spool.write_held();
    assert_eq!(spool.count(), 4, "still there");
    assert_eq!(files(dir.path()).len(), 1);
    assert!(fate.fired.get() > 0);
    // Those in memory are bounded, too: the least important goes.
    assert!(spool.add(UPDATE, key(4), body(4)).is_err());
    assert!(spool.add(UPDATE, key(5), body(5)).is_err());
    assert_eq!(spool.count(), 5);
    fate.harm.set(None);
    spool.write_held();
    let expected = [0, 1, 2, 4, 5].map(|n| (key(n), body(n)));
    assert_eq!(drain(&open(dir.path())), expected);
}

/// A disk without room for another file until one is removed.
struct Cramped(Rc<dyn Vfs>, std::cell::Cell<bool>);

impl Vfs for Cramped {
    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn crate::state::vfs::VfsFile>> {
        self.0.open(path, write)
    }
    fn create(&self, path: &Path, mode: u32) -> io::Result<Box<dyn crate::state::vfs::VfsFile>> {
        if self.1.get() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.create(path, mode)
    }
    fn open_shared(
        &self,
        path: &Path,
        mode: u32,
    ) -> io::Result<std::sync::Arc<dyn crate::state::vfs::SharedFile>> {
        self.0.open_shared(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.0.open(path, false).is_ok() {
            self.1.set(false);
        }
        self.0.remove(path)
    }
    fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        self.0.set_owner(path, uid, gid)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.list(path)
    }
}

#[test]
fn on_a_full_disk_an_update_takes_the_place_of_less_important_reports() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Rc::new(Cramped(Rc::new(RealVfs), std::cell::Cell::new(false)));
    let spool = Reports::open(
        Rc::clone(&disk) as Rc<dyn Vfs>,
        dir.path().to_path_buf(),
        true,
    );
    for (n, importance) in [UPDATE, EXIT, HEALTH].into_iter().enumerate() {
        add(&spool, importance, n);
    }
    disk.1.set(true);
    add(&spool, UPDATE, 3);
    disk.1.set(true);
    add(&spool, UPDATE, 4);
    disk.1.set(true);
    assert!(spool.add(UPDATE, key(5), body(5)).is_err());
    let on_disk = keys(&open(dir.path()));
    assert_eq!(on_disk, [0, 3, 4].map(key));
}
