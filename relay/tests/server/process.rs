//! The process: settings, certificates, signals.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::device::Device;
use crate::run::Place;
use crate::server::{Server, client, send};

#[tokio::test]
async fn its_ca_is_all_that_a_client_needs_and_nothing_else_will_do() {
    let server = Server::start(&[]);
    let health = |url: &str| format!("{url}/healthz");
    for url in [&server.url, &server.url.replace("127.0.0.1", "localhost")] {
        send(server.client().get(health(url)))
            .await
            .unwrap()
            .ok(200);
    }
    let other = Server::start(&[]);
    let refused = send(other.client().get(health(&server.url))).await;
    assert!(refused.unwrap_err().is_connect());
    // Kept over a restart: devices need no new one.
    let ca = server.place.read("ca/ca.pem");
    let place = server.kill();
    let server = Server::start_in(place, &[]);
    let before = client(Some(ca));
    send(before.get(health(&server.url))).await.unwrap().ok(200);
    send(before.get(format!("{}/readyz", server.url)))
        .await
        .unwrap()
        .ok(200);
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_read_again_on_sighup() {
    let Ok(version) = std::process::Command::new("openssl")
        .arg("version")
        .output()
    else {
        println!("not run: openssl is not installed");
        return;
    };
    assert!(version.status.success());
    let place = Arc::new(Place::new());
    let make = |name: &str| {
        let mut openssl = std::process::Command::new("openssl");
        openssl.current_dir(place.path(""));
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt"]);
        openssl.args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
        openssl.args([
            "-subj",
            "/CN=relay",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.args(["-keyout", "tls.key", "-out", name]);
        crate::run::said(&mut openssl).ok();
        place.read(name)
    };
    let first = make("tls.pem");
    let settings = "data = \"data\"\nlisten = \"127.0.0.1:0\"\n\
                    tls_cert = \"tls.pem\"\ntls_key = \"tls.key\"\n";
    place.write("relay.toml", settings);
    let server = Server::start_with(Arc::clone(&place), &["--config", "relay.toml"]);
    let health = format!("{}/healthz", server.url);
    send(client(Some(first.clone())).get(&health))
        .await
        .unwrap()
        .ok(200);
    let second = make("tls.pem");
    server.signal("-HUP");
    let fresh = || send(client(Some(second.clone())).get(&health));
    while fresh().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // A file that is no certificate does not end what works.
    place.write("tls.pem", "rubbish");
    server.signal("-HUP");
    while !server.log().contains("the old certificate stays") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    fresh().await.unwrap().ok(200);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_to_do() {
    let place = Place::new();
    place.write("bad.toml", "lissen = \"127.0.0.1:0\"\n");
    for (arguments, said) in [
        (&["--listen", "127.0.0.1:0"][..], "--data is missing"),
        (&["--data", "d"], "--listen is missing"),
        (&["--data", "d", "--listen", "0.0.0.0:0"], "there is no TLS"),
        (
            &["--data", "d", "--listen", "127.0.0.1:0", "--tls-cert", "x"],
            "do not go together",
        ),
        (
            &[
                "--data",
                "d",
                "--listen",
                "127.0.0.1:0",
                "--long-poll",
                "56",
            ],
            "--long-poll must be at most 55",
        ),
        (&["--config", "bad.toml"], "lissen"),
        (&["--config", "missing.toml"], "missing.toml"),
    ] {
        let all = [&["serve"], arguments].concat();
        let error = place.relay(&all).fails(2);
        assert!(error.contains(said), "{error}");
        assert!(error.contains("\nhint: "), "{error}");
    }
    for (arguments, said) in [
        (
            &["--tls-cert", "x", "--tls-key", "y"][..],
            "x: No such file",
        ),
        (&["--keys", "nowhere"], "nowhere"),
    ] {
        let all = [
            &["serve", "--data", "d", "--listen", "127.0.0.1:0"],
            arguments,
        ]
        .concat();
        let error = place.relay(&all).fails(1);
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_second_relay_does_not_touch_the_data_of_the_first() {
    let server = Server::start(&[]);
    std::fs::write(server.data("incoming/half"), "half").unwrap();
    let arguments = ["serve", "--data", "data", "--listen", "127.0.0.1:0"];
    let error = server.place.relay(&arguments).fails(1);
    assert!(error.contains("another relay serves data"), "{error}");
    assert!(server.data("incoming/half").exists());
}

#[tokio::test]
async fn the_first_token_is_told_once() {
    let server = Server::start(&[]);
    // Told before it is stored: the first answer comes after both.
    server.operator().get("/api/v1/whoami").await.ok(200);
    let token = server.place.read("admin.token");
    use std::os::unix::fs::PermissionsExt as _;
    for private in ["admin.token", "data/relay.db", "ca/ca.key"] {
        let mode = std::fs::metadata(server.place.path(private)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{private}");
    }
    let place = server.kill();
    std::fs::remove_file(place.path("admin.token")).unwrap();
    let server = Server::start_in(place, &[]);
    assert!(!server.place.path("admin.token").exists());
    let database = [server.data("relay.db"), server.data("relay.db-wal")];
    let token = String::from_utf8(token).unwrap();
    for file in database.iter().filter(|file| file.exists()) {
        let bytes = std::fs::read(file).unwrap();
        let found = bytes
            .windows(token.trim().len())
            .any(|window| window == token.trim().as_bytes());
        assert!(!found, "{}", file.display());
    }
}

#[tokio::test]
async fn each_request_is_one_line_and_says_who_and_how_much() {
    let server = Server::start(&["--log-format", "json"]);
    let file = server.pack(1);
    server.operator().publish(&file).await.ok(201);
    let device = Device::enrolled(&server, "pump-7").await;
    let name = bundle::Digest::of(&file).hex();
    let path = format!("/device/v1/bundles/{name}?x=%1b%5b31m");
    device.ask(Method::GET, &path, Vec::new()).await.ok(200);
    let log = server.log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests: Vec<Value> = lines.filter(|line| line["message"] == "request").collect();
    let publish = requests
        .iter()
        .find(|line| line["method"] == "POST")
        .unwrap();
    assert_eq!(publish["route"], "/api/v1/bundles");
    assert_eq!(
        (&publish["status"], &publish["who"]),
        (&json!(201), &json!("admin"))
    );
    let fetch = requests.last().unwrap();
    assert_eq!(fetch["route"], "/device/v1/bundles/{file}");
    assert_eq!(fetch["who"], "device pump-7");
    assert_eq!(fetch["bytes"], file.len());
    assert!(!log.contains(&name) && !log.contains("31m"), "{log}");
}
