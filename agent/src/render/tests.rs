//! What people see, letter for letter.

use std::collections::BTreeMap;

use super::*;
use crate::api::*;

const PLAIN: Style = Style { color: false };

#[track_caller]
fn check(shown: &str, wanted: &str) {
    assert_eq!(shown, wanted, "\nshown:\n{shown}");
    for line in shown.lines() {
        assert_eq!(line, line.trim_end(), "blanks at the end");
    }
}

fn actions(list: &[(&str, &str)]) -> Vec<ServiceAction> {
    list.iter()
        .map(|(name, action)| ServiceAction {
            name: (*name).into(),
            action: (*action).into(),
        })
        .collect()
}

fn service(name: &str, state: &str, healthy: Option<bool>, restarts: u32) -> ServiceView {
    ServiceView {
        name: name.into(),
        state: state.into(),
        healthy,
        restarts,
        image_id: "sha256:00".into(),
        started_at: Some("2026-11-22T05:33:53Z".into()),
    }
}

fn kiosk() -> AppView {
    AppView {
        app: "kiosk".into(),
        version: Some("2.0".into()),
        seq: Some(2),
        generation: Some(2),
        state: "running".into(),
        last_update: Some(LastUpdateView {
            version: "3.0".into(),
            seq: 3,
            result: "rolled_back".into(),
            cause: Some("nginx is unhealthy".into()),
            at: "2026-11-22T05:40:00Z".into(),
        }),
        services: vec![
            service("mosquitto", "running", None, 0),
            service("nginx", "restarting", Some(false), 3),
        ],
        previous: Some(PreviousView {
            version: "1.0".into(),
            seq: 1,
        }),
    }
}

fn status(apps: Vec<AppView>) -> Reply {
    Reply::Status(StatusView {
        device: DeviceView {
            id: "till-4".into(),
            labels: BTreeMap::from([("room".into(), "2".into()), ("site".into(), "a".into())]),
        },
        relay: RelayView {
            url: Some("https://relay.example".into()),
            last_contact: None,
            reports_waiting: 0,
            error: None,
        },
        apps,
    })
}

#[test]
fn a_relay_that_is_away_is_said_to_be_away() {
    let Reply::Status(mut status) = status(vec![]) else {
        unreachable!();
    };
    status.relay.last_contact = Some("2026-11-22T05:33:53Z".into());
    status.relay.error = Some("the relay does not answer: no answer in time".into());
    check(
        &reply(&Reply::Status(status), PLAIN),
        "\
device  till-4
labels  room=2 site=a
relay   https://relay.example, last answer 2026-11-22 05:33:53Z
        the relay does not answer: no answer in time

No apps: `agent apply BUNDLE` brings in the first.
",
    );
}

#[test]
fn an_enrolment_says_where_and_what_follows() {
    let mut view = EnrolledView {
        device: "till-4".into(),
        url: "https://relay.example".into(),
        labels: BTreeMap::new(),
    };
    let line = "till-4 is enrolled at https://relay.example; it checks in when the agent runs.\n";
    check(&reply(&Reply::Enrolled(view.clone()), PLAIN), line);
    view.labels.insert("site".into(), "a\u{1b}".into());
    let more = format!("{line}The relay labels it site=a\\u{{1b}}.\n");
    check(&reply(&Reply::Enrolled(view), PLAIN), &more);
}

#[test]
fn status_of_a_device() {
    check(
        &reply(&status(vec![kiosk()]), PLAIN),
        "\
device  till-4
labels  room=2 site=a
relay   https://relay.example, no answer yet

kiosk 2.0 (seq 2): running
  last update    3.0 rolled back, 2026-11-22 05:40:00Z: nginx is unhealthy
  can return to  1.0 (seq 1)
  SERVICE    STATE       HEALTH     RESTARTS  STARTED
  mosquitto  running     -          0         2026-11-22 05:33:53Z
  nginx      restarting  unhealthy  3         2026-11-22 05:33:53Z
",
    );
}

#[test]
fn status_of_an_empty_device() {
    check(
        &reply(
            &Reply::Status(StatusView {
                device: DeviceView {
                    id: "till-4".into(),
                    labels: BTreeMap::new(),
                },
                relay: RelayView::default(),
                apps: vec![],
            }),
            PLAIN,
        ),
        "\
device  till-4

No apps: `agent apply BUNDLE` brings in the first.
",
    );
}

#[test]
fn status_of_an_app_that_is_not_committed() {
    let app = AppView {
        version: None,
        seq: None,
        generation: None,
        state: "stopped".into(),
        last_update: None,
        services: vec![],
        previous: None,
        ..kiosk()
    };
    let shown = reply(&status(vec![app]), PLAIN);
    assert!(shown.ends_with("\nkiosk: stopped\n"), "{shown}");
}

#[test]
fn colours_only_where_allowed() {
    let painted = reply(&status(vec![kiosk()]), Style { color: true });
    assert!(
        painted.contains("\x1b[31munhealthy\x1b[0m  \x1b[33m3\x1b[0m         2026"),
        "{painted}"
    );
    let stripped = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[0m"]
        .iter()
        .fold(painted, |text, code| text.replace(code, ""));
    assert_eq!(stripped, reply(&status(vec![kiosk()]), PLAIN));
}

#[test]
fn containers_in_a_table() {
    let container = ContainerView {
        app: "kiosk".into(),
        service: "nginx".into(),
        generation: 2,
        name: "coracle-kiosk-nginx-2".into(),
        id: "0123456789abcdef0123".into(),
        state: "exited".into(),
        healthy: None,
        restarts: 0,
        exit_code: Some(137),
        image_id: "sha256:00".into(),
        started_at: None,
    };
    check(
        &reply(&Reply::Containers(vec![container]), PLAIN),
        "\
CONTAINER              ID            STATE         HEALTH  RESTARTS  STARTED
coracle-kiosk-nginx-2  0123456789ab  exited (137)  -       0
",
    );
    check(
        &reply(&Reply::Containers(vec![]), PLAIN),
        "No containers.\n",
    );
}

#[test]
fn history_newest_first() {
    let entry = |version: &str, seq, result: &str, cause: Option<&str>| HistoryView {
        at: "2026-11-22T05:40:00Z".into(),
        app: "kiosk".into(),
        version: version.into(),
        seq,
        generation: None,
        result: result.into(),
        cause: cause.map(String::from),
    };
    check(
        &reply(
            &Reply::History(vec![
                entry("3.0", 3, "rolled_back", Some("nginx is unhealthy")),
                entry("2.0", 2, "committed", None),
            ]),
            PLAIN,
        ),
        "\
WHEN                  APP    VERSION  SEQ  RESULT       CAUSE
2026-11-22 05:40:00Z  kiosk  3.0      3    rolled back  nginx is unhealthy
2026-11-22 05:40:00Z  kiosk  2.0      2    committed
",
    );
    check(&reply(&Reply::History(vec![]), PLAIN), "No updates yet.\n");
}

#[test]
fn plan_of_an_update() {
    let mut plan = PlanView {
        app: "kiosk".into(),
        from: Some("1.0".into()),
        to: "2.0".into(),
        fetch_bytes: 32_715_571,
        full_bytes: 50_331_648,
        peak_disk_bytes: 65_431_142,
        services: actions(&[
            ("mosquitto", "keep"),
            ("node-red", "replace"),
            ("nginx", "replace"),
        ]),
        blocked_by: vec![],
    };
    check(
        &reply(&Reply::Plan(plan.clone()), PLAIN),
        "\
kiosk: 1.0 to 2.0

SERVICE    ACTION
mosquitto  keep
node-red   replace
nginx      replace

to read        31.2 MiB of 48.0 MiB
disk, at most  62.4 MiB
downtime       while these are replaced or removed: node-red, nginx
",
    );
    plan.from = None;
    plan.services = actions(&[("nginx", "create")]);
    plan.blocked_by = vec!["not enough space: 62 MiB needed, 10 MiB free".into()];
    check(
        &reply(&Reply::Plan(plan), PLAIN),
        "\
kiosk: 2.0, the first

SERVICE  ACTION
nginx    create

to read        31.2 MiB of 48.0 MiB
disk, at most  62.4 MiB
downtime       none: nothing that runs is stopped

blocked: not enough space: 62 MiB needed, 10 MiB free
",
    );
}

#[test]
fn the_end_of_an_update_is_one_sentence_or_two() {
    let applied = |from: Option<&str>, services: &[(&str, &str)]| {
        reply(
            &Reply::Applied(AppliedView {
                app: "kiosk".into(),
                version: "2.0".into(),
                seq: 2,
                generation: 2,
                from: from.map(String::from),
                services: actions(services),
            }),
            PLAIN,
        )
    };
    check(
        &applied(
            Some("1.0"),
            &[
                ("mosquitto", "keep"),
                ("node-red", "replace"),
                ("db", "remove"),
            ],
        ),
        "kiosk 2.0 runs now (was 1.0). mosquitto kept, node-red replaced, db removed.\n",
    );
    check(
        &applied(None, &[("nginx", "create")]),
        "kiosk 2.0 runs now. nginx created.\n",
    );
    check(&removed("kiosk"), "kiosk is removed. Its volumes stay.\n");
    check(
        &applied(Some("1.0"), &[("nginx", "remove")]),
        "kiosk 2.0 is in place and runs nothing (was 1.0). nginx removed.\n",
    );
}

#[test]
fn failures_say_what_to_do() {
    let mut shown = Failure {
        code: exit::REFUSED,
        message: "this bundle is for arm64, this device is amd64".into(),
        hint: "pack it again with `--arch amd64`".into(),
    };
    check(
        &failure(&shown, PLAIN),
        "error: this bundle is for arm64, this device is amd64\nhint: pack it again with `--arch amd64`\n",
    );
    assert_eq!(
        failure_json(&shown)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        "{ \"error\": { \"code\": 10, \"message\": \"this bundle is for arm64, this device is amd64\", \
         \"hint\": \"pack it again with `--arch amd64`\" } }"
    );
    shown = Failure {
        code: exit::ALREADY_CURRENT,
        message: "kiosk 2.0 runs already\x1b[2J".into(),
        hint: String::new(),
    };
    check(
        &failure(&shown, PLAIN),
        "note: kiosk 2.0 runs already\\u{1b}[2J\n",
    );
}

#[test]
fn checks_come_with_their_hints() {
    let check_view = |name: &str, result: &str, found: &str, hint: &str| CheckView {
        name: name.into(),
        result: result.into(),
        found: found.into(),
        hint: hint.into(),
    };
    check(
        &reply(
            &Reply::Doctor(vec![
                check_view("runtime", "ok", "podman 4.3.1", ""),
                check_view(
                    "keys",
                    "failed",
                    "no release keys",
                    "put one into /etc/coracle/keys",
                ),
            ]),
            PLAIN,
        ),
        "\
ok      runtime  podman 4.3.1
failed  keys     no release keys
                 hint: put one into /etc/coracle/keys
",
    );
}

#[test]
fn a_bundle_in_order() {
    let view = VerifyView {
        app: "kiosk".into(),
        version: "2.0".into(),
        seq: 2,
        epoch: 0,
        signers: vec!["7D5F3A2B1C0E9F88".into()],
        issued_at: "2026-11-22T05:00:00Z".into(),
        not_after: None,
        arch: "arm64".into(),
        fleet: "default".into(),
        classes: vec!["till".into(), "door".into()],
        devices: vec![],
        target_checked: true,
        services: 3,
        images: 1,
        blobs: 7,
        bundle_bytes: 50_331_648,
        plain_bytes: 157_286_400,
    };
    check(
        &verified(&view, PLAIN),
        "\
app        kiosk 2.0 (seq 2, epoch 0)
signed by  7D5F3A2B1C0E9F88
made       2026-11-22 05:00:00Z
expires    never
for        arm64, fleet default, class till, door, any device
holds      3 services, 1 image, 7 blobs
size       48.0 MiB, 150 MiB unpacked

OK: signature, target and every byte are in order
",
    );
}

#[test]
fn log_lines_name_their_service() {
    let line = |at: &str, text: &str| log_line("nginx", "stdout", at, text, PLAIN);
    check(
        &line("2026-11-22T05:33:53.123456789Z", "GET /\tok"),
        "2026-11-22 05:33:53Z nginx: GET /\tok\n",
    );
    check(
        &line("", "\x1b[2Jowned\r\nnginx: forged"),
        "nginx: \\u{1b}[2Jowned\\r\\nnginx: forged\n",
    );
    assert_eq!(
        log_json("nginx", "stderr", "", "a\n\u{9b}b"),
        "{\"service\":\"nginx\",\"stream\":\"stderr\",\"at\":\"\",\"text\":\"a\\n\\u009bb\"}\n"
    );
}

fn progress(step: Step, what: &str, done: u64, total: u64) -> Progress {
    Progress {
        step,
        what: what.into(),
        done,
        total,
    }
}

#[test]
fn progress_is_one_line_on_a_terminal() {
    let mut terminal = ProgressText::new(Some(80));
    assert_eq!(terminal.clear(), "");
    assert_eq!(
        terminal.show(&progress(Step::Stage, "nginx", 32_715_500, 50_331_648)),
        "\rBringing the images in   [###############---------]  64 %  31.2 MiB of 48.0 MiB\x1b[K"
    );
    assert_eq!(
        terminal.show(&progress(Step::Stage, "nginx", 32_715_510, 50_331_648)),
        ""
    );
    assert_eq!(
        terminal.show(&progress(Step::Fetch, "shop", 12_582_912, 50_331_648)),
        "\rFetching the bundle      [######------------------]  25 %  12.0 MiB of 48.0 MiB\x1b[K"
    );
    assert_eq!(
        terminal.show(&progress(Step::Trial, "", 12_000, 30_000)),
        "\rWatching the new version [#########---------------]  40 %  12 of 30 s\x1b[K"
    );
    assert_eq!(
        terminal.show(&progress(Step::Switch, "nginx\x1b", 0, 0)),
        "\rReplacing services        nginx\\u{1b}\x1b[K"
    );
    assert_eq!(terminal.clear(), "\r\x1b[K");
    assert_eq!(terminal.clear(), "");
}

#[test]
fn progress_is_a_line_for_each_step_elsewhere() {
    let mut log = ProgressText::new(None);
    let shown: String = [
        progress(Step::Verify, "", 0, 10),
        progress(Step::Verify, "", 10, 10),
        progress(Step::Fetch, "shop", 0, 10),
        progress(Step::Stage, "nginx", 0, 10),
        progress(Step::Stage, "redis", 5, 10),
        progress(Step::Switch, "", 0, 0),
    ]
    .iter()
    .map(|progress| log.show(progress))
    .collect();
    assert_eq!(
        shown,
        "Checking the bundle\nFetching the bundle\nBringing the images in\nReplacing services\n"
    );
    assert_eq!(log.clear(), "");
}
