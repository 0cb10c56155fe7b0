//! Releases and rollouts: what each device shall run, and how it went.

use relay_api::device::UpdateResult;

use super::reports::{put, updated};
use super::*;
pub(in crate::store) async fn a_bundle_is_published_once_and_its_seq_is_its_own(store: &dyn Store) {
    let one = kiosk(5);
    publish(store, &one).await;
    let again = store.publish(one.clone(), &ada(), NOW + 9).await.unwrap();
    assert!(matches!(again, PublishOutcome::Known(bundle) if bundle.published_at.ends_with("00Z")));
    assert!(store.has_file(&one.file).await.unwrap());

    let mut rival = kiosk(5);
    rival.file = Digest::of(b"rival");
    rival.digest = Digest::of(b"rival manifest");
    let taken = PublishOutcome::SeqTaken {
        version: "5.0".to_string(),
        digest: one.digest.to_string(),
    };
    assert_eq!(store.publish_check(&rival).await.unwrap(), taken);
    assert_eq!(
        store.publish(rival.clone(), &ada(), NOW).await.unwrap(),
        taken
    );
    assert!(!store.has_file(&rival.file).await.unwrap());
    // The same manifest signed by another key, and another target: no rivals.
    let mut signed_again = kiosk(5);
    signed_again.file = Digest::of(b"signed again");
    publish(store, &signed_again).await;
    rival.target.arch = Arch::Arm64;
    publish(store, &rival).await;
    // An older one is allowed, and told.
    let older = store.publish(kiosk(4), &ada(), NOW).await.unwrap();
    assert!(
        matches!(
            older,
            PublishOutcome::New {
                newest: Some(5),
                ..
            }
        ),
        "{older:?}"
    );

    let releases = store
        .releases(Some(&"kiosk".parse().unwrap()))
        .await
        .unwrap();
    let brief: Vec<_> = releases
        .iter()
        .map(|r| (&*r.version, r.bundles.len()))
        .collect();
    assert_eq!(brief, [("4.0", 1), ("5.0", 3)]);
    assert_eq!(store.releases(None).await.unwrap(), releases);
    assert!(
        store
            .releases(Some(&"other".parse().unwrap()))
            .await
            .unwrap()
            .is_empty()
    );
}

pub(in crate::store) async fn a_rollout_reaches_each_device_and_succeeds(store: &dyn Store) {
    for device in ["a", "b"] {
        enroll(store, device, &[("site", "rome")]).await;
    }
    enroll(store, "c", &[]).await;
    let v1 = kiosk(1);
    publish(store, &v1).await;
    assert_eq!(brief(&check_in(store, "a", &[]).await), []);
    let mut changes = store.changes();
    changes.mark_unchanged();
    let r = start(store, 1, "site=rome").await;
    assert!(changes.has_changed().unwrap());
    let wants = check_in(store, "a", &[]).await;
    assert_eq!(brief(&wants), [(r, 1)]);
    assert_eq!((wants[0].bundle, wants[0].file), (v1.digest, v1.file));
    assert_eq!(brief(&check_in(store, "c", &[]).await), []);
    let wanted = async |device: &str| {
        let device = store.device(&id(device)).await.unwrap().unwrap().device;
        (
            device.apps[0].state.clone(),
            device.apps[0].wanted.clone().unwrap().state,
        )
    };
    assert_eq!(
        wanted("a").await,
        ("pending".to_string(), "pending".to_string())
    );
    assert_eq!(brief(&check_in(store, "a", &[runs(&v1)]).await), [(r, 1)]);
    assert_eq!(
        wanted("a").await,
        ("running".to_string(), "succeeded".to_string())
    );
    assert_eq!(
        stand(store, r).await,
        (
            "running".to_string(),
            vec!["a succeeded".to_string(), "b pending".to_string()]
        )
    );
    // A report of the commit is as good as a check-in.
    put(store, "b", 1, &updated(&v1, UpdateResult::Committed)).await;
    assert_eq!(stand(store, r).await.0, "succeeded");
    assert_eq!(store.rollouts(None).await.unwrap().len(), 1);
    assert!(
        store
            .rollouts(Some(&"other".parse().unwrap()))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.rollout(99).await.unwrap().is_none());
}

pub(in crate::store) async fn a_failed_update_leaves_the_last_good_version_wanted(
    store: &dyn Store,
) {
    enroll(store, "a", &[]).await;
    let (v1, v2) = (kiosk(1), kiosk(2));
    publish(store, &v1).await;
    publish(store, &v2).await;
    let r1 = start(store, 1, "all").await;
    check_in(store, "a", &[runs(&v1)]).await;
    let r2 = start(store, 2, "all").await;
    assert_eq!(brief(&check_in(store, "a", &[runs(&v1)]).await), [(r2, 2)]);
    put(store, "a", 1, &updated(&v2, UpdateResult::RolledBack)).await;
    assert_eq!(brief(&check_in(store, "a", &[runs(&v1)]).await), [(r1, 1)]);
    let cause = "failed: rolled back: web exited with code 1".to_string();
    assert_eq!(
        stand(store, r2).await,
        (cause.clone(), vec![format!("a {cause}")])
    );
    // Late news of a commit does not undo that, but a device that runs it does.
    put(store, "a", 2, &updated(&v2, UpdateResult::Committed)).await;
    assert!(stand(store, r2).await.0.starts_with("failed"));
    assert_eq!(brief(&check_in(store, "a", &[runs(&v2)]).await), [(r2, 2)]);
    assert_eq!(stand(store, r2).await.0, "succeeded");
    assert_eq!(stand(store, r1).await.0, "succeeded");
}

pub(in crate::store) async fn a_newer_rollout_supersedes_what_is_pending(store: &dyn Store) {
    for device in ["a", "b"] {
        enroll(store, device, &[]).await;
    }
    let (v1, v2) = (kiosk(1), kiosk(2));
    publish(store, &v1).await;
    publish(store, &v2).await;
    let r1 = start(store, 1, "all").await;
    check_in(store, "b", &[runs(&v1)]).await;
    let r2 = start(store, 2, "all").await;
    let superseded = "failed: superseded by rollout 2";
    assert_eq!(
        stand(store, r1).await,
        (
            "failed: 1 of 2 devices: superseded by rollout 2".to_string(),
            vec![format!("a {superseded}"), "b succeeded".to_string()]
        )
    );
    assert_eq!(brief(&check_in(store, "a", &[]).await), [(r2, 2)]);
    assert_eq!(brief(&check_in(store, "b", &[runs(&v1)]).await), [(r2, 2)]);
}

pub(in crate::store) async fn an_aborted_rollout_reaches_nobody_else(store: &dyn Store) {
    for device in ["a", "b"] {
        enroll(store, device, &[]).await;
    }
    let v1 = kiosk(1);
    publish(store, &v1).await;
    let r = start(store, 1, "all").await;
    check_in(store, "a", &[runs(&v1)]).await;
    assert_eq!(brief(&check_in(store, "b", &[]).await), [(r, 1)]);
    let mut changes = store.changes();
    changes.mark_unchanged();
    let aborted = store.abort_rollout(r, &ada(), NOW).await.unwrap().unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(
        (&*aborted.state, aborted.cause.as_deref()),
        ("failed", Some("aborted by ada"))
    );
    assert_eq!(brief(&check_in(store, "b", &[]).await), []);
    assert_eq!(brief(&check_in(store, "a", &[runs(&v1)]).await), [(r, 1)]);
    enroll(store, "c", &[]).await;
    assert_eq!(brief(&check_in(store, "c", &[]).await), []);
    let again = store.abort_rollout(r, &By::operator("bob", ""), NOW).await;
    assert_eq!(
        again.unwrap().unwrap().cause.as_deref(),
        Some("aborted by ada")
    );
    assert!(
        store
            .abort_rollout(99, &ada(), NOW)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        stand(store, r).await.1,
        ["a succeeded", "b failed: aborted by ada"]
    );
}

pub(in crate::store) async fn a_device_that_comes_later_joins_the_newest_rollout(
    store: &dyn Store,
) {
    enroll(store, "a", &[("site", "rome")]).await;
    let (v1, v2) = (kiosk(1), kiosk(2));
    publish(store, &v1).await;
    publish(store, &v2).await;
    let r1 = start(store, 1, "all").await;
    let r2 = start(store, 2, "site=rome").await;
    check_in(store, "a", &[runs(&v2)]).await;
    assert_eq!(stand(store, r2).await.0, "succeeded");
    // By enrolment.
    enroll(store, "b", &[("site", "rome")]).await;
    enroll(store, "c", &[]).await;
    assert_eq!(brief(&check_in(store, "b", &[]).await), [(r2, 2)]);
    assert_eq!(brief(&check_in(store, "c", &[]).await), [(r1, 1)]);
    assert_eq!(stand(store, r2).await.0, "running");
    // By an operator's label, while it may be waiting for an answer.
    let mut changes = store.changes();
    changes.mark_unchanged();
    let done = relabel(store, "c", &[("site", "rome")], &[]).await;
    assert!(matches!(done, LabelOutcome::Done(_)));
    assert!(changes.has_changed().unwrap());
    let meant = store.meant(&id("c")).await.unwrap().unwrap();
    assert_eq!(brief(&meant.wants), [(r2, 2)]);
    // By its configuration.
    enroll(store, "d", &[("site", "oslo")]).await;
    let mut said = facts();
    said.labels = vec![(label("site"), label("rome"))];
    let answer = store
        .check_in(&id("d"), &said, &[], NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        brief(&answer.meant.wants),
        [(r1, 1)],
        "the token's label wins"
    );
    let done = relabel(store, "d", &[], &["site"]).await;
    assert!(matches!(done, LabelOutcome::Done(_)));
    let answer = store
        .check_in(&id("d"), &said, &[], NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(brief(&answer.meant.wants), [(r2, 2)]);
    // Who leaves the selector stays where it is: nothing goes back to an older version.
    let done = relabel(store, "b", &[("site", "oslo")], &[]).await;
    assert!(matches!(done, LabelOutcome::Done(_)));
    assert_eq!(brief(&check_in(store, "b", &[]).await), [(r2, 2)]);
}

pub(in crate::store) async fn devices_that_a_release_does_not_fit_are_named(store: &dyn Store) {
    enroll(store, "a", &[]).await;
    enroll(store, "b", &[]).await;
    let mut arm = facts();
    arm.arch = Arch::Arm64;
    store.check_in(&id("b"), &arm, &[], NOW).await.unwrap();
    let unknown = store.start_rollout(rollout(1, "all"), &ada(), NOW).await;
    assert_eq!(unknown.unwrap(), RolloutOutcome::UnknownRelease);
    publish(store, &kiosk(1)).await;
    let nobody = store
        .start_rollout(rollout(1, "site=rome"), &ada(), NOW)
        .await;
    assert_eq!(nobody.unwrap(), RolloutOutcome::NoDevices);
    let refused = store
        .start_rollout(rollout(1, "all"), &ada(), NOW)
        .await
        .unwrap();
    assert_eq!(
        refused,
        RolloutOutcome::Unfit(vec![operator::Unfit {
            device: "b".to_string(),
            reason: "the bundle is for amd64, the device is arm64".to_string(),
        }])
    );
    assert!(store.rollouts(None).await.unwrap().is_empty());
    let mut skip = rollout(1, "all");
    skip.skip_unfit = true;
    let started = store.start_rollout(skip, &ada(), NOW).await.unwrap();
    let RolloutOutcome::Started(started) = started else {
        panic!("{started:?}");
    };
    assert_eq!(stand(store, started.id).await.1, ["a pending"]);
    // The bundle for the other architecture comes later.
    let mut for_arm = kiosk(1);
    (for_arm.file, for_arm.digest) = (Digest::of(b"arm"), Digest::of(b"arm manifest"));
    for_arm.target.arch = Arch::Arm64;
    publish(store, &for_arm).await;
    let answer = store
        .check_in(&id("b"), &arm, &[], NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.meant.wants[0].bundle, for_arm.digest);
    assert_eq!(stand(store, started.id).await.1, ["a pending", "b pending"]);
}

pub(in crate::store) async fn a_device_that_a_technician_brought_further_holds_nothing_up(
    store: &dyn Store,
) {
    enroll(store, "a", &[]).await;
    publish(store, &kiosk(2)).await;
    let r = start(store, 2, "all").await;
    // With something that the relay has never seen.
    assert_eq!(brief(&check_in(store, "a", &[runs(&kiosk(3))]).await), []);
    assert_eq!(
        stand(store, r).await.0,
        "failed: the device runs a newer version (seq 3)"
    );
}

pub(in crate::store) async fn a_device_that_runs_it_already_has_succeeded_at_the_start(
    store: &dyn Store,
) {
    enroll(store, "a", &[]).await;
    publish(store, &kiosk(1)).await;
    check_in(store, "a", &[runs(&kiosk(1))]).await;
    let r = start(store, 1, "all").await;
    assert_eq!(stand(store, r).await.0, "succeeded");
}

pub(in crate::store) async fn a_removed_device_holds_no_rollout_up(store: &dyn Store) {
    enroll(store, "a", &[]).await;
    publish(store, &kiosk(1)).await;
    let r = start(store, 1, "all").await;
    assert!(store.remove_device(&id("a"), &ada(), NOW).await.unwrap());
    assert_eq!(
        stand(store, r).await,
        (
            "failed: the device was removed".to_string(),
            vec!["a failed: the device was removed".to_string()]
        )
    );
    // The same id with a new key is a new device, and joins.
    token(store, "cet_new", &[]).await;
    store
        .enroll(enrolment("cet_new", "a", 2), "", NOW)
        .await
        .unwrap();
    assert_eq!(brief(&check_in(store, "a", &[]).await), [(r, 1)]);
}

pub(in crate::store) async fn each_action_is_remembered(store: &dyn Store) {
    enroll(store, "a", &[]).await;
    publish(store, &kiosk(1)).await;
    let r = start(store, 1, "all").await;
    store.abort_rollout(r, &ada(), NOW).await.unwrap();
    store.remove_device(&id("a"), &ada(), NOW).await.unwrap();
    assert_eq!(
        audit_after(store, 0).await,
        [
            "ada enroll-token.add 1 done",
            "device a device.enroll a done",
            "ada publish kiosk 1.0 done",
            "ada rollout.start kiosk 1.0 done",
            "ada rollout.abort kiosk 1.0 done",
            "ada device.remove a done",
        ]
    );
}
