//! Golden vectors, and what versions may differ in.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use bundle::Digest;
use bundle::manifest::AgentVersion;
use proptest::prelude::*;

use super::*;

fn facts() -> DeviceFacts {
    DeviceFacts {
        agent: AgentVersion(0, 1, 0),
        arch: bundle::Arch::Arm64,
        fleet: "default".parse().unwrap(),
        class: None,
        time_zone: Some("Europe/Rome".into()),
        labels: vec![("site".parse().unwrap(), "harbour".parse().unwrap())],
    }
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn check_in() -> CheckIn {
    CheckIn {
        facts: facts(),
        apps: vec![AppFacts {
            app: "kiosk".parse().unwrap(),
            phase: AppPhase::Running,
            running: Some(Running {
                version: "1.0".parse().unwrap(),
                seq: 1,
                bundle: digest(0xb1),
                generation: 1,
            }),
            previous_seq: None,
            services: vec![ServiceFacts {
                service: "web".parse().unwrap(),
                image: digest(0x11),
                state: ServiceState::Running,
                healthy: Some(true),
                restarts: 2,
            }],
        }],
        seen: 7,
        wait_s: 30,
    }
}

fn answer() -> Answer {
    Answer {
        now: 1_795_000_000,
        revision: 8,
        desired: vec![Desired {
            app: "kiosk".parse().unwrap(),
            rollout: 3,
            bundle: digest(0xb2),
            seq: 2,
            file: digest(0xf2),
            file_bytes: 1_000_000,
            url: "/device/v1/bundles/f2".into(),
        }],
        variables: vec![AppVariables {
            app: "kiosk".parse().unwrap(),
            values: vec![("SITE".parse().unwrap(), "Harbour".into())],
        }],
        interval_s: 60,
        long_poll_s: 0,
    }
}

fn enroll() -> EnrollRequest {
    EnrollRequest {
        token: "cet_0123".into(),
        device: "pump-7".parse().unwrap(),
        public_key: [9; 32],
        facts: facts(),
    }
}

fn report() -> Report {
    Report {
        at: 1_795_000_000,
        app: "kiosk".parse().unwrap(),
        event: Event::Updated(Updated {
            result: UpdateResult::RolledBack,
            version: "3.0".parse().unwrap(),
            seq: 3,
            bundle: digest(0xb3),
            generation: Some(3),
            rollout: Some(5),
            cause: Some("web exited with code 1".into()),
            running: vec![("web".parse().unwrap(), digest(0x12))],
            evidence: vec![Evidence {
                service: "web".parse().unwrap(),
                exit_code: Some(1),
                lines: vec!["no such file".into()],
            }],
        }),
    }
}

fn hex(bytes: &[u8]) -> alloc::string::String {
    bytes.iter().map(|b| alloc::format!("{b:02x}")).collect()
}

/// Each message with its bytes as committed in `docs/device-protocol.md`.
#[test]
fn golden_vectors_hold() {
    let text = include_str!("../../../../docs/device-protocol.md");
    for (name, bytes) in [
        ("check-in", encode(&check_in())),
        ("answer", encode(&answer())),
        ("enrolment", encode(&enroll())),
        ("report", encode(&report())),
    ] {
        let line = alloc::format!("{name}: {}", hex(&bytes));
        assert!(
            text.contains(&line),
            "docs/device-protocol.md lacks\n{line}"
        );
    }
}

#[test]
fn messages_come_back_as_they_went() {
    assert_eq!(decode::<CheckIn>(&encode(&check_in())), Ok(check_in()));
    assert_eq!(decode::<Answer>(&encode(&answer())), Ok(answer()));
    assert_eq!(decode::<EnrollRequest>(&encode(&enroll())), Ok(enroll()));
    assert_eq!(decode::<Report>(&encode(&report())), Ok(report()));
}

#[test]
fn what_a_newer_version_adds_at_the_end_is_left() {
    let mut bytes = encode(&check_in());
    bytes.extend([1, 2, 3]);
    assert_eq!(decode::<CheckIn>(&bytes), Ok(check_in()));
}

#[test]
fn versions_may_differ_by_one() {
    assert!(understands(PROTOCOL) && understands(PROTOCOL + 1));
    assert!(!understands(PROTOCOL + 2) && !understands(0));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = encode(&check_in());
    for end in 0..bytes.len() {
        assert_eq!(decode::<CheckIn>(&bytes[..end]), Err(DecodeError), "{end}");
    }
}

#[test]
fn keys_of_reports_have_one_form() {
    let key = ReportKey::of(b"x");
    assert_eq!(key.to_string().parse(), Ok(key));
    assert_eq!(key.to_string().len(), 32);
    for bad in ["", "00", &"0".repeat(33), &"A".repeat(32), &"g".repeat(32)] {
        assert!(bad.parse::<ReportKey>().is_err(), "{bad}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let shown = alloc::format!("{:?} {:?}", enroll(), answer());
    assert!(
        !shown.contains("cet_0123") && !shown.contains("Harbour"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes: Vec<u8>) {
        let _ = decode::<CheckIn>(&bytes);
        let _ = decode::<Answer>(&bytes);
        let _ = decode::<EnrollRequest>(&bytes);
        let _ = decode::<Report>(&bytes);
    }
}
