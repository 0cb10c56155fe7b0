//! A real podman under test, with a service and a store of its own for each case.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use bundle::Digest;
use e2e::{PodmanService, Sandbox};
use runtime_shim::podman::Podman;
use runtime_shim::{ContainerSpec, Runtime, RuntimeError};
use smol::future::FutureExt as _;

use crate::fixture::{Behaviour, Fixture, TestImage, created, in_time, spec, started, text, texts};

/// A podman of its own.
pub(crate) struct PodmanFixture {
    runtime: Podman,
    images: [TestImage; 2],
    service: RefCell<PodmanService>,
}

/// Past the harness, which swallows what passing tests print.
fn not_run(what: &str) {
    let line = format!("not run: podman, {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

pub(crate) fn with(case: &str, run: impl FnOnce(&dyn Fixture)) {
    with_service(case, |fixture| run(fixture));
}

pub(crate) fn with_service(case: &str, run: impl FnOnce(&PodmanFixture)) {
    with_store(case, |_| (), run);
}

/// As [`with_service`], in a store that is prepared before podman finds it.
fn with_store(case: &str, prepare: impl FnOnce(&Path), run: impl FnOnce(&PodmanFixture)) {
    let there = std::process::Command::new("podman")
        .arg("--version")
        .output();
    if let Err(error) = there {
        not_run(&format!("{case}: podman cannot be started: {error}"));
        return;
    }
    let sandbox = Sandbox::new().unwrap();
    prepare(&sandbox.folder("podman/root").unwrap());
    let service = PodmanService::start(&sandbox).unwrap();
    let builder = test_images::Builder::new(test_images::Arch::host().unwrap()).unwrap();
    let image = |version| image(&builder.build(test_images::Image::Tiny, version).unwrap());
    run(&PodmanFixture {
        runtime: Podman::new(&service.socket()),
        images: [
            image(test_images::Version::V1),
            image(test_images::Version::V2),
        ],
        service: RefCell::new(service),
    });
}

/// Reads an OCI archive, its layers decompressed, as a bundle carries them.
fn image(archive: &Path) -> TestImage {
    let mut entries = HashMap::new();
    let mut archive = tar::Archive::new(std::fs::File::open(archive).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        entries.insert(path, bytes);
    }
    let blob = |descriptor: &serde_json::Value| {
        let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
        entries[&format!("blobs/sha256/{}", digest.hex())].clone()
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let manifest = json(&blob(&json(&entries["index.json"])["manifests"][0]));
    let layers = manifest["layers"].as_array().unwrap().iter().map(|layer| {
        let mut plain = Vec::new();
        let packed = blob(layer);
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut plain)
            .unwrap();
        plain
    });
    TestImage::new("fixture", blob(&manifest["config"]), layers.collect())
}

impl Fixture for PodmanFixture {
    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn images(&self) -> &[TestImage; 2] {
        &self.images
    }

    fn behave(&self, spec: &mut ContainerSpec, behaviour: Behaviour) {
        let script = match behaviour {
            Behaviour::Runs | Behaviour::Commands | Behaviour::HangsCommands => {
                "trap 'exit 0' TERM; sleep 600 & wait"
            }
            Behaviour::IgnoresStop => "trap '' TERM; sleep 600 & wait; wait",
            Behaviour::Exits(code) => &format!("exit {code}"),
            Behaviour::TakesMemory => {
                spec.service.limits.memory_bytes = Some(16 << 20);
                "exec tail /dev/zero"
            }
            Behaviour::Prints => {
                "echo out 1; sleep 0.2; echo err 1 >&2; sleep 0.2; echo out 2; echo out 3"
            }
        };
        spec.service.stop_signal = Some(text("SIGTERM"));
        spec.service.command = Some(texts(&["/bin/sh", "-c", script]));
    }

    fn tells_oom(&self) -> bool {
        let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        if !v2 {
            not_run("the flag of a container out of memory: conmon does not tell on cgroup v1");
        }
        v2
    }

    fn run_foreign(&self, name: &str) {
        let image = self.images[0].import.id.hex();
        let arguments = [
            "run",
            "-d",
            "--network=host",
            "--name",
            name,
            &image,
            "sleep",
            "600",
        ];
        self.service
            .borrow()
            .podman(&arguments)
            .unwrap()
            .ok()
            .unwrap();
    }

    fn foreign_runs(&self, name: &str) -> bool {
        self.service
            .borrow()
            .running()
            .unwrap()
            .iter()
            .any(|n| n == name)
    }
}

// --- what only a service that comes and goes can show

pub(crate) async fn nothing_at_the_socket_is_unreachable(fixture: &PodmanFixture) {
    let nowhere = Podman::new(Path::new("/nonexistent/podman.sock"));
    let error = nowhere.info().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unreachable(_)) && error.is_retryable());
    fixture.service.borrow_mut().stop().unwrap();
    let error = fixture.runtime.containers(None).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unreachable(_)), "{error}");
    fixture.service.borrow_mut().start_again().unwrap();
    assert!(fixture.runtime.info().await.is_ok());
}

pub(crate) async fn a_service_killed_in_the_middle_can_be_asked_again(fixture: &PodmanFixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::IgnoresStop).await;
    // The stop waits for the grace to pass; meanwhile the service dies.
    let stop = async { fixture.runtime.stop(&id, 60).await };
    let kill = async {
        // A running container whose stop has begun says so.
        loop {
            let listed = fixture.service.borrow().podman(&[
                "inspect",
                "--format",
                "{{.State.Status}}",
                &id.0,
            ]);
            if listed.unwrap().ok().unwrap().stdout.trim() == "stopping" {
                break;
            }
            smol::Timer::after(Duration::from_millis(20)).await;
        }
        fixture.service.borrow_mut().kill().unwrap();
        std::future::pending().await
    };
    let error = stop.or(kill).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    fixture.service.borrow_mut().start_again().unwrap();
    fixture.runtime.stop(&id, 1).await.unwrap();
    assert_eq!(fixture.runtime.wait(&id).await.unwrap().code, 137);
}

pub(crate) async fn waiting_survives_the_service(fixture: &PodmanFixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let mut wait = Box::pin(fixture.runtime.wait(&id));
    let asked = async {
        smol::Timer::after(Duration::from_millis(500)).await;
        None
    };
    // Long enough to have its descriptor, which then outlives the service.
    assert!(async { Some((&mut wait).await) }.or(asked).await.is_none());
    fixture.service.borrow_mut().kill().unwrap();
    fixture.service.borrow_mut().start_again().unwrap();
    fixture.runtime.stop(&id, 10).await.unwrap();
    assert_eq!(wait.await.unwrap().code, 0);
}

pub(crate) async fn a_killed_import_is_done_again(fixture: &PodmanFixture) {
    let image = &fixture.images[0].import;
    let begun = std::cell::Cell::new(false);
    let progress = |_| begun.set(true);
    let import = fixture.runtime.import_image(image, &progress);
    let kill = async {
        while !begun.get() {
            smol::future::yield_now().await;
        }
        fixture.service.borrow_mut().kill().unwrap();
        std::future::pending().await
    };
    let error = import.or(kill).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    fixture.service.borrow_mut().start_again().unwrap();
    let id = created(fixture, spec(fixture, "a", "web"), Behaviour::Exits(0)).await;
    fixture.runtime.start(&id).await.unwrap();
    assert_eq!(fixture.runtime.wait(&id).await.unwrap().code, 0);
}

#[test]
fn a_full_disk_is_told_and_the_next_import_works() {
    let case = "a_full_disk_is_told_and_the_next_import_works";
    let mounted = RefCell::new(std::path::PathBuf::new());
    let mount = |options: &str| {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]);
        assert!(mount.arg(&*mounted.borrow()).status().unwrap().success());
    };
    let small = |store: &Path| {
        *mounted.borrow_mut() = store.to_owned();
        mount("size=1m");
    };
    with_store(case, small, |fixture| {
        let image = &fixture.images[0].import;
        smol::block_on(in_time(async {
            let import = fixture.runtime.import_image(image, &|_| ()).await;
            let error = import.unwrap_err();
            assert!(matches!(error, RuntimeError::NoSpace), "{error}");
            assert!(error.is_retryable());
            assert!(!fixture.runtime.has_image(&image.id).await.unwrap());
            mount("remount,size=64m");
            fixture.runtime.import_image(image, &|_| ()).await.unwrap();
            assert!(fixture.runtime.has_image(&image.id).await.unwrap());
        }));
    });
}
