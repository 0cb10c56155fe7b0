//! Which server is taken for the relay: certificates, clocks, proxies.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use relay_api::device::{CheckIn, encode};

use super::super::{Remote as _, RemoteError, Roots};
use super::control::answer;
use super::server::{Authority, Client, Handler, Server, Years, facts, send, until_gone};

/// A relay that answers everything.
pub(super) fn well() -> Handler {
    Box::new(|asked, peer| {
        if asked.path.ends_with("/challenge") {
            send(peer, "204 No Content", &[], b"");
        } else {
            send(peer, "200 OK", &[], &encode(&answer()));
        }
    })
}

/// What a check-in at this client's server gives.
pub(super) fn check_in(client: Client) -> Result<(), RemoteError> {
    let remote = client.remote()?;
    let check_in = CheckIn {
        facts: facts(),
        apps: vec![],
        seen: 0,
        wait_s: 0,
    };
    let answered = smol::block_on(remote.check_in(check_in))?;
    assert_eq!(answered, answer());
    Ok(())
}

const GOOD: Years = (2020, 4000);

fn certificate_words(result: Result<(), RemoteError>) -> String {
    match result {
        Err(RemoteError::Certificate(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_of_a_trusted_authority_is_taken() {
    let ca = Authority::new(GOOD);
    let server = Server::start(Some(ca.server("localhost", GOOD)), well());
    check_in(Client::of(&server.url(), &ca)).unwrap();
    // By its address too, if the certificate says so.
    let server = Server::start(Some(ca.server("127.0.0.1", GOOD)), well());
    check_in(Client::of(&format!("https://{}", server.address), &ca)).unwrap();
}

#[test]
fn a_certificate_for_another_host_is_not() {
    let ca = Authority::new(GOOD);
    let server = Server::start(Some(ca.server("other.example", GOOD)), well());
    let words = certificate_words(check_in(Client::of(&server.url(), &ca)));
    assert_eq!(words, "it is for another host");
    assert_eq!(server.asked(), [], "nothing was said");
}

#[test]
fn a_certificate_of_another_authority_is_not() {
    let (ca, other) = (Authority::new(GOOD), Authority::new(GOOD));
    let server = Server::start(Some(other.server("localhost", GOOD)), well());
    let words = certificate_words(check_in(Client::of(&server.url(), &ca)));
    assert!(!words.is_empty());
    assert_eq!(server.asked(), []);
    // Nor where the system's authorities are asked.
    let mut client = Client::of(&server.url(), &ca);
    client.roots = Roots::System;
    assert!(matches!(check_in(client), Err(RemoteError::Certificate(_))));
    assert_eq!(server.asked(), []);
}

/// Seconds since 1970 at the start of a year, near enough.
fn year(year: u64) -> u64 {
    (year - 1970) * 31_556_952
}

#[test]
fn an_expired_certificate_is_not() {
    let ca = Authority::new(GOOD);
    let server = Server::start(Some(ca.server("localhost", (2020, 2021))), well());
    let words = certificate_words(check_in(Client::of(&server.url(), &ca)));
    assert_eq!(words, "it has expired");
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_taken_only_where_the_clock_is_known_to_be_behind() {
    let ca = Authority::new(GOOD);
    let server = Server::start(Some(ca.server("localhost", (3000, 3001))), well());
    let with_floor = |floor| {
        let mut client = Client::of(&server.url(), &ca);
        client.floor = floor;
        check_in(client)
    };
    // The wall clock of this machine may be right.
    let words = certificate_words(with_floor(0));
    assert_eq!(words, "it is not valid yet, by this device's clock");
    // It is certainly behind: made after the firmware, or good at the floor.
    with_floor(year(2900)).unwrap();
    with_floor(year(3000) + 86_400 * 30).unwrap();
    // It has certainly expired.
    assert_eq!(certificate_words(with_floor(year(3002))), "it has expired");
}

#[test]
fn a_clock_that_is_behind_relaxes_nothing_else() {
    let (ca, other) = (Authority::new(GOOD), Authority::new(GOOD));
    let future = (3000, 3001);
    for tls in [
        other.server("localhost", future),
        ca.server("other.example", future),
    ] {
        let server = Server::start(Some(tls), well());
        let mut client = Client::of(&server.url(), &ca);
        client.floor = year(2900);
        certificate_words(check_in(client));
        assert_eq!(server.asked(), []);
    }
}

#[test]
fn a_server_without_tls_is_no_relay() {
    let ca = Authority::new(GOOD);
    let server = Server::start(None, well());
    assert!(check_in(Client::of(&server.url(), &ca)).is_err());
    let plain = format!("http://{}", server.address);
    check_in(Client::of(&plain, &ca)).unwrap();
}

#[test]
fn nobody_at_the_address_is_unreachable() {
    let ca = Authority::new(GOOD);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", free.local_addr().unwrap());
    drop(free);
    let result = check_in(Client::of(&url, &ca));
    assert!(
        matches!(result, Err(RemoteError::Unreachable(_))),
        "{result:?}"
    );
}

/// A CONNECT proxy that leads to `to`, whatever it is asked for; sends on what it was asked.
fn proxy(to: SocketAddr) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    // Ends with the process: it waits for a connection that nobody makes.
    thread::spawn(move || {
        for near in listener.incoming() {
            let (mut near, mut head) = (near.unwrap(), Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                near.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let known = head.contains("Proxy-Authorization: ");
            sender.send(head).unwrap();
            if !known {
                near.write_all(b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n")
                    .unwrap();
                continue;
            }
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let far = TcpStream::connect(to).unwrap();
            pass_on(near.try_clone().unwrap(), far.try_clone().unwrap());
            pass_on(far, near);
        }
    });
    (address, receiver)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

#[test]
fn a_proxy_sees_the_host_and_its_own_password_and_nothing_else() {
    let ca = Authority::new(GOOD);
    let server = Server::start(Some(ca.server("relay.example", GOOD)), well());
    let (proxy, heads) = proxy(server.address);
    let through = |login: &str| {
        let mut client = Client::of("https://relay.example:8443", &ca);
        client.proxy = Some(format!("http://{login}{proxy}"));
        check_in(client)
    };
    through("user:secret@").unwrap();
    let head = heads.recv().unwrap();
    assert!(
        head.starts_with("CONNECT relay.example:8443 HTTP/1.1\r\n"),
        "{head}"
    );
    // user:secret
    assert!(
        head.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"),
        "{head}"
    );
    assert!(
        !head.contains("pump-7") && !head.to_lowercase().contains("coracle-device"),
        "{head}"
    );
    let asked = server.asked();
    assert!(
        asked.len() == 2
            && asked
                .iter()
                .all(|a| a.header("proxy-authorization").is_empty())
    );
    match through("") {
        Err(RemoteError::Unreachable(words)) => assert!(words.contains("407"), "{words}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_proxy_that_breaks_off_is_unreachable_and_keeps_its_password() {
    let ca = Authority::new(GOOD);
    let proxy = Server::start(
        None,
        Box::new(|_, peer| {
            let _ = peer.write_all(b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n");
            let _ = peer.flush();
            until_gone(peer);
        }),
    );
    let mut client = Client::of("https://relay.example", &ca);
    client.proxy = Some(format!("http://user:secret@{}", proxy.address));
    let error = check_in(client).unwrap_err();
    assert!(matches!(&error, RemoteError::Unreachable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}
