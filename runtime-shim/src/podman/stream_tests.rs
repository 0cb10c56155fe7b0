//! Frames and lines, however the bytes are cut into pieces.

use super::*;

fn frame(stream: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![stream, 0, 0, 0];
    out.extend((content.len() as u32).to_be_bytes());
    out.extend(content);
    out
}

fn lines(input: &[u8], step: usize) -> Vec<LogLine> {
    let mut lines = Lines::default();
    for piece in input.chunks(step) {
        lines.push(piece).unwrap();
    }
    lines.finish();
    lines.ready.into()
}

fn line(stream: Stream, at: &str, text: &str) -> LogLine {
    LogLine {
        stream,
        at: at.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn lines_of_both_streams_however_they_are_cut() {
    let input = [
        frame(1, b"T1 one\n"),
        frame(2, b"T2 an error\r\n"),
        frame(1, b"T3 begun, "),
        frame(2, b"T4 in between\n"),
        frame(1, b"T5 and ended\n"),
        frame(1, b"T6 \n"),
        frame(1, b"T7 bad \xff utf-8\n"),
        frame(1, b"T8 no end"),
    ]
    .concat();
    for step in [1, 2, 3, 8, 13, 4096] {
        assert_eq!(
            lines(&input, step),
            [
                line(Stream::Stdout, "T1", "one"),
                line(Stream::Stderr, "T2", "an error"),
                line(Stream::Stderr, "T4", "in between"),
                line(Stream::Stdout, "T3", "begun, and ended"),
                line(Stream::Stdout, "T6", ""),
                line(Stream::Stdout, "T7", "bad \u{fffd} utf-8"),
                line(Stream::Stdout, "T8", "no end"),
            ],
            "step {step}"
        );
    }
}

#[test]
fn a_line_over_its_bound_comes_as_several() {
    let content = [
        b"T ".to_vec(),
        vec![b'a'; LOG_LINE_BYTES_MAX * 2 + 5],
        b"\n".to_vec(),
    ]
    .concat();
    let got: Vec<_> = lines(&frame(1, &content), 999)
        .iter()
        .map(|l| l.text.len())
        .collect();
    assert_eq!(got, [LOG_LINE_BYTES_MAX, LOG_LINE_BYTES_MAX, 5]);
}

#[test]
fn what_is_not_a_log_is_an_error() {
    for bad in [frame(7, b"T x\n"), frame(1, &[b'x'; 100])] {
        assert!(Lines::default().push(&bad).is_err());
    }
}

#[test]
fn only_events_of_our_containers_are_told() {
    let event = |kind: &str, action: &str, label: &str| {
        let json = format!(
            r#"{{"Type":"{kind}","Action":"{action}","Actor":{{"ID":"c1","Attributes":{{"{label}":"a"}}}}}}"#
        );
        decode::<Event>(json.as_bytes())
            .unwrap()
            .translate()
            .map(|e| e.kind)
    };
    let ours = labels::APP;
    assert_eq!(
        event("container", "died", ours),
        Some(RuntimeEventKind::Exited)
    );
    assert_eq!(
        event("container", "remove", ours),
        Some(RuntimeEventKind::Removed)
    );
    assert_eq!(event("container", "exec", ours), None);
    assert_eq!(event("container", "died", "other"), None);
    assert_eq!(event("image", "remove", ours), None);
}
