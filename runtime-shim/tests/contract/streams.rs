//! Logs, events, statistics and commands: what comes out of containers.

use runtime_shim::{
    ContainerId, LogLine, LogQuery, LogStream, RuntimeError, RuntimeEventKind, Stream,
};
use smol::future::FutureExt as _;

use crate::fixture::{Behaviour, Fixture, created, spec, started};

async fn rest(mut log: Box<dyn LogStream>) -> Vec<LogLine> {
    let mut lines = Vec::new();
    while let Some(line) = log.next().await.unwrap() {
        lines.push(line);
    }
    lines
}

async fn log(fixture: &dyn Fixture, id: &ContainerId, query: LogQuery) -> Vec<LogLine> {
    rest(fixture.runtime().logs(id, &query).await.unwrap()).await
}

fn said(lines: &[LogLine]) -> Vec<(Stream, &str)> {
    lines.iter().map(|l| (l.stream, l.text.as_str())).collect()
}

const ALL: [(Stream, &str); 4] = [
    (Stream::Stdout, "out 1"),
    (Stream::Stderr, "err 1"),
    (Stream::Stdout, "out 2"),
    (Stream::Stdout, "out 3"),
];

pub(crate) async fn logs_tell_both_streams(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Prints).await;
    fixture.runtime().wait(&id).await.unwrap();
    let lines = log(fixture, &id, LogQuery::default()).await;
    assert_eq!(said(&lines), ALL);
    for line in &lines {
        // RFC 3339, and in order.
        assert_eq!(line.at.as_bytes().get(10), Some(&b'T'), "{}", line.at);
    }
    assert!(lines.is_sorted_by(|a, b| a.at <= b.at));
    let absent = ContainerId("f".repeat(64));
    let error = fixture.runtime().logs(&absent, &LogQuery::default()).await;
    assert!(matches!(error.err(), Some(RuntimeError::NotFound)));
}

pub(crate) async fn logs_follow_to_the_end(fixture: &dyn Fixture) {
    let id = created(fixture, spec(fixture, "a", "web"), Behaviour::Prints).await;
    fixture.runtime().start(&id).await.unwrap();
    let follow = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    assert_eq!(said(&log(fixture, &id, follow).await), ALL);
}

pub(crate) async fn logs_can_be_limited(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Prints).await;
    fixture.runtime().wait(&id).await.unwrap();
    let tail = LogQuery {
        tail: Some(2),
        ..LogQuery::default()
    };
    assert_eq!(said(&log(fixture, &id, tail).await), ALL[2..]);
    let started_at = fixture
        .runtime()
        .inspect(&id.0)
        .await
        .unwrap()
        .unwrap()
        .started_at
        .unwrap();
    let since = |at| LogQuery {
        since: Some(at),
        ..LogQuery::default()
    };
    assert_eq!(said(&log(fixture, &id, since(started_at - 60)).await), ALL);
    assert_eq!(said(&log(fixture, &id, since(started_at + 3600)).await), []);
}

pub(crate) async fn events_tell_of_our_containers(fixture: &dyn Fixture) {
    let runtime = fixture.runtime();
    let warm_up = created(fixture, spec(fixture, "a", "before"), Behaviour::Runs).await;
    let mut events = runtime.events().await.unwrap();
    fixture.run_foreign("theirs");
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Exits(1)).await;
    assert_ne!(id, warm_up);
    runtime.wait(&id).await.unwrap();
    runtime.remove(&id).await.unwrap();
    for kind in [
        RuntimeEventKind::Created,
        RuntimeEventKind::Started,
        RuntimeEventKind::Exited,
        RuntimeEventKind::Removed,
    ] {
        let event = events.next().await.unwrap().unwrap();
        assert_eq!((event.kind, &event.container), (kind, &id));
    }
    let more = async { Some(events.next().await) };
    let none = async {
        // Any call whose event would come first, were there one.
        runtime.info().await.unwrap();
        None
    };
    assert!(
        more.or(none).await.is_none(),
        "nothing of others' containers"
    );
}

pub(crate) async fn stats_of_what_runs(fixture: &dyn Fixture) {
    let runtime = fixture.runtime();
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let stats = runtime.stats(&id).await.unwrap();
    assert!((1..1 << 30).contains(&stats.memory_bytes), "{stats:?}");
    assert!(stats.cpu_ns > 0 && stats.pids > 0, "{stats:?}");
    runtime.stop(&id, 10).await.unwrap();
    let error = runtime.stats(&id).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Conflict(_)), "{error}");
    runtime.remove(&id).await.unwrap();
    let error = runtime.stats(&id).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NotFound), "{error}");
}

pub(crate) async fn exec_gives_code_and_output(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Commands).await;
    let script = "printf 'both '; sleep 0.1; printf streams >&2; exit 7";
    let command = ["/bin/sh", "-c", script];
    let output = fixture.runtime().exec(&id, &command, 60_000).await.unwrap();
    assert_eq!(
        (output.code, output.output.as_slice()),
        (7, &b"both streams"[..])
    );
}

pub(crate) async fn exec_needs_a_running_container(fixture: &dyn Fixture) {
    let id = created(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let error = fixture
        .runtime()
        .exec(&id, &["true"], 60_000)
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::Conflict(_)), "{error}");
    fixture.runtime().remove(&id).await.unwrap();
    let error = fixture
        .runtime()
        .exec(&id, &["true"], 60_000)
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::NotFound), "{error}");
}

pub(crate) async fn exec_that_takes_too_long_is_told(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::HangsCommands).await;
    let error = fixture
        .runtime()
        .exec(&id, &["sleep", "600"], 700)
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::TimedOut), "{error}");
}
