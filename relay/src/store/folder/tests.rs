//! Taking files in: good ones, damaged ones, and what crashes leave.

use std::io::Write as _;

use tempfile::TempDir;

use super::*;
use crate::store::contract::{NOW, ada, kiosk};
use crate::store::sqlite::SqliteStore;

/// A bundle that `RELEASE` signed.
const BUNDLE: &[u8] = include_bytes!("../../../../bundle/tests/golden/kiosk.bin");
const RELEASE: &str = include_str!("../../../../bundle/tests/golden/release.pub");
const OTHER: &str = include_str!("../../../../bundle/tests/golden/other.pub");

struct Place {
    data: TempDir,
    store: SqliteStore,
    folder: BundleFolder,
}

impl Place {
    async fn new(trust: Option<&str>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&data.path().join("relay.db")).await;
        let trust = trust.map(|key| TrustStore::from_keys(vec![(None, key.to_string())]).unwrap());
        let folder = BundleFolder::open(data.path(), trust, 1 << 20).unwrap();
        Self {
            store: store.unwrap(),
            folder,
            data,
        }
    }

    async fn publish(&self, file: &[u8]) -> Result<PublishOutcome, PublishError> {
        let mut incoming = self.folder.receive().await?;
        for chunk in file.chunks(1000) {
            incoming = incoming.write(chunk.to_vec()).await?;
        }
        publish(&self.store, incoming, &ada(), NOW).await
    }

    /// How many files there are in `bundles` and in `incoming`.
    fn files(&self) -> (usize, usize) {
        let count = |name| fs::read_dir(self.data.path().join(name)).unwrap().count();
        (count("bundles"), count("incoming"))
    }

    /// What was refused must leave nothing, and the next good one must work.
    async fn still_works(&self) {
        assert_eq!(self.files(), (0, 0));
        assert!(self.store.releases(None).await.unwrap().is_empty());
        let outcome = self.publish(BUNDLE).await.unwrap();
        assert!(matches!(outcome, PublishOutcome::New { .. }), "{outcome:?}");
        assert_eq!(self.files(), (1, 0));
    }
}

#[tokio::test]
async fn a_good_bundle_is_published_once_and_can_be_read() {
    let place = Place::new(None).await;
    place.still_works().await;
    let again = place.publish(BUNDLE).await.unwrap();
    let PublishOutcome::Known(bundle) = again else {
        panic!("{again:?}");
    };
    assert_eq!(place.files(), (1, 0));
    let file = Digest::of(BUNDLE);
    assert_eq!(
        (bundle.file, bundle.bytes),
        (file.to_string(), BUNDLE.len() as u64)
    );
    assert_eq!(bundle.keys.len(), 1);
    let (read, bytes) = place.folder.read(&file).await.unwrap().unwrap();
    assert_eq!(bytes, BUNDLE.len() as u64);
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut &read, &mut content).unwrap();
    assert!(content == BUNDLE);
    assert!(
        place
            .folder
            .read(&Digest::of(b"x"))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_damaged_bundle_is_refused_and_leaves_nothing() {
    let place = Place::new(None).await;
    let flipped = |at: usize| {
        let mut file = BUNDLE.to_vec();
        file[at] ^= 1;
        file
    };
    let longer = [BUNDLE, b"x"].concat();
    for (why, file, clause) in [
        ("empty", vec![], "B3"),
        ("no bundle", b"hello, this is no bundle".to_vec(), "B1"),
        ("another version", flipped(7), "B2"),
        ("cut in the head", BUNDLE[..100].to_vec(), "B3"),
        (
            "cut in the payload",
            BUNDLE[..BUNDLE.len() - 1].to_vec(),
            "B70",
        ),
        ("longer", longer, "B70"),
        ("a bit of the payload", flipped(BUNDLE.len() - 1), "B71"),
    ] {
        let error = place.publish(&file).await.unwrap_err();
        let PublishError::Folder(FolderError::Refused(refused)) = error else {
            panic!("{why}: {error:?}");
        };
        let found = refused.clause();
        assert!(
            found == clause || (clause, found) == ("B71", "B72"),
            "{why}: {found}"
        );
    }
    place.still_works().await;
}

#[tokio::test]
async fn a_bundle_of_a_foreign_key_is_refused_where_the_relay_has_keys() {
    let place = Place::new(Some(OTHER)).await;
    let error = place.publish(BUNDLE).await.unwrap_err();
    assert!(
        matches!(&error, PublishError::Folder(FolderError::Refused(r)) if r.clause() == "B8"),
        "{error:?}"
    );
    assert_eq!(place.files(), (0, 0));
    Place::new(Some(RELEASE)).await.still_works().await;
}

#[tokio::test]
async fn an_endless_upload_ends_at_the_bound() {
    let place = Place::new(None).await;
    let mut incoming = place.folder.receive().await.unwrap();
    let chunk = vec![0; 300_000];
    for _ in 0..3 {
        incoming = incoming.write(chunk.clone()).await.unwrap();
    }
    let error = incoming.write(chunk).await.unwrap_err();
    assert!(
        matches!(error, FolderError::TooLarge(bytes) if bytes == 1 << 20),
        "{error}"
    );
    place.still_works().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let place = Place::new(None).await;
    let incoming = place.folder.receive().await.unwrap();
    let incoming = incoming.write(BUNDLE[..500].to_vec()).await.unwrap();
    assert_eq!(place.files(), (0, 1));
    drop(incoming);
    place.still_works().await;
}

#[tokio::test]
async fn what_a_kill_left_on_the_way_goes_at_the_next_start() {
    let place = Place::new(None).await;
    place.still_works().await;
    let left = place.data.path().join("incoming").join(".tmpleft");
    fs::write(&left, &BUNDLE[..700]).unwrap();
    let folder = BundleFolder::open(place.data.path(), None, 1 << 20).unwrap();
    assert_eq!(place.files(), (1, 0));
    assert!(folder.read(&Digest::of(BUNDLE)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_kill_between_file_and_row_is_healed_by_publishing_again() {
    let place = Place::new(None).await;
    let incoming = place.folder.receive().await.unwrap();
    let incoming = incoming.write(BUNDLE.to_vec()).await.unwrap();
    incoming.check().await.unwrap().keep().await.unwrap();
    assert_eq!(place.files(), (1, 0));
    assert!(!place.store.has_file(&Digest::of(BUNDLE)).await.unwrap());
    let outcome = place.publish(BUNDLE).await.unwrap();
    assert!(matches!(outcome, PublishOutcome::New { .. }), "{outcome:?}");
    assert!(place.store.has_file(&Digest::of(BUNDLE)).await.unwrap());
    assert_eq!(place.files(), (1, 0));
}

#[tokio::test]
async fn a_rival_of_a_published_bundle_leaves_no_file() {
    let place = Place::new(None).await;
    let incoming = place.folder.receive().await.unwrap();
    let incoming = incoming.write(BUNDLE.to_vec()).await.unwrap();
    let checked = incoming.check().await.unwrap();
    let mut rival = kiosk(1);
    rival.app = checked.bundle().app.clone();
    rival.seq = checked.bundle().seq;
    rival.target = checked.bundle().target.clone();
    drop(checked);
    place.store.publish(rival, &ada(), NOW).await.unwrap();
    let outcome = place.publish(BUNDLE).await.unwrap();
    assert!(
        matches!(outcome, PublishOutcome::SeqTaken { .. }),
        "{outcome:?}"
    );
    assert_eq!(place.files(), (0, 0));
}

/// The kernel's own full device.
#[test]
fn a_full_disk_is_told_as_such() {
    let path = Path::new("/dev/full");
    let mut full = fs::OpenOptions::new().write(true).open(path).unwrap();
    let error = full.write_all(b"x").unwrap_err();
    let error = FolderError::io(path)(error);
    assert!(matches!(error, FolderError::Full), "{error:?}");
    assert!(error.to_string().contains("make room"));
}
