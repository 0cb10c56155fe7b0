//! What devices say, and what operators see and change of them.

use std::collections::BTreeMap;

use super::*;
use crate::domain::limits::LABELS_MAX;
use crate::domain::variables::{Change, VariableError};
use crate::store::VariableOutcome;

pub(in crate::store) async fn a_device_is_seen_as_it_last_said(store: &dyn Store) {
    enroll(store, "b", &[("site", "rome")]).await;
    enroll(store, "a", &[]).await;
    let all = store.devices(None).await.unwrap();
    assert_eq!(all.iter().map(|d| &*d.id).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((all[0].last_seen.as_ref(), all[0].apps.len()), (None, 0));
    let selector = "site=rome".parse().unwrap();
    let some = store.devices(Some(&selector)).await.unwrap();
    assert_eq!(some.iter().map(|d| &*d.id).collect::<Vec<_>>(), ["b"]);

    let mut said = facts();
    said.labels = vec![(label("site"), label("oslo")), (label("hw"), label("r2"))];
    said.class = Some(label("kiosk-8"));
    let apps = [runs(&kiosk(3))];
    for later in [10, 20] {
        let answer = store.check_in(&id("b"), &said, &apps, NOW + later).await;
        assert!(answer.unwrap().is_some());
    }
    let device = store.device(&id("b")).await.unwrap().unwrap().device;
    let wanted = labels(&[("hw", "r2"), ("site", "rome")]);
    assert_eq!(device.labels, labels::texts(&wanted));
    assert_eq!(device.last_seen.as_deref(), Some("2027-01-15T08:00:20Z"));
    assert_eq!(device.class.as_deref(), Some("kiosk-8"));
    assert_eq!((&*device.agent, &*device.arch), ("0.1.0", "amd64"));
    let app = &device.apps[0];
    assert_eq!(
        (&*app.app, &*app.state, app.seq),
        ("kiosk", "running", Some(3))
    );
    assert_eq!(app.wanted, None);
}

pub(in crate::store) async fn an_unknown_or_removed_device_is_told_nothing(store: &dyn Store) {
    enroll(store, "a", &[]).await;
    check_in(store, "a", &[]).await;
    assert!(store.remove_device(&id("a"), &ada(), NOW).await.unwrap());
    for unknown in ["a", "b"] {
        let unknown = id(unknown);
        let answer = store.check_in(&unknown, &facts(), &[], NOW).await.unwrap();
        assert!(answer.is_none());
        assert!(store.meant(&unknown).await.unwrap().is_none());
        assert!(store.device(&unknown).await.unwrap().is_none());
        assert_eq!(store.device_key(&unknown).await.unwrap(), None);
        let outcome = store
            .label_device(&unknown, labels(&[]), vec![], &ada(), NOW)
            .await;
        assert_eq!(outcome.unwrap(), LabelOutcome::UnknownDevice);
        let outcome = store
            .set_variables(&unknown, Change::default(), &ada(), NOW)
            .await;
        assert_eq!(outcome.unwrap(), VariableOutcome::UnknownDevice);
    }
    assert!(store.devices(None).await.unwrap().is_empty());
}

pub(in crate::store) async fn labels_of_operators_win_and_go_away_again(store: &dyn Store) {
    enroll(store, "a", &[("site", "rome"), ("ring", "1")]).await;
    let change = async |set: &[(&str, &str)], remove: &[&str]| match relabel(
        store, "a", set, remove,
    )
    .await
    {
        LabelOutcome::Done(device) => device.labels,
        other => panic!("{other:?}"),
    };
    let is = |pairs: &[(&str, &str)]| labels::texts(&labels(pairs));
    let all = change(&[("site", "oslo")], &["ring"]).await;
    assert_eq!(all, is(&[("site", "oslo")]));
    assert_eq!(change(&[], &["site", "nothing"]).await, is(&[]));
    let many: Vec<String> = (0..LABELS_MAX).map(|i| format!("l{i}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (&**name, "x")).collect();
    assert_eq!(change(&many, &[]).await.len(), LABELS_MAX);
    let outcome = relabel(store, "a", &[("more", "x")], &[]).await;
    assert_eq!(outcome, LabelOutcome::TooMany);
    let entry = &store.audit_page(None, 10).await.unwrap()[2];
    assert_eq!(
        (&*entry.action, &*entry.detail),
        ("device.label", "site=oslo ring-")
    );
}

pub(in crate::store) async fn values_must_fit_the_schema_and_secrets_are_not_shown(
    store: &dyn Store,
) {
    enroll(store, "a", &[]).await;
    publish(store, &kiosk(1)).await;
    let set = async |app: &str, name: &str, value: &str| {
        let mut change = Change::default();
        let values = BTreeMap::from([(name.parse().unwrap(), value.to_string())]);
        change.set.insert(app.parse().unwrap(), values);
        store
            .set_variables(&id("a"), change, &ada(), NOW)
            .await
            .unwrap()
    };
    let mut changes = store.changes();
    changes.mark_unchanged();
    for (name, value) in [("PIN", "12345"), ("PIN", "x"), ("NOTHING", "x")] {
        let outcome = set("kiosk", name, value).await;
        assert!(
            matches!(outcome, VariableOutcome::Refused(_)),
            "{outcome:?}"
        );
    }
    assert!(!changes.has_changed().unwrap());
    set("kiosk", "SITE", "Harbour").await;
    // Nobody has published this app, so nothing is known of its variables.
    set("later", "X", "y").await;
    let VariableOutcome::Done(device) = set("kiosk", "PIN", "1234").await else {
        panic!("a value that fits was refused");
    };
    assert!(changes.has_changed().unwrap());
    assert_eq!(device.variables["kiosk"]["SITE"], "Harbour");
    assert_eq!(device.variables["kiosk"]["PIN"], "(secret)");
    assert_eq!(device.variables["later"]["X"], "y");
    let meant = store.meant(&id("a")).await.unwrap().unwrap();
    let kiosk = "kiosk".parse().unwrap();
    assert_eq!(meant.variables[&kiosk][&"PIN".parse().unwrap()], "1234");
    let audit = format!("{:?}", store.audit_page(None, 10).await.unwrap());
    assert!(
        audit.contains("kiosk.PIN") && !audit.contains("1234"),
        "{audit}"
    );

    let remove = Change {
        remove: vec![(kiosk.clone(), "PIN".parse().unwrap())],
        ..Change::default()
    };
    store
        .set_variables(&id("a"), remove, &ada(), NOW)
        .await
        .unwrap();
    let meant = store.meant(&id("a")).await.unwrap().unwrap();
    assert_eq!(meant.variables[&kiosk].len(), 1);
}

pub(in crate::store) async fn values_of_a_device_have_a_bound(store: &dyn Store) {
    enroll(store, "a", &[]).await;
    let mut change = Change::default();
    for app in 0..65 {
        let values = BTreeMap::from([("X".parse().unwrap(), "y".to_string())]);
        change
            .set
            .insert(format!("app-{app}").parse().unwrap(), values);
    }
    let outcome = store.set_variables(&id("a"), change, &ada(), NOW).await;
    assert_eq!(
        outcome.unwrap(),
        VariableOutcome::Refused(VariableError::TooMuch)
    );
    assert!(
        store
            .meant(&id("a"))
            .await
            .unwrap()
            .unwrap()
            .variables
            .is_empty()
    );
}
