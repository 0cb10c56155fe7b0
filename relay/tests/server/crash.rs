//! `kill -9` in the middle: what was acknowledged is there, the rest can be done again.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::device::{Device, exited};
use crate::server::Server;

/// Counts what was acknowledged, and says when it is enough for the kill.
#[derive(Default)]
struct Acknowledged {
    count: AtomicUsize,
    enough: Notify,
}

impl Acknowledged {
    const ENOUGH: usize = 20;

    fn one_more(&self) {
        if self.count.fetch_add(1, Ordering::SeqCst) + 1 == Self::ENOUGH {
            self.enough.notify_one();
        }
    }
}

/// Begins to send a bundle, and comes back when the relay has some of it on its disk.
fn half_sent(server: &Server, file: &[u8]) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /api/v1/bundles HTTP/1.1\r\nHost: relay\r\nContent-Length: {}\r\n\
         Authorization: Bearer {}\r\n\r\n",
        file.len(),
        server.operator().token
    )
    .unwrap();
    stream.write_all(&file[..file.len() / 2]).unwrap();
    let incoming = server.data("incoming");
    e2e::wait_until("half of the file", Duration::from_secs(30), || {
        let mut entries = std::fs::read_dir(&incoming)?;
        let some = entries.any(|entry| {
            let file = entry.and_then(|entry| entry.metadata());
            file.is_ok_and(|file| file.len() > 0)
        });
        Ok(some.then_some(()))
    })
    .unwrap();
    stream
}

#[tokio::test]
async fn an_upload_does_not_keep_the_relay_from_ending() {
    let server = Server::start_plain(&[]);
    let file = server.pack(1);
    let mut stream = half_sent(&server, &file);
    let incoming = server.data("incoming");
    let (code, place) = server.stop();
    assert_eq!(code, Some(0));
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.to_lowercase().contains("\r\nretry-after: "),
        "{answer}"
    );
    assert_eq!(std::fs::read_dir(&incoming).unwrap().count(), 0);
    let log = place.read("serve.log");
    let log = String::from_utf8(log).unwrap();
    assert!(!log.contains("cut off"), "{log}");
}

#[tokio::test]
async fn killed_in_the_middle_of_a_publish() {
    let server = Server::start_plain(&[]);
    let file = server.pack(1);
    let _stream = half_sent(&server, &file);
    let incoming = server.data("incoming");
    let place = server.kill();
    assert!(std::fs::read_dir(&incoming).unwrap().count() > 0);

    let server = Server::start_in(place, &[]);
    assert_eq!(std::fs::read_dir(&incoming).unwrap().count(), 0);
    let bundles = std::fs::read_dir(server.data("bundles")).unwrap();
    assert_eq!(bundles.count(), 0);
    let operator = server.operator();
    let releases = operator.get("/api/v1/releases").await.json();
    assert_eq!(releases, serde_json::json!([]));
    operator.publish(&file).await.ok(201);
}

#[tokio::test]
async fn a_sender_that_hangs_up_leaves_nothing_and_is_remembered() {
    let server = Server::start_plain(&[]);
    let operator = server.operator();
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /api/v1/bundles HTTP/1.1\r\nHost: relay\r\nContent-Length: 9\r\n\
         Authorization: Bearer {}\r\n\r\nhalf",
        operator.token
    )
    .unwrap();
    drop(stream);
    let refused = || async {
        let audit = operator.audit().await;
        audit.iter().any(|entry| entry == "admin publish  refused")
    };
    while !refused().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = std::fs::read_dir(server.data("incoming")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn killed_in_the_middle_of_enrolments() {
    let server = Server::start_plain(&[]);
    let acknowledged = Arc::new(Acknowledged::default());
    let mut workers = Vec::new();
    for worker in 0..8 {
        let (operator, acknowledged) = (server.operator(), Arc::clone(&acknowledged));
        workers.push(tokio::spawn(async move {
            let mut done = Vec::new();
            for number in 0.. {
                let id = format!("pump-{worker}-{number}");
                let device = Device::with(operator.client.clone(), &operator.url, &id);
                let asked = serde_json::json!({"ttl_s": 3600});
                let request = operator.request(reqwest::Method::POST, "/api/v1/enroll-tokens");
                let Ok(made) = crate::server::send(request.body(asked.to_string())).await else {
                    return (done, None);
                };
                let token = made.ok(201).json()["token"].as_str().unwrap().to_string();
                match device.try_enroll(&token).await {
                    Ok(answered) => answered.ok(200),
                    Err(_) => return (done, Some((device, token))),
                };
                done.push(device);
                acknowledged.one_more();
            }
            unreachable!()
        }));
    }
    acknowledged.enough.notified().await;
    let place = server.kill();
    let server = Server::start_in(place, &[]);
    let mut known = 0;
    for worker in workers {
        let (done, interrupted) = worker.await.unwrap();
        for device in done {
            let device = device.moved(&server);
            device.check_in(0, 0, Vec::new()).await;
            known += 1;
        }
        if let Some((device, token)) = interrupted {
            device.moved(&server).enroll(&token).await.ok(200);
            known += 1;
        }
    }
    let devices = server.operator().get("/api/v1/devices").await.json();
    assert_eq!(devices.as_array().unwrap().len(), known);
    assert!(known >= Acknowledged::ENOUGH);
}

#[tokio::test]
async fn killed_in_the_middle_of_reports() {
    let server = Server::start_plain(&[]);
    let acknowledged = Arc::new(Acknowledged::default());
    let mut workers = Vec::new();
    for worker in 0..8 {
        let device = Device::enrolled(&server, &format!("pump-{worker}")).await;
        let acknowledged = Arc::clone(&acknowledged);
        workers.push(tokio::spawn(async move {
            for number in 0.. {
                let key = format!("{number:032x}");
                match device.try_report(&key, &exited(number)).await {
                    Ok(answered) => answered.ok(204),
                    Err(_) => return (device, number),
                };
                acknowledged.one_more();
            }
            unreachable!()
        }));
    }
    acknowledged.enough.notified().await;
    let place = server.kill();
    let server = Server::start_in(place, &[]);
    let operator = server.operator();
    for worker in workers {
        let (device, stored) = worker.await.unwrap();
        let device = device.moved(&server);
        let events = || async {
            let path = format!("/api/v1/devices/{}", device.id);
            let shown = operator.get(&path).await.json();
            shown["events"].as_array().unwrap().len()
        };
        let shown_max = 50;
        let stored = usize::try_from(stored).unwrap();
        assert!(events().await >= stored.min(shown_max));
        // Sent again, the last acknowledged is the same, and the interrupted one is stored once.
        for number in stored.saturating_sub(1)..=stored {
            let report = exited(number.try_into().unwrap());
            device
                .report(&format!("{number:032x}"), &report)
                .await
                .ok(204);
        }
        assert_eq!(events().await, (stored + 1).min(shown_max));
    }
}
