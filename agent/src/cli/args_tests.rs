//! Command lines and what they mean.

use super::*;
use crate::api::Failure;

const NOW: u64 = 1_795_325_633;

fn parsed(line: &str) -> Result<Invocation, Failure> {
    Ok(parse(line.split_whitespace().map(OsString::from), NOW)?)
}

fn logs(app: Option<&str>, service: Option<&str>) -> Request {
    let (app, service) = (app.map(String::from), service.map(String::from));
    Request::Logs {
        app,
        service,
        tail: None,
        since: None,
        follow: false,
    }
}

fn enroll(token: Token) -> Ask {
    let url = "https://r.example".into();
    Ask::Enroll { url, token }
}

#[test]
fn commands_become_requests() {
    let bundle = PathBuf::from("/b/k.bundle");
    let app = || Some("kiosk".to_owned());
    for (line, wanted) in [
        ("run", Ask::Run),
        (
            "apply /b/k.bundle",
            Ask::Request(Request::Apply {
                bundle: bundle.clone(),
            }),
        ),
        (
            "plan /b/k.bundle",
            Ask::Request(Request::Plan {
                bundle: bundle.clone(),
            }),
        ),
        (
            "verify /b/k.bundle",
            Ask::Verify {
                bundle: bundle.clone(),
                any_target: false,
            },
        ),
        (
            "verify --any-target /b/k.bundle",
            Ask::Verify {
                bundle,
                any_target: true,
            },
        ),
        ("status", Ask::Request(Request::Status)),
        ("ps", Ask::Request(Request::Ps)),
        ("history", Ask::Request(Request::History { app: None })),
        (
            "history kiosk",
            Ask::Request(Request::History { app: app() }),
        ),
        ("rollback", Ask::Request(Request::Rollback { app: None })),
        (
            "rollback kiosk",
            Ask::Request(Request::Rollback { app: app() }),
        ),
        (
            "remove kiosk",
            Ask::Request(Request::Remove {
                app: "kiosk".into(),
            }),
        ),
        ("doctor", Ask::Request(Request::Doctor)),
        (
            "enroll https://r.example --token t",
            enroll(Token::Given(Secret("t".into()))),
        ),
        (
            "enroll --token-file - https://r.example",
            enroll(Token::File("-".into())),
        ),
        ("enroll https://r.example", enroll(Token::Environment)),
        ("logs", Ask::Request(logs(None, None))),
        ("logs kiosk", Ask::Request(logs(app().as_deref(), None))),
        (
            "logs kiosk/nginx",
            Ask::Request(logs(app().as_deref(), Some("nginx"))),
        ),
        (
            "logs kiosk -f -n 5 --since 10m",
            Ask::Request(Request::Logs {
                app: app(),
                service: None,
                tail: Some(5),
                since: Some(NOW - 600),
                follow: true,
            }),
        ),
        ("--help", Ask::Help(None)),
        ("apply --help", Ask::Help(Some("apply"))),
        ("-h logs", Ask::Help(Some("logs"))),
        ("--version", Ask::Version),
        ("-V", Ask::Version),
    ] {
        assert_eq!(parsed(line).unwrap().ask, wanted, "{line}");
    }
}

#[test]
fn a_bundle_becomes_absolute_and_dashes_end_the_flags() {
    let Ask::Request(Request::Apply { bundle }) = parsed("apply -- -k.bundle").unwrap().ask else {
        panic!("not an apply");
    };
    assert_eq!(bundle, std::env::current_dir().unwrap().join("-k.bundle"));
}

#[test]
fn global_flags_and_settings_stand_anywhere() {
    for line in [
        "--json -qvv --no-color --config /c.toml --fleet a --state-dir=/s status",
        "status --json -qvv --no-color --config=/c.toml --fleet=a --state-dir /s",
    ] {
        let invocation = parsed(line).unwrap();
        assert!(
            invocation.json && invocation.quiet && invocation.no_color,
            "{line}"
        );
        assert_eq!(
            (invocation.verbose, invocation.config),
            (2, Some("/c.toml".into())),
            "{line}"
        );
        let settings: Vec<_> = invocation
            .settings
            .iter()
            .map(|(key, value)| (key.name, value.as_str()))
            .collect();
        assert_eq!(settings, [("fleet", "a"), ("state_dir", "/s")], "{line}");
    }
}

#[test]
fn every_setting_is_a_flag() {
    for key in &KEYS {
        let invocation = parsed(&format!("status --{} x", key.flag())).unwrap();
        assert_eq!(invocation.settings[0].0.name, key.name);
    }
}

#[test]
fn times_are_read() {
    for (text, wanted) in [
        ("30s", Some(NOW - 30)),
        ("2h", Some(NOW - 7200)),
        ("7d", Some(NOW - 7 * 86_400)),
        ("99999999999d", Some(0)),
        ("2026-11-22T05:33:53Z", Some(NOW)),
        ("99999999999999999999d", None),
        ("10", None),
        ("m", None),
        ("é", None),
        ("yesterday", None),
    ] {
        assert_eq!(since(text, NOW).ok(), wanted, "{text}");
    }
}

#[test]
fn mistakes_name_what_is_nearest() {
    for (line, message, hint) in [
        ("", "there is no command", "See `agent --help`."),
        ("aply x", "unknown command `aply`", "Did you mean `apply`?"),
        (
            "frobnicate",
            "unknown command `frobnicate`",
            "See `agent --help`.",
        ),
        (
            "logs --folow",
            "unknown flag `--folow`",
            "Did you mean `--follow`?",
        ),
        (
            "status --state_dir /x",
            "unknown flag `--state_dir`",
            "Did you mean `--state-dir`?",
        ),
        (
            "status --zzzzzz",
            "unknown flag `--zzzzzz`",
            "See `agent status --help`.",
        ),
        (
            "status -x",
            "unknown flag `-x`",
            "See `agent status --help`.",
        ),
        (
            "status --follow",
            "unknown flag `--follow`",
            "See `agent status --help`.",
        ),
        (
            "enroll",
            "`agent enroll` needs URL",
            "See `agent enroll --help`.",
        ),
        (
            "enroll https://r.example --token a --token-file b",
            "--token-file does not fit: it must be left out where there is --token",
            "See `agent --help`.",
        ),
        (
            "apply",
            "`agent apply` needs BUNDLE",
            "See `agent apply --help`.",
        ),
        (
            "apply a b",
            "`agent apply` does not take `b`",
            "See `agent apply --help`.",
        ),
        (
            "status x",
            "`agent status` does not take `x`",
            "See `agent status --help`.",
        ),
        (
            "remove",
            "`agent remove` needs APP",
            "See `agent remove --help`.",
        ),
        (
            "logs --tail",
            "missing argument for option '--tail'",
            "See `agent --help`.",
        ),
        (
            "logs --tail many",
            "--tail does not fit: it must be a number of lines",
            "See `agent --help`.",
        ),
        (
            "logs --since soon",
            "--since does not fit: it must be like 10m, 2h, 7d, or 2026-11-22T05:30:00Z",
            "See `agent --help`.",
        ),
        (
            "status --json=yes",
            "unexpected argument for option '--json': \"yes\"",
            "See `agent --help`.",
        ),
    ] {
        let failure = parsed(line).err().unwrap();
        assert_eq!(
            (
                failure.code,
                failure.message.as_str(),
                failure.hint.as_str()
            ),
            (crate::exit::USAGE, message, hint),
            "{line}"
        );
    }
}
