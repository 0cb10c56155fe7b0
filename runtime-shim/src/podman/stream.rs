//! What comes bit by bit: frames of output, log lines, events.
//!
//! Bounded: a frame or line over its bound is cut into several, never kept whole.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::Deserialize;

use super::api::{Api, Call, FOREVER, decode};
use super::http::Body;
use crate::{
    ContainerId, EventStream, LOG_LINE_BYTES_MAX, LogLine, LogStream, RuntimeError, RuntimeEvent,
    RuntimeEventKind, Stream, labels,
};

/// Most bytes of one event; podman puts all of a container's labels into it.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// Bytes of a frame's head: stream, three zeros, length.
const HEAD_BYTES: usize = 8;
/// Most bytes before the blank that ends a time stamp.
const STAMP_BYTES_MAX: usize = 48;

/// Frames of output out of pieces of a body: `[stream, 0, 0, 0, length u32 BE]` and content.
#[derive(Default)]
struct Frames {
    head: Vec<u8>,
    /// Bytes of the current frame's content that are to come.
    left: u32,
}

/// A part of a frame's content.
struct Part<'a> {
    stream: Stream,
    /// Whether it is where the frame begins, and where it ends.
    first: bool,
    last: bool,
    bytes: &'a [u8],
}

impl Frames {
    /// Takes a part off the front of `input`; none if a frame's head is incomplete.
    fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Part<'a>>, RuntimeError> {
        let first = self.left == 0;
        if first {
            let n = (HEAD_BYTES - self.head.len()).min(input.len());
            self.head.extend_from_slice(&input[..n]);
            *input = &input[n..];
            let &[_, _, _, _, a, b, c, d] = self.head.as_slice() else {
                return Ok(None);
            };
            self.left = u32::from_be_bytes([a, b, c, d]);
        }
        let stream = match self.head.first() {
            Some(0 | 1) => Stream::Stdout,
            Some(2) => Stream::Stderr,
            // podman reports a failure in the middle on a third stream.
            _ => return Err(RuntimeError::Protocol("output of an unknown stream")),
        };
        let n = input.len().min(self.left as usize);
        let (bytes, rest) = input.split_at(n);
        *input = rest;
        self.left -= n as u32;
        Ok(Some(self.part(stream, first, bytes)))
    }

    fn part<'a>(&mut self, stream: Stream, first: bool, bytes: &'a [u8]) -> Part<'a> {
        let last = self.left == 0;
        if last {
            self.head.clear();
        }
        Part {
            stream,
            first,
            last,
            bytes,
        }
    }
}

/// Reads output in frames to the end, both streams joined, keeping the first `max` bytes.
pub(super) async fn output(body: &mut Body, max: usize) -> Result<Vec<u8>, RuntimeError> {
    let (mut frames, mut out) = (Frames::default(), Vec::new());
    while let Some(mut piece) = body.piece().await? {
        while !piece.is_empty() {
            if let Some(part) = frames.take(&mut piece)? {
                let room = max - out.len();
                out.extend_from_slice(&part.bytes[..part.bytes.len().min(room)]);
            }
        }
    }
    Ok(out)
}

/// Log lines out of frames. podman sends a frame per entry of its log, each with its time; the
/// end of a line that was written in several entries comes with the last.
#[derive(Default)]
struct Lines {
    frames: Frames,
    stdout: Line,
    stderr: Line,
    /// Of the current frame: its time stamp, until the blank after it.
    stamp: Option<Vec<u8>>,
    ready: VecDeque<LogLine>,
}

/// A line of one stream that has not ended.
#[derive(Default)]
struct Line {
    at: String,
    text: Vec<u8>,
}

impl Lines {
    fn push(&mut self, mut piece: &[u8]) -> Result<(), RuntimeError> {
        while !piece.is_empty() {
            let Some(part) = self.frames.take(&mut piece)? else {
                continue;
            };
            if part.first {
                self.stamp = Some(Vec::new());
            }
            let line = match part.stream {
                Stream::Stdout => &mut self.stdout,
                Stream::Stderr => &mut self.stderr,
            };
            for &byte in part.bytes {
                match &mut self.stamp {
                    Some(stamp) if byte == b' ' => {
                        if line.text.is_empty() {
                            line.at = String::from_utf8_lossy(stamp).into_owned();
                        }
                        self.stamp = None;
                    }
                    Some(stamp) if stamp.len() < STAMP_BYTES_MAX => stamp.push(byte),
                    Some(_) => return Err(RuntimeError::Protocol("a log entry without a time")),
                    None if byte == b'\n' => line.end(part.stream, &mut self.ready),
                    None => {
                        if line.text.len() == LOG_LINE_BYTES_MAX {
                            line.cut(part.stream, &mut self.ready);
                        }
                        line.text.push(byte);
                    }
                }
            }
            if part.last {
                self.stamp = None;
            }
        }
        Ok(())
    }

    /// What has no end when the log has.
    fn finish(&mut self) {
        for (line, stream) in [
            (&mut self.stdout, Stream::Stdout),
            (&mut self.stderr, Stream::Stderr),
        ] {
            if !line.text.is_empty() {
                line.end(stream, &mut self.ready);
            }
        }
    }
}

impl Line {
    fn end(&mut self, stream: Stream, ready: &mut VecDeque<LogLine>) {
        if self.text.last() == Some(&b'\r') {
            self.text.pop();
        }
        self.cut(stream, ready);
    }

    fn cut(&mut self, stream: Stream, ready: &mut VecDeque<LogLine>) {
        ready.push_back(LogLine {
            stream,
            at: self.at.clone(),
            text: String::from_utf8_lossy(&self.text).into_owned(),
        });
        self.text.clear();
    }
}

pub(super) struct Log {
    body: Body,
    lines: Lines,
    ended: bool,
}

impl Log {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            lines: Lines::default(),
            ended: false,
        }
    }
}

#[async_trait(?Send)]
impl LogStream for Log {
    async fn next(&mut self) -> Result<Option<LogLine>, RuntimeError> {
        loop {
            if let Some(line) = self.lines.ready.pop_front() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.piece().await? {
                Some(piece) => self.lines.push(piece)?,
                None => {
                    self.ended = true;
                    self.lines.finish();
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Actor")]
    actor: Actor,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Option<BTreeMap<String, String>>,
}

impl Event {
    /// As ours, if it is about one of Coracle's containers and worth telling.
    fn translate(self) -> Option<RuntimeEvent> {
        let attributes = self.actor.attributes?;
        if self.kind != "container" || !attributes.contains_key(labels::APP) {
            return None;
        }
        let kind = match self.action.as_str() {
            "create" => RuntimeEventKind::Created,
            "start" | "restart" => RuntimeEventKind::Started,
            "died" | "die" => RuntimeEventKind::Exited,
            "remove" => RuntimeEventKind::Removed,
            _ => return None,
        };
        Some(RuntimeEvent {
            container: ContainerId(self.actor.id),
            kind,
        })
    }
}

/// Events from when it was made. The call is sent with the first [`EventStream::next`], since
/// podman answers nothing at all before there is an event.
pub(super) struct Events {
    api: Api,
    since: Duration,
    body: Option<Body>,
    line: Vec<u8>,
    ready: VecDeque<RuntimeEvent>,
}

impl Events {
    pub(super) fn new(api: Api) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            api,
            since: now.unwrap_or_default(),
            body: None,
            line: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), RuntimeError> {
        for &byte in piece {
            if byte != b'\n' {
                self.line.push(byte);
            } else if !self.line.is_empty() {
                let event: Event = decode(&self.line)?;
                self.line.clear();
                self.ready.extend(event.translate());
            }
        }
        if self.line.len() > EVENT_BYTES_MAX {
            return Err(RuntimeError::Protocol("an event over its bound"));
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl EventStream for Events {
    async fn next(&mut self) -> Result<Option<RuntimeEvent>, RuntimeError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let mut body = match self.body.take() {
                Some(body) => body,
                None => {
                    let (s, ns) = (self.since.as_secs(), self.since.subsec_nanos());
                    let call = Call::get("events")
                        .query("stream", "true")
                        .query("since", &format!("{s}.{ns:09}"))
                        // podman 4 cannot filter events by a label without its value.
                        .filter("type", "container")?;
                    self.api.stream(call.within(FOREVER)).await?
                }
            };
            let Some(piece) = body.piece().await? else {
                return Ok(None);
            };
            self.take(piece)?;
            self.body = Some(body);
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
