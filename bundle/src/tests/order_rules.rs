//! Clauses B50 to B52: dependencies that could never be met.

use super::base::*;
use crate::manifest::{Condition, Dependency, Restart};
use crate::{Manifest, ServiceName};

fn on(service: &str, condition: Condition) -> Dependency {
    Dependency {
        service: ServiceName::new(service).unwrap(),
        condition,
    }
}

/// A retired app with services named by letters, each depending on those named with it.
fn graph(edges: &[(&str, &str)]) -> Manifest {
    let mut m = sample();
    m.policy.restore_on_rollback.clear();
    let names = ["a", "b", "c", "d", "e"];
    let bare = names.map(|name| bare_service(name, u16::from(name > "b")));
    m.services.truncate(1);
    m.services[0].depends_on.clear();
    m.services.extend(bare);
    for (from, to) in edges {
        let service = m
            .services
            .iter_mut()
            .find(|s| s.name.as_str() == *from)
            .unwrap();
        service.depends_on.push(on(to, Condition::Started));
    }
    m
}

#[test]
fn dependencies_that_are_none_are_refused() {
    refuses(&[
        ("an unknown service", "B50", |m| {
            m.services[1]
                .depends_on
                .push(on("other", Condition::Started));
        }),
        ("itself", "B50", |m| {
            m.services[1].depends_on.push(on("db", Condition::Started))
        }),
        ("one service twice", "B50", |m| {
            m.services[0].depends_on.push(on("db", Condition::Started));
        }),
    ]);
}

#[test]
fn conditions_that_never_come_true_are_refused() {
    refuses(&[
        ("health of a service without a check", "B51", |m| {
            m.services[1].health = None
        }),
        (
            "the end of a service that is always restarted",
            "B51",
            |m| {
                m.services[0].depends_on[0].condition = Condition::CompletedSuccessfully;
            },
        ),
    ]);
    accepts(&[("the end of a service that runs once", |m| {
        m.services[1].restart = Restart::No;
        m.services[0].depends_on[0].condition = Condition::CompletedSuccessfully;
    })]);
}

#[test]
fn circles_are_refused_and_everything_else_is_not() {
    for circle in [
        &[("a", "b"), ("b", "a")][..],
        &[("a", "b"), ("b", "c"), ("c", "a")],
        &[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")],
        &[("a", "b"), ("c", "d"), ("d", "e"), ("e", "c")],
    ] {
        assert_eq!(
            check(&graph(circle)).unwrap_err().clause(),
            "B52",
            "{circle:?}"
        );
    }
    for sound in [
        &[][..],
        &[("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")],
        &[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")],
    ] {
        let verdict = check(&graph(sound));
        assert!(verdict.is_ok(), "{sound:?}: {verdict:?}");
    }
}
