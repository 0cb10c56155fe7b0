//! Clauses B48 and B49: health checks that cannot be run.

use super::base::*;
use crate::Manifest;
use crate::manifest::{HealthCheck, NetworkMode, Probe};

fn health(m: &mut Manifest) -> &mut HealthCheck {
    m.services[0].health.as_mut().unwrap()
}

fn http(path: &str) -> Probe {
    Probe::Http {
        port: 80,
        path: text(path),
    }
}

#[test]
fn times_that_spin_or_never_end_are_refused() {
    refuses(&[
        ("no interval", "B48", |m| health(m).interval_ms = 0),
        ("no timeout", "B48", |m| health(m).timeout_ms = 0),
        ("no tries", "B48", |m| health(m).retries = 0),
        ("an interval of weeks", "B48", |m| {
            health(m).interval_ms = u32::MAX
        }),
        ("a timeout of weeks", "B48", |m| {
            health(m).timeout_ms = u32::MAX
        }),
        ("a start of weeks", "B48", |m| {
            health(m).start_period_ms = u32::MAX
        }),
    ]);
}

#[test]
fn probes_that_cannot_be_run_are_refused() {
    refuses(&[
        ("no command", "B49", |m| {
            health(m).probe = Probe::Exec(vec![])
        }),
        ("an empty program", "B49", |m| {
            health(m).probe = Probe::Exec(vec![text("")])
        }),
        ("HTTP port 0", "B49", |m| {
            health(m).probe = Probe::Http {
                port: 0,
                path: text("/"),
            };
        }),
        ("TCP port 0", "B49", |m| {
            health(m).probe = Probe::Tcp { port: 0 }
        }),
        ("a relative path", "B49", |m| {
            health(m).probe = http("healthz")
        }),
        ("a path that smuggles a header", "B49", |m| {
            health(m).probe = http("/ HTTP/1.1\r\nHost: evil");
        }),
        ("HTTP without a network", "B49", |m| {
            m.services[0].ports.clear();
            m.services[0].network = NetworkMode::None;
        }),
    ]);
    accepts(&[
        ("TCP", |m| health(m).probe = Probe::Tcp { port: 80 }),
        ("a query", |m| health(m).probe = http("/healthz?full=1")),
        ("a command without a network", |m| {
            m.services[0].ports.clear();
            m.services[0].network = NetworkMode::None;
            health(m).probe = Probe::Exec(vec![text("true")]);
        }),
    ]);
}
