//! The contract suite on SQLite, and what only a file on a disk has: crashes, steps, other programs.

use tempfile::TempDir;

use super::*;
use crate::store::StoreError;
use crate::store::contract::{self, NOW, contract, enroll, id, kiosk, publish, runs, start};

async fn open() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("relay.db")).await;
    (store.unwrap(), folder)
}

contract! { open:
    a_token_used_by_1000_at_once_makes_one_device
    a_device_whose_answer_was_lost_enrols_once_more
    a_token_that_is_unknown_expired_or_revoked_makes_no_device
    an_id_that_another_key_has_is_not_taken_over
    a_known_device_with_a_new_token_gets_its_labels
    an_operators_token_is_found_by_its_hash_until_it_ends
    a_secret_is_made_once
    the_audit_log_is_read_page_by_page
    a_device_is_seen_as_it_last_said
    an_unknown_or_removed_device_is_told_nothing
    labels_of_operators_win_and_go_away_again
    values_must_fit_the_schema_and_secrets_are_not_shown
    values_of_a_device_have_a_bound
    a_report_sent_again_is_stored_once
    one_report_sent_by_many_at_once_is_stored_once
    a_device_that_reports_without_end_fills_no_disk
    a_bundle_is_published_once_and_its_seq_is_its_own
    a_rollout_reaches_each_device_and_succeeds
    a_failed_update_leaves_the_last_good_version_wanted
    a_newer_rollout_supersedes_what_is_pending
    an_aborted_rollout_reaches_nobody_else
    a_device_that_comes_later_joins_the_newest_rollout
    devices_that_a_release_does_not_fit_are_named
    a_device_that_a_technician_brought_further_holds_nothing_up
    a_device_that_runs_it_already_has_succeeded_at_the_start
    a_removed_device_holds_no_rollout_up
    each_action_is_remembered
}

/// What was acknowledged is in the file as it lies there, without the process that wrote it having
/// closed anything: a copy of it is what a power cut leaves.
#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let (store, folder) = open().await;
    publish(&store, &kiosk(1)).await;
    enroll(&store, "a", &[("site", "rome")]).await;
    let rollout = start(&store, 1, "all").await;
    contract::check_in(&store, "a", &[runs(&kiosk(1))]).await;
    let after = tempfile::tempdir().unwrap();
    for name in ["relay.db", "relay.db-wal"] {
        std::fs::copy(folder.path().join(name), after.path().join(name)).unwrap();
    }
    let again = SqliteStore::open(&after.path().join("relay.db"))
        .await
        .unwrap();
    assert_eq!(again.device_key(&id("a")).await.unwrap(), Some([1; 32]));
    assert!(again.has_file(&kiosk(1).file).await.unwrap());
    assert_eq!(contract::stand(&again, rollout).await.0, "succeeded");
    let detail = again.device(&id("a")).await.unwrap().unwrap();
    assert_eq!(detail.device.labels["site"], "rome");
    assert_eq!(*again.changes().borrow(), *store.changes().borrow());
    again.close().await;
    store.close().await;
}

/// When a device was seen is written late, but not later than the end.
#[tokio::test]
async fn what_was_put_off_is_written_at_the_end() {
    let (store, folder) = open().await;
    enroll(&store, "a", &[]).await;
    contract::check_in(&store, "a", &[]).await;
    store.close().await;
    assert!(matches!(
        store.audit_page(None, 1).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.secret("x", [0; 32]).await,
        Err(StoreError::Closed)
    ));
    let again = SqliteStore::open(&folder.path().join("relay.db"))
        .await
        .unwrap();
    let device = again.device(&id("a")).await.unwrap().unwrap().device;
    assert_eq!(device.last_seen, Some(bundle::Utc(NOW).to_string()));
    again.close().await;
}

/// The constraint of the database, not the program before it, makes a token good for one device.
#[tokio::test]
async fn the_database_itself_refuses_a_second_device_of_a_token() {
    let (store, _folder) = open().await;
    enroll(&store, "a", &[]).await;
    let second = store.writer.run(|tx| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO devices (id, public_key, enroll_token, token_labels, labels, facts,
                                      apps, said, enrolled_at)
                 SELECT 'b', public_key, enroll_token, token_labels, labels, facts, apps, said,
                        enrolled_at FROM devices",
            )
            .execute(&mut tx.conn)
            .await?;
            Ok(())
        })
    });
    let error = second.await.unwrap_err().to_string();
    assert!(
        error.contains("UNIQUE constraint failed: devices.enroll_token"),
        "{error}"
    );
    assert_eq!(store.devices(None).await.unwrap().len(), 1);
}

/// One job of a transaction that fails takes nothing of the others with it, and its own half is
/// undone.
#[tokio::test]
async fn a_write_that_fails_in_the_middle_leaves_nothing_and_harms_no_other() {
    let (store, _folder) = open().await;
    let broken = store.writer.run::<(), _>(|tx| {
        Box::pin(async move {
            secret(tx, "half", [1; 32]).await?;
            tx.changed();
            Err(StoreError::Corrupt("on purpose"))
        })
    });
    let (broken, good) = tokio::join!(broken, store.secret("whole", [2; 32]));
    assert!(matches!(broken, Err(StoreError::Corrupt("on purpose"))));
    assert_eq!(good.unwrap(), [2; 32]);
    assert!(!store.changes().has_changed().unwrap());
    assert_eq!(store.secret("half", [3; 32]).await.unwrap(), [3; 32]);
}

/// A full disk: an error that says so, nothing lost, and it works again when there is room. SQLite's
/// own bound on the file plays the disk.
#[tokio::test]
async fn a_full_disk_is_told_and_passes() {
    let (store, _folder) = open().await;
    enroll(&store, "a", &[]).await;
    let pages = async |sql: &'static str| {
        let limit = store.writer.run(move |tx| {
            Box::pin(async move {
                sqlx::query(sql).execute(&mut tx.conn).await?;
                Ok(())
            })
        });
        limit.await.unwrap();
    };
    // No page more than there is.
    pages("PRAGMA max_page_count = 1").await;
    let mut full = None;
    for i in 0..200 {
        let entry = Entry::failed(
            NOW,
            &By::relay(),
            crate::domain::audit::Action::Publish,
            i,
            "x".repeat(900),
        );
        if let Err(error) = store.audit(entry).await {
            full = Some(error);
            break;
        }
    }
    let full = full.expect("the file grew over its bound");
    assert!(matches!(full, StoreError::Full), "{full:?}");
    assert!(full.to_string().contains("make room"));
    // Reading goes on, and check-ins that say nothing new.
    assert_eq!(store.devices(None).await.unwrap().len(), 1);
    pages("PRAGMA max_page_count = 1000000").await;
    publish(&store, &kiosk(1)).await;
    assert_eq!(start(&store, 1, "all").await, 1);
}

#[tokio::test]
async fn a_database_is_opened_again_and_one_of_a_newer_relay_is_refused() {
    let (store, folder) = open().await;
    let path = folder.path().join("relay.db");
    enroll(&store, "a", &[]).await;
    store.close().await;
    let again = SqliteStore::open(&path).await.unwrap();
    assert_eq!(again.devices(None).await.unwrap().len(), 1);
    let newer = again.writer.run(|tx| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO _sqlx_migrations
                 SELECT 999, 'newer', installed_on, success, checksum, execution_time
                 FROM _sqlx_migrations WHERE version = 1",
            )
            .execute(&mut tx.conn)
            .await?;
            Ok(())
        })
    });
    newer.await.unwrap();
    again.close().await;
    let Err(error) = SqliteStore::open(&path).await else {
        panic!("a database of a newer relay was opened");
    };
    assert!(matches!(error, StoreError::Migration(_)), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.db");
    std::fs::write(
        &path,
        "not a database, but long enough to look like one ".repeat(100),
    )
    .unwrap();
    assert!(SqliteStore::open(&path).await.is_err());
}
