//! Stock `minisign` checks what we sign, and signs what we check.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::base::*;
use crate::build::{SecretKey, join, key, split};
use crate::{TrustStore, verify};

/// Whether `minisign` is there; if not, says so.
fn installed() -> bool {
    let found = Command::new("minisign").arg("-v").output().is_ok();
    if !found {
        println!("not run: minisign is not installed (cargo xtask test installs it)");
    }
    found
}

/// Runs `minisign` in a folder, with lines for its prompts.
fn minisign(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("minisign")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn succeeds(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = minisign(folder, arguments, input);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "minisign {arguments:?}: {said}");
    said
}

fn manifest_bytes() -> Vec<u8> {
    postcard::to_allocvec(&sample()).unwrap()
}

#[test]
fn stock_minisign_accepts_what_we_sign() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let parts = split(&signed(&sample())).unwrap();
    fs::write(path.join("manifest.bin"), &parts.manifest).unwrap();
    fs::write(path.join("manifest.bin.minisig"), &parts.signatures[0]).unwrap();
    fs::write(path.join("release.pub"), release_key().public_text()).unwrap();
    let said = succeeds(path, &["-V", "-m", "manifest.bin", "-p", "release.pub"], "");
    assert!(
        said.contains("Signature and comment signature verified"),
        "{said}"
    );

    fs::write(path.join("manifest.bin"), b"another").unwrap();
    let output = minisign(path, &["-V", "-m", "manifest.bin", "-p", "release.pub"], "");
    assert!(
        !output.status.success(),
        "or the check above would prove nothing"
    );
}

#[test]
fn we_accept_what_stock_minisign_signs() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    succeeds(
        path,
        &["-G", "-W", "-p", "stock.pub", "-s", "stock.key"],
        "",
    );
    let head = signed(&sample());
    fs::write(path.join("manifest.bin"), split(&head).unwrap().manifest).unwrap();
    succeeds(path, &["-S", "-m", "manifest.bin", "-s", "stock.key"], "");
    let minisig = fs::read_to_string(path.join("manifest.bin.minisig")).unwrap();
    let joined = join(&head, &minisig).unwrap();
    let public = fs::read_to_string(path.join("stock.pub")).unwrap();
    let store = TrustStore::from_keys(vec![(None, public.clone())]).unwrap();
    let bundle = verify(joined.clone(), &store).unwrap();
    assert_eq!(bundle.signers(), [store.keys()[0].id()]);
    // And what comes out of the bundle again is what stock minisign accepts.
    fs::write(
        path.join("again.minisig"),
        &split(&joined).unwrap().signatures[1],
    )
    .unwrap();
    succeeds(
        path,
        &[
            "-V",
            "-m",
            "manifest.bin",
            "-x",
            "again.minisig",
            "-p",
            "stock.pub",
        ],
        "",
    );

    // The key itself is one that we sign with, too.
    let secret = fs::read_to_string(path.join("stock.key")).unwrap();
    let ours = key(&secret);
    assert_eq!(ours.public_text().lines().nth(1), public.lines().nth(1));
    assert!(verify(sign(&manifest_bytes(), &[&ours]), &store).is_ok());
}

#[test]
fn our_signatures_are_those_of_stock_minisign_byte_for_byte() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("manifest.bin"), manifest_bytes()).unwrap();
    fs::write(path.join("release.key"), RELEASE_KEY).unwrap();
    let arguments = [
        "-S",
        "-W",
        "-m",
        "manifest.bin",
        "-s",
        "release.key",
        "-t",
        "a test",
    ];
    succeeds(path, &arguments, "");
    let theirs = fs::read_to_string(path.join("manifest.bin.minisig")).unwrap();
    let ours = split(&signed(&sample())).unwrap().signatures.remove(0);
    let signed_lines = |text: &str| text.lines().skip(1).map(String::from).collect::<Vec<_>>();
    assert_eq!(signed_lines(&ours), signed_lines(&theirs));
}

#[test]
fn stock_minisign_signs_with_our_keys() {
    if !installed() {
        return;
    }
    for password in [None, Some("correct horse")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let (secret, public) = key::generate(password).unwrap();
        fs::write(path.join("ours.key"), secret).unwrap();
        fs::write(path.join("ours.pub"), &public).unwrap();
        fs::write(path.join("manifest.bin"), manifest_bytes()).unwrap();
        let input = password.map(|p| format!("{p}\n")).unwrap_or_default();
        succeeds(
            path,
            &["-S", "-m", "manifest.bin", "-s", "ours.key"],
            &input,
        );
        succeeds(path, &["-V", "-m", "manifest.bin", "-p", "ours.pub"], "");
        let minisig = fs::read_to_string(path.join("manifest.bin.minisig")).unwrap();
        let joined = join(&signed(&sample()), &minisig).unwrap();
        let store = TrustStore::from_keys(vec![(None, public)]).unwrap();
        assert!(verify(joined, &store).is_ok());
    }
}

#[test]
fn we_open_password_keys_of_stock_minisign() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let arguments = ["-G", "-p", "stock.pub", "-s", "stock.key"];
    succeeds(path, &arguments, "correct horse\ncorrect horse\n");
    let load =
        |password: &str| SecretKey::load(&path.join("stock.key"), || Ok(password.to_string()));
    let public = fs::read_to_string(path.join("stock.pub")).unwrap();
    let store = TrustStore::from_keys(vec![(None, public)]).unwrap();
    let head = sign(&manifest_bytes(), &[&load("correct horse").unwrap()]);
    assert!(verify(head, &store).is_ok());
    assert!(load("wrong").is_err());
}
