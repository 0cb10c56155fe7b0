//! One device: what it runs, what it shall run, its variables, what happened on it.

use relay_api::escape;
use relay_api::operator::{Device, DeviceApp, DeviceDetail, DeviceEvent, EvidenceView};

use crate::cli::remote::labels;
use crate::cli::screen::Look;
use crate::cli::table::{Column, cut, facts, table, whole};

/// Letters of a digest that are shown: enough to tell images of one app apart.
const DIGEST_LETTERS: usize = "sha256:".len() + 12;

/// The device, its last `events`, and as many last `lines` of each log.
pub(super) fn text(detail: &DeviceDetail, events: usize, lines: usize, look: &Look) -> String {
    let mut out = overview(&detail.device, look);
    for app in &detail.device.apps {
        out += &format!("\n{}", self::app(app, look));
    }
    let variables = variables("  ", detail);
    if !variables.is_empty() {
        out += &format!("\nvariables from the relay\n{variables}");
    }
    if !detail.events.is_empty() && events > 0 {
        out += "\nevents, newest first\n";
        for event in detail.events.iter().take(events) {
            out += &self::event(event, lines, look);
        }
        let more = detail.events.len().saturating_sub(events);
        if more > 0 {
            out += &format!("  … {more} more: --events {}\n", detail.events.len());
        }
    }
    out
}

fn overview(device: &Device, look: &Look) -> String {
    let mut kind = format!("{}, fleet {}", device.arch, device.fleet);
    if let Some(class) = &device.class {
        kind += &format!(", class {class}");
    }
    facts(
        "",
        &[
            ("device", device.id.clone()),
            ("labels", labels(&device.labels)),
            (
                "last seen",
                match &device.last_seen {
                    Some(at) => look.moment(at),
                    None => "never: it has enrolled, and not checked in since".to_string(),
                },
            ),
            ("enrolled", look.moment(&device.enrolled_at)),
            ("kind", kind),
            ("agent", device.agent.clone()),
            ("time zone", device.time_zone.clone().unwrap_or_default()),
        ],
    )
}

const SERVICES: [Column; 5] = [
    whole("SERVICE"),
    whole("STATE"),
    whole("HEALTH"),
    whole("RESTARTS"),
    cut("IMAGE"),
];

fn app(app: &DeviceApp, look: &Look) -> String {
    let version = match (&app.version, app.seq) {
        (Some(version), Some(seq)) => format!(" {version} (seq {seq})"),
        (Some(version), None) => format!(" {version}"),
        _ => String::new(),
    };
    let head = format!("{}{version}: {}", app.app, app.state);
    let mut out = format!("{}\n", escape::text(&head));
    let wanted = app.wanted.as_ref().map(|wanted| {
        let cause = wanted.cause.as_ref().map(|cause| format!(": {cause}"));
        format!(
            "{} (seq {}) by rollout {}, {}{}",
            wanted.version,
            wanted.seq,
            wanted.rollout,
            wanted.state,
            cause.unwrap_or_default()
        )
    });
    let generation = app.generation.map(|generation| generation.to_string());
    out += &facts(
        "  ",
        &[
            ("wanted", wanted.unwrap_or_default()),
            ("bundle", app.bundle.clone().unwrap_or_default()),
            ("generation", generation.unwrap_or_default()),
        ],
    );
    let rows: Vec<Vec<String>> = app
        .services
        .iter()
        .map(|service| {
            vec![
                service.name.clone(),
                service.state.clone(),
                match service.healthy {
                    Some(true) => "healthy",
                    Some(false) => "unhealthy",
                    None => "",
                }
                .to_string(),
                service.restarts.to_string(),
                service.image_id.chars().take(DIGEST_LETTERS).collect(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out += &table("  ", &SERVICES, &rows, look.width);
    }
    out
}

/// The values that the relay gives, a line each.
pub(super) fn variables(indent: &str, detail: &DeviceDetail) -> String {
    let lines = detail.variables.iter().flat_map(|(app, values)| {
        values.iter().map(move |(name, value)| {
            format!(
                "{indent}{}\n",
                escape::text(&format!("{app}.{name}={value}"))
            )
        })
    });
    lines.collect()
}

fn event(event: &DeviceEvent, lines: usize, look: &Look) -> String {
    let what = format!("{}: {}", event.app, event.summary);
    let mut out = format!("  {}  {}\n", look.moment(&event.at), escape::text(&what));
    let mut more = Vec::new();
    if let Some(cause) = event
        .cause
        .as_ref()
        .filter(|cause| !event.summary.contains(*cause))
    {
        more.push(("cause", cause.clone()));
    }
    if let Some(rollout) = event.rollout {
        more.push(("rollout", rollout.to_string()));
    }
    out += &facts("    ", &more);
    for evidence in &event.evidence {
        out += &self::evidence(evidence, lines);
    }
    out
}

fn evidence(evidence: &EvidenceView, lines: usize) -> String {
    let ended = match evidence.exit_code {
        Some(code) => format!("ended with exit code {code}"),
        None => "still ran".to_string(),
    };
    let skipped = evidence.lines.len().saturating_sub(lines);
    let wrote = match (evidence.lines.len(), skipped) {
        (0, _) => "; it wrote nothing".to_string(),
        (_, 0) => "; its last lines:".to_string(),
        (all, _) => format!("; the last {lines} of {all} lines:"),
    };
    let mut out = format!("    {} {ended}{wrote}\n", escape::text(&evidence.service));
    for line in evidence.lines.iter().skip(skipped) {
        out += &format!("      | {}\n", escape::log_line(line));
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use relay_api::operator::{DeviceService, Wanted};

    use super::*;

    pub(in super::super) fn look(terminal: bool, width: Option<usize>) -> Look {
        Look {
            now: "2026-11-22T12:00:00Z".parse().unwrap(),
            terminal,
            width,
        }
    }

    /// An app at 1.4.2 of which 1.5 is wanted, in this state; as it shall be if `succeeded`.
    pub(in super::super) fn app(state: &str) -> DeviceApp {
        let (version, seq) = if state == "succeeded" {
            ("1.4.2", 42)
        } else {
            ("1.5", 50)
        };
        DeviceApp {
            app: "kiosk".into(),
            version: Some("1.4.2".into()),
            seq: Some(42),
            bundle: Some(format!("sha256:{}", "b1".repeat(32))),
            generation: Some(3),
            state: "running".into(),
            wanted: Some(Wanted {
                version: version.into(),
                seq,
                rollout: 7,
                state: state.into(),
                cause: (state == "failed").then(|| "web exited with code 1".into()),
            }),
            services: vec![DeviceService {
                name: "web".into(),
                state: "running".into(),
                healthy: Some(true),
                restarts: 0,
                image_id: format!("sha256:{}", "a1".repeat(32)),
            }],
        }
    }

    pub(in super::super) fn detail() -> DeviceDetail {
        let label = |name: &str, value: &str| (name.to_string(), value.to_string());
        DeviceDetail {
            device: Device {
                id: "dev-7".into(),
                labels: [label("site", "harbour"), label("role", "kiosk")].into(),
                last_seen: Some("2026-11-22T11:57:00Z".into()),
                apps: vec![app("succeeded")],
                enrolled_at: "2026-11-02T08:00:00Z".into(),
                arch: "arm64".into(),
                fleet: "default".into(),
                class: Some("kiosk-v2".into()),
                agent: "0.1.0".into(),
                time_zone: Some("Europe/Rome".into()),
            },
            variables: [("kiosk".to_string(), [label("SITE", "Harbour")].into())].into(),
            events: Vec::new(),
        }
    }

    #[test]
    fn a_device_whose_update_failed() {
        let mut detail = detail();
        detail.device.apps = vec![app("failed")];
        detail.events = vec![DeviceEvent {
            at: "2026-11-22T11:50:00Z".into(),
            received_at: "2026-11-22T11:50:01Z".into(),
            app: "kiosk".into(),
            kind: "update".into(),
            summary: "1.5 failed its trial; 1.4.2 runs again".into(),
            result: Some("rolled_back".into()),
            version: Some("1.5".into()),
            rollout: Some(7),
            cause: Some("web exited with code 1".into()),
            evidence: vec![EvidenceView {
                service: "web".into(),
                exit_code: Some(1),
                lines: vec![
                    "starting".into(),
                    "\x1b[31mno such file\x1b[m".into(),
                    "giving up\r".into(),
                ],
            }],
        }];
        detail.events.push(detail.events[0].clone());
        let wanted = "\
device     dev-7
labels     role=kiosk site=harbour
last seen  2026-11-22 11:57:00Z (3 min ago)
enrolled   2026-11-02 08:00:00Z (20 d ago)
kind       arm64, fleet default, class kiosk-v2
agent      0.1.0
time zone  Europe/Rome

kiosk 1.4.2 (seq 42): running
  wanted      1.5 (seq 50) by rollout 7, failed: web exited with code 1
  bundle      sha256:B
  generation  3
  SERVICE  STATE    HEALTH   RESTARTS  IMAGE
  web      running  healthy  0         sha256:a1a1a1a1a1a1

variables from the relay
  kiosk.SITE=Harbour

events, newest first
  2026-11-22 11:50:00Z (10 min ago)  kiosk: 1.5 failed its trial; 1.4.2 runs again
    cause    web exited with code 1
    rollout  7
    web ended with exit code 1; the last 2 of 3 lines:
      | \\u{1b}[31mno such file\\u{1b}[m
      | giving up\\r
  … 1 more: --events 2
";
        assert_eq!(
            text(&detail, 1, 2, &look(true, Some(80))),
            wanted.replace("sha256:B", &format!("sha256:{}", "b1".repeat(32)))
        );
    }
}
