//! Clauses B36 to B39: path traversal, mounts over each other, modes.

use super::base::*;
use crate::Manifest;

/// Paths that mean something else, or nothing, to some runtime.
const BAD_PATHS: [&str; 17] = [
    "",
    ".",
    "..",
    "etc",
    "./etc",
    "../etc",
    "/.",
    "/..",
    "/etc/..",
    "/../etc",
    "/etc/../../root",
    "/etc/./passwd",
    "//etc",
    "/etc//passwd",
    "/etc/",
    "/e\ntc",
    "/e\u{7f}tc",
];

type Place = (&'static str, fn(&mut Manifest, &str));

const TARGETS: [Place; 5] = [
    ("volume", |m, path| {
        m.services[0].volumes[0].target = text(path)
    }),
    ("bind", |m, path| m.services[0].binds[0].target = text(path)),
    ("tmpfs", |m, path| {
        m.services[0].tmpfs[0].target = text(path)
    }),
    ("file", |m, path| m.services[0].files[0].target = text(path)),
    ("device", |m, path| {
        m.services[0].devices[0].target = text(path)
    }),
];

const SOURCES: [Place; 3] = [
    ("bind source", |m, path| {
        m.services[0].binds[0].source = text(path)
    }),
    ("device source", |m, path| {
        m.services[0].devices[0].source = text(path)
    }),
    ("working directory", |m, path| {
        m.services[0].working_dir = Some(text(path))
    }),
];

fn clause(place: fn(&mut Manifest, &str), path: &str) -> &'static str {
    let mut m = sample();
    place(&mut m, path);
    check(&m).map_or_else(|refused| refused.clause(), |_| "accepted")
}

#[test]
fn paths_that_are_relative_or_climb_are_refused() {
    for (name, place) in TARGETS.into_iter().chain(SOURCES) {
        for path in BAD_PATHS {
            assert_eq!(clause(place, path), "B36", "{name} {path:?}");
        }
        for path in ["/a", "/a/b.c/d-e", "/...", "/..a", "/a b", "/é"] {
            assert_eq!(clause(place, path), "accepted", "{name} {path:?}");
        }
    }
}

#[test]
fn nothing_is_mounted_over_the_root() {
    for (name, place) in TARGETS {
        assert_eq!(clause(place, "/"), "B37", "{name}");
    }
    assert_eq!(
        clause(SOURCES[2].1, "/"),
        "accepted",
        "the root as working directory"
    );
}

#[test]
fn two_mounts_at_one_place_are_refused() {
    for (i, (name, place)) in TARGETS.iter().enumerate() {
        for (other, second) in &TARGETS[i + 1..] {
            let mut m = sample();
            place(&mut m, "/same");
            second(&mut m, "/same");
            let refused = check(&m).unwrap_err();
            assert_eq!(refused.clause(), "B37", "{name} and {other}");
        }
        assert_eq!(
            clause(*place, "/run/coracle/app.sock"),
            "B37",
            "{name} over the API socket"
        );
    }
    accepts(&[
        ("the socket's place without the API", |m| {
            m.services[0].api = false;
            m.services[0].tmpfs[0].target = text("/run/coracle/app.sock");
        }),
        ("one beneath another", |m| {
            m.services[0].files[0].target = text("/data/web.conf")
        }),
    ]);
}

#[test]
fn undeclared_volumes_and_special_modes_are_refused() {
    refuses(&[
        ("an undeclared volume", "B38", |m| {
            m.services[0].volumes[0].volume = volume("other")
        }),
        ("set-uid", "B38", |m| m.services[0].files[0].mode = 0o4755),
        ("sticky", "B38", |m| m.services[0].files[0].mode = 0o1777),
        ("beyond all bits", "B38", |m| {
            m.services[0].files[0].mode = u16::MAX
        }),
        ("a tmpfs without room", "B38", |m| {
            m.services[0].tmpfs[0].bytes_max = Some(0)
        }),
    ]);
    accepts(&[("every permission", |m| m.services[0].files[0].mode = 0o777)]);
}

#[test]
fn device_permissions_that_are_none_are_refused() {
    refuses(&[
        ("none", "B39", |m| {
            m.services[0].devices[0].permissions = text("")
        }),
        ("another letter", "B39", |m| {
            m.services[0].devices[0].permissions = text("rx")
        }),
        ("a letter twice", "B39", |m| {
            m.services[0].devices[0].permissions = text("rr")
        }),
        ("an injected option", "B39", |m| {
            m.services[0].devices[0].permissions = text("rwm:/dev/sda");
        }),
    ]);
}
