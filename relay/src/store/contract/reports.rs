//! Reports: stored once, and what they do to rollouts.

use relay_api::device::{Event, Evidence, Report, ReportKey, UpdateResult, Updated, encode};

use super::*;
use crate::domain::limits::{EVENTS_SHOWN_MAX, REPORTS_PER_DEVICE_MAX};
use crate::store::ReportOutcome;

pub(in crate::store::contract) fn updated(bundle: &Bundle, result: UpdateResult) -> Report {
    Report {
        at: NOW,
        app: bundle.app.clone(),
        event: Event::Updated(Updated {
            result,
            version: bundle.version.clone(),
            seq: bundle.seq,
            bundle: bundle.digest,
            generation: Some(2),
            rollout: Some(1),
            cause: Some("web exited with code 1".to_string()),
            running: vec![],
            evidence: vec![Evidence {
                service: "web".parse().unwrap(),
                exit_code: Some(1),
                lines: vec!["no such file".to_string()],
            }],
        }),
    }
}

pub(in crate::store::contract) async fn put(
    store: &dyn Store,
    device: &str,
    key: u8,
    report: &Report,
) -> ReportOutcome {
    let key = ReportKey([key; 16]);
    let body = encode(report);
    let outcome = store
        .put_report(&id(device), key, report, &body, NOW + 5)
        .await;
    outcome.unwrap()
}

pub(in crate::store) async fn a_report_sent_again_is_stored_once(store: &dyn Store) {
    enroll(store, "a", &[]).await;
    enroll(store, "b", &[]).await;
    let report = updated(&kiosk(1), UpdateResult::RolledBack);
    let other = updated(&kiosk(1), UpdateResult::Failed);
    assert_eq!(put(store, "a", 1, &report).await, ReportOutcome::Stored);
    assert_eq!(put(store, "a", 1, &report).await, ReportOutcome::Same);
    assert_eq!(put(store, "a", 1, &other).await, ReportOutcome::Differs);
    // The key is the device's own.
    assert_eq!(put(store, "b", 1, &other).await, ReportOutcome::Stored);
    assert_eq!(
        put(store, "c", 1, &other).await,
        ReportOutcome::UnknownDevice
    );
    let events = store.device(&id("a")).await.unwrap().unwrap().events;
    let [event] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(event.result.as_deref(), Some("rolled_back"));
    assert_eq!(
        event.summary,
        "1.0 (seq 1) failed, the version before runs again"
    );
    assert_eq!(event.cause.as_deref(), Some("web exited with code 1"));
    assert_eq!(event.evidence[0].lines, ["no such file"]);
    assert_eq!(event.received_at, "2027-01-15T08:00:05Z");
}

pub(in crate::store) async fn one_report_sent_by_many_at_once_is_stored_once(
    store: &(impl Store + 'static),
) {
    enroll(store, "a", &[]).await;
    let report = updated(&kiosk(1), UpdateResult::RolledBack);
    let sent = (0..50).map(|_| put(store, "a", 1, &report));
    let outcomes = futures_util::future::join_all(sent).await;
    let stored = |outcome: &&ReportOutcome| **outcome == ReportOutcome::Stored;
    assert_eq!(outcomes.iter().filter(stored).count(), 1);
    assert_eq!(
        store.device(&id("a")).await.unwrap().unwrap().events.len(),
        1
    );
}

pub(in crate::store) async fn a_device_that_reports_without_end_fills_no_disk(store: &dyn Store) {
    enroll(store, "a", &[]).await;
    let health = |at| Report {
        at,
        app: "kiosk".parse().unwrap(),
        event: Event::Health {
            service: "web".parse().unwrap(),
            generation: 1,
            healthy: false,
        },
    };
    let send = async |i: u32, report: &Report| {
        let key = ReportKey::of(&i.to_be_bytes());
        let body = encode(report);
        store
            .put_report(&id("a"), key, report, &body, NOW)
            .await
            .unwrap()
    };
    for i in 0..=REPORTS_PER_DEVICE_MAX {
        assert_eq!(send(i, &health(u64::from(i))).await, ReportOutcome::Stored);
    }
    let events = store.device(&id("a")).await.unwrap().unwrap().events;
    assert_eq!(events.len(), EVENTS_SHOWN_MAX as usize);
    // The oldest one went, and only that.
    let last = REPORTS_PER_DEVICE_MAX;
    assert_eq!(send(1, &health(1)).await, ReportOutcome::Same);
    assert_eq!(
        send(last, &health(u64::from(last))).await,
        ReportOutcome::Same
    );
    assert_eq!(send(0, &health(0)).await, ReportOutcome::Stored);
    // A few large ones take the place of all the small ones.
    let mut large = updated(&kiosk(1), UpdateResult::Failed);
    if let Event::Updated(updated) = &mut large.event {
        updated.evidence[0].lines = vec!["x".repeat(1000); 200];
    }
    for i in 1000..1030 {
        assert_eq!(send(i, &large).await, ReportOutcome::Stored);
    }
    let events = store.device(&id("a")).await.unwrap().unwrap().events;
    assert_eq!(events.len(), (4 << 20) / encode(&large).len());
}
