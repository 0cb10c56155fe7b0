//! How a service's health is checked: Compose `healthcheck`, or `x-coracle.health`.
//!
//! Never takes the image's HEALTHCHECK over: what a device runs stands in the Compose file.

use bundle::manifest::{HealthCheck, Probe, Text};

use super::field::Field;
use super::map::Map;
use super::refusals::Place;

/// Longest interval, timeout or start period: a day.
const MS_MAX: u64 = 86_400_000;

/// Compose's defaults.
const INTERVAL_MS: u32 = 30_000;
const TIMEOUT_MS: u32 = 30_000;
const RETRIES: u32 = 3;

/// A probe with the rest of the keys of its mapping.
fn timing(map: &mut Map<'_>, probe: Probe) -> HealthCheck {
    let mut ms = |key, default, least| {
        let Some(field) = map.take(key) else {
            return default;
        };
        match field.duration_ms(MS_MAX) {
            Some(ms) if ms < least => {
                field.error(format_args!("the least is {least} ms"));
                default
            }
            Some(ms) => u32::try_from(ms).unwrap_or(default),
            None => default,
        }
    };
    let interval_ms = ms("interval", INTERVAL_MS, 100);
    let timeout_ms = ms("timeout", TIMEOUT_MS, 100);
    let start_period_ms = ms("start_period", 0, 0);
    HealthCheck {
        probe,
        interval_ms,
        timeout_ms,
        retries: map
            .take("retries")
            .and_then(|field| field.number(1..=1000))
            .unwrap_or(RETRIES),
        start_period_ms,
    }
}

/// `healthcheck` of a service.
pub(crate) fn compose(field: &Field<'_>) -> Option<HealthCheck> {
    let mut map = field.map();
    let disabled = map
        .take("disable")
        .and_then(|disable| disable.bool())
        .unwrap_or(false);
    let test = map.take("test");
    let probe = match (&test, disabled) {
        (_, true) => None,
        (None, false) => {
            map.error("test: is required");
            None
        }
        (Some(test), false) => command(test),
    };
    // The other keys are read for their mistakes even where nothing is to be checked.
    let health = timing(&mut map, Probe::Tcp { port: 1 });
    map.finish(Place::Health);
    Some(HealthCheck {
        probe: Probe::Exec(probe?),
        ..health
    })
}

/// `test`: a string or `["CMD-SHELL", …]` for the shell, `["CMD", …]`, or `["NONE"]`.
fn command(field: &Field<'_>) -> Option<Vec<Text>> {
    let shell = |script: Text| {
        let mut argv: Vec<Text> = ["/bin/sh", "-c"]
            .into_iter()
            .filter_map(Text::new)
            .collect();
        argv.push(script);
        Some(argv)
    };
    if field.is_scalar() {
        return shell(field.text()?);
    }
    let mut texts = field.texts().into_iter();
    let kind = texts.next();
    match kind.as_ref().map(Text::as_str) {
        Some("NONE") => None,
        Some("CMD-SHELL") => {
            let script = texts.next();
            if script.is_none() || texts.next().is_some() {
                field.error("CMD-SHELL takes one command line");
            }
            shell(script?)
        }
        Some("CMD") if texts.len() > 0 => Some(texts.collect()),
        _ => {
            field.error("expected [CMD, program, argument…], [CMD-SHELL, line] or [NONE]");
            None
        }
    }
}

/// `x-coracle.health` of a service: `http: PORT/PATH` or `tcp: PORT`.
pub(crate) fn coracle(field: &Field<'_>) -> Option<HealthCheck> {
    let mut map = field.map();
    let http = map.take("http");
    let tcp = map.take("tcp");
    let probe = match (&http, &tcp) {
        (Some(http), None) => http_probe(http),
        (None, Some(tcp)) => tcp.number(1..=u16::MAX).map(|port| Probe::Tcp { port }),
        _ => {
            map.error("expected either http: PORT/PATH or tcp: PORT");
            None
        }
    };
    let health = timing(&mut map, Probe::Tcp { port: 1 });
    map.finish(Place::Health);
    Some(HealthCheck {
        probe: probe?,
        ..health
    })
}

/// `8080/healthz?full=1`
fn http_probe(field: &Field<'_>) -> Option<Probe> {
    let text = field.string()?;
    let (port, path) = text.split_once('/').unwrap_or((&text, ""));
    let plain = path.bytes().all(|b| b.is_ascii_graphic());
    let (Ok(port @ 1..), true) = (port.parse(), plain) else {
        field.error(format_args!(
            "expected PORT/PATH such as 8080/healthz, not {text:?}"
        ));
        return None;
    };
    Some(Probe::Http {
        port,
        path: field.to_text(format!("/{path}"))?,
    })
}
