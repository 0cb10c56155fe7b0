//! Fetches a range of a file (clauses D40 to D44).
//!
//! Bytes go to the sink as they come; whoever gets them verifies them. Never reads further than
//! what was asked for, and never waits for a server that sends next to nothing.

use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::answer::{self, broken, failed};
use super::http::{Header, Line, Request, Response};
use super::{Fetched, Range, RemoteError, Sink};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 16 << 10;

/// Spreads bytes over time: all downloads of a device share one.
pub(super) struct Pace {
    bytes_s: Option<u64>,
    /// When the next byte may come.
    free: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most so many bytes a second; none: as they come.
    pub(super) fn new(bytes_s: Option<u64>) -> Self {
        Self {
            bytes_s: bytes_s.filter(|rate| *rate > 0),
            free: Mutex::new(None),
        }
    }

    /// How much may be read at a time: a quarter of a second's bytes.
    fn piece(&self) -> usize {
        let quarter = self.bytes_s.map_or(u64::MAX, |rate| (rate / 4).max(1));
        PIECE_BYTES.min(usize::try_from(quarter).unwrap_or(PIECE_BYTES))
    }

    /// How long to wait, now that so many bytes have come.
    fn after(&self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.bytes_s else {
            return Duration::ZERO;
        };
        let took = Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / rate);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let next = free.filter(|at| *at > now).unwrap_or(now) + took;
        *free = Some(next);
        next - now
    }
}

/// Fetches a range into `sink`. Ends early, as unreachable, once `is_wanted` says no.
///
/// # Errors
/// [`RemoteError`]; what has come until then is in the sink.
pub(super) fn fetch(
    line: &Line,
    range: &Range,
    mut sink: Sink,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Fetched, RemoteError> {
    if range.from >= range.to {
        return Ok(Fetched::default());
    }
    let response = ask(line, range)?;
    let told = judge(&response, range)?;
    let mut reader = response.into_body().into_reader();
    let mut left = told.to - range.from;
    let mut piece = vec![0; line.pace.piece()];
    let (mut window, mut in_window) = (Instant::now(), 0u64);
    while left > 0 {
        let most = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        let read = reader.read(&mut piece[..most]).map_err(broken)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
            if told.may_end {
                break;
            }
            return Err(RemoteError::Unreachable(
                "the connection ended before the file did".into(),
            ));
        };
        sink(bytes).map_err(RemoteError::Sink)?;
        left -= read as u64;
        in_window += read as u64;
        if !is_wanted() {
            return Err(RemoteError::Unreachable("nobody waits any longer".into()));
        }
        if window.elapsed() >= line.limits.slow {
            if in_window < line.limits.slow_bytes {
                return Err(RemoteError::Slow);
            }
            (window, in_window) = (Instant::now(), 0);
        }
        let pause = line.pace.after(read, Instant::now());
        if left > 0 && !pause.is_zero() {
            std::thread::sleep(pause);
            // What this side has waited is not the server's slowness.
            window += pause;
        }
    }
    Ok(told.file)
}

fn ask(line: &Line, range: &Range) -> Result<Response, RemoteError> {
    const ADDRESS: RemoteError =
        RemoteError::Garbage("it names a bundle at an address that a device does not ask");
    let target = line.address.named(&range.url).map_err(|_| ADDRESS)?;
    let agent = line.files(target.own)?;
    let mut send = |headers: &[Header]| {
        let mut request = Request::get(&target.url)
            .header("range", format!("bytes={}-{}", range.from, range.to - 1));
        if let Some(etag) = &range.etag {
            request = request.header("if-range", etag);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(()).map_err(|e| failed(e.into()))?;
        let request = agent.configure_request(request);
        // A file takes as long as it takes, as long as it comes.
        let request = request
            .timeout_recv_body(None)
            .timeout_per_read(Some(line.limits.slow))
            .build();
        agent.run(request).map_err(failed)
    };
    match &target.signed {
        Some(path) => line.signed(agent, "GET", path, b"", &mut send),
        None => answer::refusal(send(&[])?, line.limits.answer),
    }
}

/// What an answer says of the file, and up to where it has bytes.
struct Told {
    file: Fetched,
    to: u64,
    /// Whether the bytes may end before `to`.
    may_end: bool,
}

fn judge(response: &Response, range: &Range) -> Result<Told, RemoteError> {
    let etag = answer::text(response, "etag").filter(|etag| is_strong(etag));
    let file = |file_bytes| Fetched {
        etag: etag.clone(),
        file_bytes,
    };
    match response.status().as_u16() {
        206 => {
            if range.etag.is_some() && etag.is_some() && etag != range.etag {
                return Err(RemoteError::Changed);
            }
            let content = answer::text(response, "content-range");
            let content = content.as_deref().and_then(ContentRange::parse);
            let content = content.ok_or(RemoteError::Garbage("its range is no range"))?;
            let to = content.last.saturating_add(1);
            let ends_with_file = content.file_bytes == Some(to);
            if content.first != range.from || to > range.to || (to < range.to && !ends_with_file) {
                return Err(RemoteError::Garbage(
                    "it sends another range than was asked",
                ));
            }
            Ok(Told {
                file: file(content.file_bytes),
                to,
                may_end: false,
            })
        }
        200 if range.etag.is_some() => Err(RemoteError::Changed),
        200 if range.from == 0 => Ok(Told {
            file: file(response.body().content_length()),
            to: range.to,
            may_end: true,
        }),
        200 => Err(RemoteError::Garbage("it cannot send a part of a file")),
        _ => Err(RemoteError::Garbage("it has a status that no file has")),
    }
}

/// Whether an `ETag` is a strong one (RFC 9110, section 8.8.3), short enough to be sent back.
fn is_strong(etag: &str) -> bool {
    etag.len() <= 256 && etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
}

/// `bytes FIRST-LAST/SIZE` (RFC 9110, section 14.4); the size may be `*`.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    last: u64,
    file_bytes: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let file_bytes = match size {
            "*" => None,
            size => Some(number(size)?),
        };
        let found = Self {
            first: number(first)?,
            last: number(last)?,
            file_bytes,
        };
        let fits = found.first <= found.last && file_bytes.is_none_or(|size| found.last < size);
        fits.then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        let range = |first, last, file_bytes| {
            Some(ContentRange {
                first,
                last,
                file_bytes,
            })
        };
        for (text, wanted) in [
            ("bytes 0-99/1000", range(0, 99, Some(1000))),
            ("bytes 5-5/*", range(5, 5, None)),
            ("bytes 5-4/1000", None),
            ("bytes 0-1000/1000", None),
            ("bytes */1000", None),
            ("bytes 0-/1000", None),
            ("bytes +0-9/1000", None),
            ("bytes 0-9/", None),
            ("bytes 0-99999999999999999999/*", None),
            ("items 0-9/10", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn only_a_strong_etag_is_kept() {
        for (etag, strong) in [
            ("\"abc\"", true),
            ("\"\"", true),
            ("W/\"abc\"", false),
            ("abc", false),
            ("\"", false),
            (&format!("\"{}\"", "a".repeat(300)), false),
        ] {
            assert_eq!(is_strong(etag), strong, "{etag}");
        }
    }

    #[test]
    fn a_rate_is_kept_over_several_downloads() {
        let pace = Pace::new(Some(1_000));
        assert_eq!(pace.piece(), 250);
        let start = Instant::now();
        assert_eq!(pace.after(250, start), Duration::from_millis(250));
        // Another download, at the same moment.
        assert_eq!(pace.after(250, start), Duration::from_millis(500));
        let later = start + Duration::from_secs(10);
        assert_eq!(pace.after(250, later), Duration::from_millis(250));
        let free = Pace::new(None);
        assert_eq!(free.after(usize::MAX, start), Duration::ZERO);
        assert_eq!(free.piece(), PIECE_BYTES);
        assert_eq!(Pace::new(Some(1)).piece(), 1);
    }
}
