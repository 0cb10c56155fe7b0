//! What a plan counts, on an app of two services that share a layer.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bundle::manifest::*;
use bundle::values::Values;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{blob, manifest, service, text};

/// Blobs by place: configurations 0 and 1, layers 2 (shared), 3 and 4, a file 5, and 6, which
/// nobody needs. Stored bytes are 1, 2, 4, 8, …, plain bytes a thousand times that.
fn app() -> Manifest {
    let names = [
        "config-a", "config-b", "base", "layer-a", "layer-b", "file", "unused",
    ];
    let mut manifest = manifest();
    manifest.blobs = names
        .iter()
        .enumerate()
        .map(|(n, name)| blob(name, 1 << n, 1000 << n))
        .collect();
    let image = |config, layers: [u16; 2]| Image {
        config: BlobId(config),
        layers: layers.map(BlobId).to_vec(),
    };
    manifest.images = vec![image(0, [2, 3]), image(1, [2, 4])];
    manifest.files = vec![File {
        name: text("file"),
        content: BlobId(5),
        template: false,
    }];
    let (a, mut b) = (service("a"), service("b"));
    b.image = ImageId(1);
    b.files = vec![FileMount {
        file: FileId(0),
        target: text("/f"),
        mode: 0o444,
        uid: 0,
        gid: 0,
    }];
    manifest.services = vec![a, b];
    manifest
}

fn resolve(manifest: &Manifest) -> ResolvedApp {
    let mut never = |_| -> Result<Digest, String> { Err(String::new()) };
    ResolvedApp::new(manifest, Digest::of(b""), &Values::default(), &mut never).unwrap()
}

/// The plan for a device that runs nothing and has the contents of these names.
fn plan(manifest: &Manifest, has: &[&str]) -> Plan {
    let has: Vec<Digest> = has.iter().map(|name| Digest::of(name.as_bytes())).collect();
    Plan::new(
        None,
        &resolve(manifest),
        &|digest| has.contains(digest),
        manifest,
    )
}

fn blobs(plan: &Plan) -> Vec<u16> {
    plan.needs.blobs.iter().map(|id| id.0).collect()
}

#[test]
fn a_device_without_anything_fetches_each_blob_once() {
    let plan = plan(&app(), &[]);
    assert_eq!(plan.needs.images, [ImageId(0), ImageId(1)]);
    assert_eq!(blobs(&plan), [0, 1, 2, 3, 4, 5]);
    assert_eq!(plan.needs.fetch_bytes, 1 + 2 + 4 + 8 + 16 + 32);
    assert_eq!(plan.full_bytes, 127);
    // All of it unpacked, and a second copy of image b's layers, which are the larger.
    assert_eq!(plan.needs.peak_disk_bytes, 63_000 + 4_000 + 16_000);
}

#[test]
fn an_image_that_is_there_is_not_fetched_and_neither_are_its_layers() {
    let plan = plan(&app(), &["config-b"]);
    assert_eq!(plan.needs.images, [ImageId(0)]);
    assert_eq!(blobs(&plan), [0, 2, 3, 5]);
    assert_eq!(plan.needs.fetch_bytes, 1 + 4 + 8 + 32);
    assert_eq!(
        plan.needs.peak_disk_bytes,
        1_000 + 4_000 + 8_000 + 32_000 + 12_000
    );
}

#[test]
fn a_layer_that_is_there_is_not_fetched() {
    let plan = plan(&app(), &["base"]);
    assert_eq!(plan.needs.images, [ImageId(0), ImageId(1)]);
    assert_eq!(blobs(&plan), [0, 1, 3, 4, 5]);
    assert_eq!(plan.needs.peak_disk_bytes, 59_000 + 16_000);
}

#[test]
fn what_is_all_there_costs_nothing() {
    let plan = plan(&app(), &["config-a", "config-b", "file"]);
    assert_eq!(plan.needs.images, []);
    assert_eq!(plan.needs.blobs, []);
    assert_eq!((plan.needs.fetch_bytes, plan.needs.peak_disk_bytes), (0, 0));
    assert_eq!(plan.full_bytes, 127);
}

#[test]
fn an_image_that_no_service_uses_is_not_fetched() {
    let mut manifest = app();
    manifest.services.remove(1);
    let plan = plan(&manifest, &[]);
    assert_eq!(blobs(&plan), [0, 2, 3]);
}

#[test]
fn two_services_of_one_image_fetch_it_once() {
    let mut manifest = app();
    manifest.services[1].image = ImageId(0);
    let plan = plan(&manifest, &[]);
    assert_eq!(plan.needs.images, [ImageId(0)]);
    assert_eq!(blobs(&plan), [0, 2, 3, 5]);
}

/// RAUC CVE-2026-34155: a size that wraps covers too little.
#[test]
fn sums_do_not_wrap() {
    for bytes in [
        (1 << 31) - 1,
        1 << 31,
        (1 << 31) + 1,
        (1 << 32) - 1,
        1 << 32,
        (1u64 << 32) + 1,
    ] {
        let mut manifest = app();
        for blob in &mut manifest.blobs {
            (blob.stored_bytes, blob.plain_bytes) = (bytes, bytes);
        }
        let plan = plan(&manifest, &[]);
        assert_eq!(plan.needs.fetch_bytes, 6 * bytes);
        assert_eq!(plan.full_bytes, 7 * bytes);
        assert_eq!(plan.needs.peak_disk_bytes, 8 * bytes);
    }
    let mut manifest = app();
    for blob in &mut manifest.blobs {
        (blob.stored_bytes, blob.plain_bytes) = (u64::MAX, u64::MAX);
    }
    assert_eq!(plan(&manifest, &[]).needs.peak_disk_bytes, u64::MAX);
}

fn actions(running: Option<&Manifest>, next: &Manifest) -> Vec<(String, &'static str)> {
    let running = running.map(resolve);
    let plan = Plan::new(running.as_ref(), &resolve(next), &|_| true, next);
    let named = |(name, action): &(ServiceName, Action)| (name.as_str().into(), action.as_str());
    plan.services.iter().map(named).collect()
}

#[test]
fn services_are_kept_created_replaced_and_removed() {
    let with = |names: &[&str]| Manifest {
        services: names.iter().map(|name| service(name)).collect(),
        ..manifest()
    };
    let check = |running: Option<&Manifest>, next: &Manifest, expected: &[(&str, &str)]| {
        let actions = actions(running, next);
        let found: Vec<(&str, &str)> = actions.iter().map(|(n, a)| (n.as_str(), *a)).collect();
        assert_eq!(found, expected);
    };
    let two = with(&["a", "b"]);
    check(None, &two, &[("a", "create"), ("b", "create")]);
    check(Some(&two), &two, &[("a", "keep"), ("b", "keep")]);
    check(
        Some(&two),
        &with(&["b", "a"]),
        &[("b", "keep"), ("a", "keep")],
    );
    check(
        Some(&two),
        &with(&["b", "c"]),
        &[("b", "keep"), ("c", "create"), ("a", "remove")],
    );
    // A signed bundle without services retires the app.
    check(Some(&two), &with(&[]), &[("a", "remove"), ("b", "remove")]);
    let mut changed = two.clone();
    changed.services[1].read_only = false;
    check(Some(&two), &changed, &[("a", "keep"), ("b", "replace")]);
    check(Some(&changed), &two, &[("a", "keep"), ("b", "replace")]);
    let mut supervised = two.clone();
    supervised.services[1].restart = Restart::No;
    check(Some(&two), &supervised, &[("a", "keep"), ("b", "keep")]);
}

#[test]
fn what_is_touched_is_all_but_what_is_kept() {
    let mut changed = app();
    changed.services[1].read_only = false;
    changed.services.push(service("c"));
    let plan = Plan::new(
        Some(&resolve(&app())),
        &resolve(&changed),
        &|_| true,
        &changed,
    );
    let touched: Vec<&str> = plan.touched().map(ServiceName::as_str).collect();
    assert_eq!(touched, ["b", "c"]);
}

proptest! {
    /// More on the device is never more to fetch, and never more disk.
    #[test]
    fn having_more_costs_no_more(has: [bool; 7], one in 0usize..7) {
        let names = ["config-a", "config-b", "base", "layer-a", "layer-b", "file", "unused"];
        let of = |has: &[bool; 7]| -> Plan {
            let names: Vec<&str> = names.iter().zip(has).filter(|(_, h)| **h).map(|(n, _)| *n).collect();
            plan(&app(), &names)
        };
        let mut more = has;
        more[one] = true;
        let (less, more) = (of(&has), of(&more));
        prop_assert!(more.needs.fetch_bytes <= less.needs.fetch_bytes);
        prop_assert!(more.needs.peak_disk_bytes <= less.needs.peak_disk_bytes);
        prop_assert!(less.needs.fetch_bytes <= less.full_bytes);
        prop_assert!(more.needs.images.len() <= less.needs.images.len());
    }
}
