//! The harness itself: that its parts work, keep out of each other's way, and leave nothing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{LoopbackRegistry, PodmanService, Sandbox, http};
use test_images::Version;

const DEADLINE: Duration = Duration::from_secs(30);

fn processes_naming(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.to_str().context("a path in UTF-8")?;
    let lines = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|it| fs::read(it.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    Ok(lines.filter(|line| line.contains(folder)).collect())
}

fn assert_gone(folder: &Path) -> Result<()> {
    assert!(!folder.exists(), "{} is left", folder.display());
    assert_eq!(processes_naming(folder)?, [""; 0]);
    Ok(())
}

/// Starts podman and runs the tiny image in it, with these arguments for `podman run`.
fn run_tiny(sandbox: &Sandbox, version: Version, arguments: &[&str]) -> Result<PodmanService> {
    let podman = PodmanService::start(sandbox)?;
    podman.load(&test_images::tiny(version)?, "tiny")?;
    podman.podman(&["network", "create", "same"])?.ok()?;
    let run = ["run", "--detach", "--name=tiny"];
    podman
        .podman(&[&run, arguments, &["tiny"]].concat())?
        .ok()?;
    Ok(podman)
}

/// Serves the tiny image's page on a published port, and returns where its files were.
fn serve_tiny(version: Version) -> Result<PathBuf> {
    let sandbox = Sandbox::new()?;
    let podman = run_tiny(
        &sandbox,
        version,
        &["--network=same", "--publish=8080:8080"],
    )?;
    let page = http::wait_for(8080, "/", DEADLINE, |answer| answer.status == 200)?;
    assert_eq!(page.json()?["version"], version.number());
    assert_eq!(podman.running()?, ["tiny"]);
    Ok(sandbox.path().to_owned())
}

#[test]
fn two_podmans_use_the_same_names_and_ports_side_by_side() -> Result<()> {
    let other = thread::spawn(|| serve_tiny(Version::V1));
    assert_gone(&serve_tiny(Version::V2)?)?;
    assert_gone(&other.join().expect("no panic")?)
}

#[test]
fn a_panic_leaves_nothing() -> Result<()> {
    let (send, receive) = std::sync::mpsc::channel();
    let panicked = thread::spawn(move || {
        let sandbox = Sandbox::new().expect("a sandbox");
        let _podman = run_tiny(&sandbox, Version::V1, &["--network=host"]).expect("it runs");
        send.send(sandbox.path().to_owned())
            .expect("the test listens");
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert_gone(&receive.recv().context("it ran before it panicked")?)
}

/// Not a test: what the next one kills.
#[test]
#[ignore = "is run by the_next_sandbox_removes_what_a_killed_test_left"]
fn leaves_a_container() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let _podman = run_tiny(&sandbox, Version::V1, &["--network=host"])?;
    println!("running in {}", sandbox.path().display());
    std::thread::park();
    Ok(())
}

#[test]
fn the_next_sandbox_removes_what_a_killed_test_left() -> Result<()> {
    let mut test = Command::new(std::env::current_exe()?)
        .args(["--exact", "leaves_a_container", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(test.stdout.take().context("a pipe")?).lines();
    let mut folders = lines.filter_map(|line| Some(line.ok()?.split_once("running in ")?.1.into()));
    let folder: PathBuf = folders.next().context("it runs before it is killed")?;
    assert!(
        processes_naming(&folder)?
            .iter()
            .any(|line| line.contains("conmon"))
    );
    test.kill()?;
    test.wait()?;

    let _sandbox = Sandbox::new()?;
    assert_gone(&folder)
}

#[test]
fn containers_outlive_a_killed_podman_service() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut podman = run_tiny(&sandbox, Version::V1, &["--network=host"])?;
    podman.kill()?;
    http::wait_for(8080, "/", DEADLINE, |answer| answer.status == 200)?;
    podman.start_again()?;
    assert_eq!(podman.running()?, ["tiny"]);
    Ok(())
}

#[test]
fn the_registry_wants_a_password_and_serves_by_digest() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let podman = PodmanService::start(&sandbox)?;
    let registry = LoopbackRegistry::start(&sandbox)?;
    let archive = test_images::tiny(Version::V1)?;
    let reference = registry.push(&archive, "tiny")?;
    assert_eq!(http::get(registry.port(), "/v2/")?.status, 401);

    let auth = format!("--authfile={}", registry.auth_file().display());
    let pull = ["pull", "--quiet", "--tls-verify=false", &auth, &reference];
    let pulled = podman.podman(&pull)?.ok()?.stdout;
    assert_eq!(
        format!("sha256:{}", pulled.trim()),
        test_images::info(&archive)?.image_id
    );
    Ok(())
}
