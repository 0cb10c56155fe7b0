//! What scripts read: the fields of `status` and `plan`, and that a plan changes nothing and comes
//! true.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use test_images::Version;

use crate::bench::{Bench, eventually, exit, two_services};

/// The names of an object's fields.
fn fields(value: &Value) -> BTreeSet<&str> {
    let object = value.as_object();
    object
        .into_iter()
        .flat_map(|object| object.keys().map(String::as_str))
        .collect()
}

fn assert_time(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(
        shape, "0000-00-00T00:00:00Z",
        "not RFC 3339 in UTC: {value}"
    );
}

#[test]
fn status_has_the_fields_that_scripts_rely_on() -> Result<()> {
    let bench = Bench::new()?;
    bench.configure("[labels]\nsite = \"harbour\"\n")?;
    let empty = bench.agent.status()?;
    assert_eq!(empty["apps"], json!([]));
    bench.install(1, &two_services("v1"))?;
    let daemon = bench.agent.start()?;
    bench.install(2, &two_services("v2"))?;
    bench.wait_for_service("web", |web| web["healthy"] == true)?;
    eventually("the old container to be removed", || {
        Ok(bench.container("web").ok())
    })?;

    let status = bench.agent.status()?;
    assert_eq!(fields(&status), BTreeSet::from(["device", "relay", "apps"]));
    assert_eq!(
        status["device"],
        json!({"id": "device-1", "labels": {"site": "harbour"}})
    );
    let no_relay = json!({"url": null, "last_contact": null, "reports_waiting": 0, "error": null});
    assert_eq!(status["relay"], no_relay);
    let app = &status["apps"][0];
    let expected = [
        "app",
        "version",
        "seq",
        "generation",
        "state",
        "last_update",
        "services",
        "previous",
    ];
    assert_eq!(fields(app), BTreeSet::from(expected));
    assert_eq!(
        json!([
            app["app"],
            app["version"],
            app["seq"],
            app["generation"],
            app["state"],
            app["previous"]
        ]),
        json!(["app", "2.0", 2, 2, "running", {"version": "1.0", "seq": 1}])
    );
    let mut last = app["last_update"].clone();
    assert_time(&last["at"].take());
    let expected =
        json!({"version": "2.0", "seq": 2, "result": "committed", "cause": null, "at": null});
    assert_eq!(last, expected);
    let services = app["services"].as_array().context("services")?;
    assert_eq!(services.len(), 2);
    for (service, (name, healthy, version)) in services.iter().zip([
        ("web", json!(true), Version::V2),
        ("side", Value::Null, Version::V1),
    ]) {
        let mut service = service.clone();
        assert_time(&service["started_at"].take());
        let image = test_images::info(&test_images::tiny(version)?)?.image_id;
        let expected = json!({
            "name": name, "state": "running", "healthy": healthy, "restarts": 0,
            "image_id": image, "started_at": null,
        });
        assert_eq!(service, expected);
    }
    drop(daemon);
    Ok(())
}

/// Everything of a device that `plan` could change: each file with its time and bytes, and what
/// podman holds.
fn everything(bench: &Bench) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![bench.agent.state_dir()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let meta = path.symlink_metadata()?;
            let mut hash = DefaultHasher::new();
            if meta.is_dir() {
                folders.push(path.clone());
            } else {
                fs::read(&path)?.hash(&mut hash);
            }
            found.insert(format!(
                "{path:?} {:?} {:x}",
                meta.modified()?,
                hash.finish()
            ));
        }
    }
    for list in [
        &["images", "--all", "--format", "{{.ID}} {{.Repository}}"][..],
        &["volume", "ls"],
        &["network", "ls"],
    ] {
        let held = bench.podman.podman(list)?.ok()?.stdout;
        found.extend(held.lines().map(str::to_owned));
    }
    found.extend(
        bench
            .containers()?
            .values()
            .map(|containers| format!("{containers:?}")),
    );
    Ok(found)
}

fn assert_same(before: &BTreeSet<String>, after: &BTreeSet<String>) {
    let changes: Vec<_> = before.symmetric_difference(after).collect();
    assert!(changes.is_empty(), "something changed: {changes:#?}");
}

fn plan_then_apply(bench: &Bench) -> Result<()> {
    let plan = |bundle: &std::path::Path| -> Result<Value> {
        let before = everything(bench)?;
        let plan = bench
            .agent
            .run(&["plan".as_ref(), bundle.as_os_str(), "--json".as_ref()])?
            .json()?;
        assert_same(&before, &everything(bench)?);
        let expected = [
            "app",
            "from",
            "to",
            "fetch_bytes",
            "full_bytes",
            "peak_disk_bytes",
            "services",
            "blocked_by",
        ];
        assert_eq!(fields(&plan), BTreeSet::from(expected));
        Ok(plan)
    };
    let apply = |bundle: &std::path::Path| {
        bench
            .agent
            .run(&["apply".as_ref(), bundle.as_os_str(), "--json".as_ref()])?
            .json()
    };
    let number = |value: &Value| {
        value
            .as_u64()
            .with_context(|| format!("no number: {value}"))
    };

    // Nothing is there: everything comes.
    bench.install(1, &two_services("v1"))?;
    let changes = two_services("v2").replace("  side:", "  more:");
    let v2 = bench.pack(2, &changes)?;
    let planned = plan(&v2)?;
    assert_eq!(
        json!([
            planned["app"],
            planned["from"],
            planned["to"],
            planned["blocked_by"]
        ]),
        json!(["app", "1.0", "2.0", []])
    );
    assert!(number(&planned["full_bytes"])? <= fs::metadata(&v2)?.len());
    assert!(number(&planned["fetch_bytes"])? > 0 && number(&planned["peak_disk_bytes"])? > 0);
    assert!(number(&planned["fetch_bytes"])? < number(&planned["full_bytes"])?);
    let expected = json!([
        {"name": "more", "action": "create"},
        {"name": "side", "action": "remove"},
        {"name": "web", "action": "replace"},
    ]);
    let sorted = |view: &Value| -> Vec<Value> {
        let mut services = view["services"].as_array().cloned().unwrap_or_default();
        services.sort_by_key(|service| service["name"].to_string());
        services
    };
    assert_eq!(json!(sorted(&planned)), expected);
    let applied = apply(&v2)?;
    assert_eq!(
        sorted(&applied),
        sorted(&planned),
        "what the plan says is what happens"
    );
    assert_eq!(
        json!([
            applied["app"],
            applied["version"],
            applied["seq"],
            applied["generation"],
            applied["from"]
        ]),
        json!(["app", "2.0", 2, 2, "1.0"])
    );

    // Nothing changes but the number: nothing is fetched and everything stays. A daemon answers
    // before it has removed what is no longer needed.
    let containers = eventually("what version 1 left to be removed", || {
        let containers = bench.containers()?;
        Ok((containers.values().map(Vec::len).sum::<usize>() == 2).then_some(containers))
    })?;
    let v3 = bench.pack(3, &changes)?;
    let planned = plan(&v3)?;
    assert_eq!(planned["fetch_bytes"], 0);
    assert!(
        sorted(&planned)
            .iter()
            .all(|service| service["action"] == "keep")
    );
    apply(&v3)?;
    assert_eq!(bench.containers()?, containers);

    // What is there already, and what may not come.
    let planned = plan(&v3)?;
    assert_eq!(
        planned["blocked_by"].as_array().map(Vec::len),
        Some(1),
        "{planned}"
    );
    let before = everything(bench)?;
    bench
        .agent
        .run(&["plan".as_ref(), v2.as_os_str()])?
        .code(exit::REFUSED)?;
    assert_same(&before, &everything(bench)?);
    Ok(())
}

#[test]
fn a_plan_changes_nothing_and_comes_true_without_a_daemon() -> Result<()> {
    plan_then_apply(&Bench::new()?)
}

#[test]
fn a_plan_changes_nothing_and_comes_true_with_a_daemon() -> Result<()> {
    let bench = Bench::new()?;
    let _daemon = bench.agent.start()?;
    plan_then_apply(&bench)
}
