//! `relay pack`: what it writes, what it says, and when it refuses.

use crate::image::image;
use crate::run::{Place, minisign, said};

const COMPOSE: &str = "services:
  web:
    environment: {SITE: '${SITE}', BUILD: '${BUILD:-none}'}
    ports: ['8080:80']
    configs: [motd]
    volumes: ['data:/data']
  db:
    image: postgres:16
    volumes: ['data:/data']
configs:
  motd: {content: hello}
volumes:
  data:
x-coracle:
  trial: 10s
  variables: {SITE: north}
";

#[test]
fn the_same_input_gives_the_same_bytes() {
    let place = Place::new();
    place.write("compose.yaml", COMPOSE);
    let web = format!("web={}", place.archive("web.tar", &image("web")));
    let db = format!("db={}", place.archive("db.tar", &image("db")));
    let pack = |arguments: &[&str]| {
        place.pack(arguments).ok();
        place.read("out.bin")
    };
    let first = pack(&[
        "--image", &web, "--image", &db, "--class", "a", "--class", "b",
    ]);
    let second = pack(&[
        "--class", "b", "--class", "a", "--image", &db, "--image", &web,
    ]);
    assert!(first == second, "the order of flags must not matter");

    // The time comes from --issued-at, else from SOURCE_DATE_EPOCH.
    let mut command = place.command(&["pack", "compose.yaml", "--app", "kiosk"]);
    command.args([
        "--version",
        "1.0",
        "--seq",
        "1",
        "--arch",
        "amd64",
        "--compression",
        "1",
    ]);
    command.args([
        "--key",
        "release.key",
        "-o",
        "out.bin",
        "--image",
        &web,
        "--image",
        &db,
    ]);
    command
        .args(["--class", "a", "--class", "b"])
        .env("SOURCE_DATE_EPOCH", "1700000000");
    said(&mut command).ok();
    assert!(first == place.read("out.bin"));

    let later = pack(&[
        "--image", &web, "--image", &db, "--class", "a", "--class", "b", "--epoch", "1",
    ]);
    assert!(first != later);
    assert_eq!(place.left_over(), Vec::<String>::new());
}

#[test]
fn everything_gets_into_the_manifest() {
    let place = Place::new();
    place.write("compose.yaml", COMPOSE);
    place.write("pack.env", "BUILD=77\n");
    place.archive("web.tar", &image("web"));
    place
        .pack(&[
            "--image",
            "web=oci-archive:web.tar",
            "--image",
            "db=oci-archive:web.tar",
            "--env-file",
            "pack.env",
            "--fleet",
            "shops",
            "--device",
            "d1",
            "--epoch",
            "3",
            "--not-after",
            "2030-01-01T00:00:00Z",
        ])
        .ok();
    let shown = place.inspect();
    let manifest = &shown["manifest"];
    assert_eq!(manifest["tag"], "crcl-app");
    assert_eq!(manifest["app"], "kiosk");
    assert_eq!(manifest["seq"], 1);
    assert_eq!(manifest["epoch"], 3);
    assert_eq!(manifest["issued_at"], 1_700_000_000);
    assert_eq!(manifest["not_after"], 1_893_456_000);
    assert_eq!(manifest["target"]["fleet"], "shops");
    assert_eq!(manifest["target"]["devices"][0], "d1");
    assert_eq!(manifest["policy"]["trial_s"], 10);
    assert_eq!(manifest["variables"][0]["name"], "SITE");
    // One source for two services is one image.
    assert_eq!(manifest["images"].as_array().unwrap().len(), 1);
    let environment = &manifest["services"][0]["environment"];
    assert_eq!(environment[0][1], "77");
    assert_eq!(environment[1][1], "${SITE}");
    let human = place.relay(&["bundle", "show", "out.bin"]).ok();
    for part in [
        "kiosk 1.0 (seq 1, epoch 3)",
        "SITE (text, default \"north\")",
        "service db",
        "data→/data",
        "8080→80/tcp",
    ] {
        assert!(human.contains(part), "{part} in\n{human}");
    }
}

#[test]
fn json_is_all_that_standard_output_holds() {
    let place = Place::new();
    let web = format!("web={}", place.archive("web.tar", &image("web")));
    let said = place.pack(&["--image", &web, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["path"], "out.bin");
    assert_eq!(report["bytes"], place.read("out.bin").len());
    assert_eq!(report["digest"], place.inspect()["digest"]);
    assert_eq!(
        (
            &report["services"],
            &report["images"],
            &report["layers"],
            &report["blobs"]
        ),
        (&1.into(), &1.into(), &2.into(), &3.into())
    );
    assert_eq!(report["keys"].as_array().unwrap().len(), 1);
    assert!(
        said.err.contains("web: layer 1 of 2"),
        "plain lines where no terminal is: {}",
        said.err
    );
    let human = place.pack(&["--image", &web]).ok();
    assert!(
        human.contains("1 service, 1 image, 2 layers, 3 blobs"),
        "{human}"
    );
}

#[test]
fn services_and_images_must_fit() {
    let place = Place::new();
    place.write("compose.yaml", COMPOSE);
    let web = format!("web={}", place.archive("web.tar", &image("web")));
    for (arguments, want) in [
        (
            vec!["--image", &web],
            "error: compose.yaml:8:12: services.db.image: postgres:16 is not pinned by digest",
        ),
        (
            vec!["--image", &web, "--image", "cache=oci:x"],
            "error: --image cache: the Compose file has no such service, only web, db",
        ),
        (
            vec!["--image", &web, "--image", &web],
            "error: --image web: is there twice",
        ),
    ] {
        let error = place.pack(&arguments).fails(1);
        assert!(error.starts_with(want), "{error}");
    }
    place.write("compose.yaml", "services: {web: {}}");
    let error = place.pack(&[]).fails(1);
    assert!(
        error.contains("services.web: has no image\nhint: give --image"),
        "{error}"
    );
    // Short names and tags are never resolved.
    for name in [
        "nginx",
        "nginx@sha256:0",
        "library/nginx:1",
        "ghcr.io/a/b:1",
    ] {
        place.write(
            "compose.yaml",
            format!("services: {{web: {{image: '{name}'}}}}"),
        );
        let error = place.pack(&[]).fails(1);
        assert!(error.contains("is not pinned by digest"), "{name}: {error}");
    }
}

#[test]
fn compose_mistakes_come_together_with_places() {
    let place = Place::new();
    place.write(
        "compose.yaml",
        "services:\n  web:\n    build: .\n    tty: true\n",
    );
    let error = place.pack(&["--image", "web=oci:x"]).fails(1);
    assert_eq!(
        error,
        "error: compose.yaml:3:5: services.web.build: not supported: images come ready-made with --image (see docs/compose.md)\n\
         error: compose.yaml:4:5: services.web.tty: not supported: containers on a device have no terminal (see docs/compose.md)\n"
    );
}

#[test]
fn usage_mistakes_are_exit_code_2() {
    let place = Place::new();
    for arguments in [
        &["pack"][..],
        &["pak"],
        &["pack", "compose.yaml", "--app", "Not An App"],
        &["key", "new"],
        &["bundle", "verify", "out.bin"],
    ] {
        place.relay(arguments).fails(2);
    }
    for arguments in [
        &["--not-after", "yesterday"][..],
        &["--not-after", "1"],
        &["--arch", "mips"],
        &["--compression", "20"],
        &["--unsigned"],
        &["--delta-from", "old.bin"],
        &["--thin"],
    ] {
        place.pack(arguments).fails(2);
    }
    place.relay(&["--help"]).ok();
    place.relay(&["pack", "--help"]).ok();
    assert!(place.relay(&["completion", "bash"]).ok().contains("relay"));
    assert!(
        place
            .relay(&["completion", "zsh"])
            .ok()
            .contains("#compdef relay")
    );
    assert!(place.relay(&["man"]).ok().contains(".TH relay 1"));
    std::fs::create_dir(place.path("man")).unwrap();
    place.relay(&["man", "man"]).ok();
    assert!(place.path("man/relay-pack.1").exists());
}

#[test]
fn an_existing_bundle_stays_when_packing_fails() {
    let place = Place::new();
    let web = format!("web={}", place.archive("web.tar", &image("web")));
    place.pack(&["--image", &web]).ok();
    let before = place.read("out.bin");
    place
        .pack(&["--image", "web=oci-archive:missing.tar"])
        .fails(1);
    place
        .pack(&["--image", &web, "--key", "missing.key"])
        .fails(1);
    assert!(before == place.read("out.bin"));
    assert_eq!(place.left_over(), Vec::<String>::new());
}

#[test]
fn a_bundle_without_services_retires_the_app() {
    let place = Place::new();
    place.write("compose.yaml", "services: {}\n");
    let said = place.pack(&[]);
    assert!(
        said.err.contains(
            "warning: compose.yaml:1:11: services: no services: the bundle will retire the app"
        ),
        "{}",
        said.err
    );
    place
        .relay(&["bundle", "verify", "--pub", "release.pub", "out.bin"])
        .ok();
}

#[test]
fn several_keys_sign_and_stock_minisign_agrees() {
    let place = Place::new();
    place
        .relay(&["key", "new", "--out", "second", "--no-password"])
        .ok();
    let web = format!("web={}", place.archive("web.tar", &image("web")));
    place.pack(&["--image", &web, "--key", "second.key"]).ok();
    for key in ["release.pub", "second.pub"] {
        place
            .relay(&["bundle", "verify", "--pub", key, "out.bin"])
            .ok();
    }
    place
        .relay(&["bundle", "split", "out.bin", "--dir", "parts"])
        .ok();
    for (key, signature) in [
        ("../release.pub", "manifest.bin.minisig"),
        ("../second.pub", "manifest.bin.2.minisig"),
    ] {
        let arguments = ["-V", "-p", key, "-m", "manifest.bin", "-x", signature];
        let Some(said) = minisign(&place.path("parts"), &arguments) else {
            return;
        };
        assert!(
            said.ok()
                .contains("Trusted comment: coracle app kiosk version 1.0 seq 1")
        );
    }
}
