//! HTTP/1.1 over a Unix socket: one connection per call, as much of RFC 9112 as podman's service
//! uses.
//!
//! Never follows redirects, never sends more than one request on a connection, and never takes
//! more memory than its buffer and the caller's bound. Why not a library: decision 0003.

use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use smol::Async;
use smol::future::FutureExt as _;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::RuntimeError;

/// Bytes of the buffer, hence the most that a response's head may have.
const BUFFER_BYTES: usize = 16 << 10;
/// Most header fields of a response; podman sends about ten.
const HEADERS_MAX: usize = 32;

/// Where to send calls.
#[derive(Clone, Debug)]
pub(super) struct Client {
    socket: PathBuf,
}

/// A call: method, path with query, and a JSON body if any.
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) target: &'a str,
    pub(super) body: Option<&'a [u8]>,
    /// Asks for the connection itself (exec).
    pub(super) upgrade: bool,
}

/// The head of an answer, its body still to come.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Body,
}

/// A body on its way.
pub(super) struct Body {
    stream: Async<UnixStream>,
    buffer: Vec<u8>,
    /// What of the buffer is not used up yet.
    start: usize,
    end: usize,
    framing: Framing,
}

/// How the end of a body is told (RFC 9112, section 6.3).
enum Framing {
    Length(u64),
    /// Bytes left of the current chunk, and whether a chunk's trailing CRLF is due before the next.
    Chunked {
        left: u64,
        first: bool,
    },
    UntilClose,
}

impl Client {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Sends a call and reads the head of its answer.
    ///
    /// # Errors
    /// [`RuntimeError::Unreachable`] if nothing listens, [`RuntimeError::Io`] if the connection
    /// breaks, [`RuntimeError::Protocol`] if the answer is not HTTP/1.1.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Response, RuntimeError> {
        let mut stream = Async::<UnixStream>::connect(&self.socket)
            .await
            .map_err(RuntimeError::Unreachable)?;
        let mut head = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = write!(
            head,
            "{} {} HTTP/1.1\r\nHost: d\r\n",
            request.method, request.target
        );
        head.push_str(if request.upgrade {
            "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        } else {
            "Connection: close\r\n"
        });
        let body = request.body.unwrap_or_default();
        if request.body.is_some() || request.method == "POST" {
            let _ = write!(
                head,
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        head.push_str("\r\n");
        stream
            .write_all(head.as_bytes())
            .await
            .map_err(RuntimeError::Io)?;
        stream.write_all(body).await.map_err(RuntimeError::Io)?;
        Body::after_head(stream).await
    }
}

impl Body {
    /// Reads the head; what follows is the body.
    async fn after_head(stream: Async<UnixStream>) -> Result<Response, RuntimeError> {
        let mut body = Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            framing: Framing::UntilClose,
        };
        loop {
            body.fill_some().await?;
            if let Some((status, framing, used)) = parse_head(&body.buffer[..body.end])? {
                // Interim answers but 101 carry nothing (RFC 9110, section 15.2).
                body.start += used;
                if (100..200).contains(&status) && status != 101 {
                    return Err(RuntimeError::Protocol("an interim HTTP answer"));
                }
                body.framing = framing;
                return Ok(Response { status, body });
            }
        }
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`RuntimeError::Io`] if the connection ends before the body does.
    pub(super) async fn piece(&mut self) -> Result<Option<&[u8]>, RuntimeError> {
        if let Framing::Chunked { left: 0, .. } = self.framing {
            self.next_chunk().await?;
        }
        let limit = match self.framing {
            Framing::Length(left) | Framing::Chunked { left, .. } => left,
            Framing::UntilClose => u64::MAX,
        };
        if limit == 0 {
            return Ok(None);
        }
        if self.start == self.end {
            match (self.fill().await?, &self.framing) {
                (0, Framing::UntilClose) => return Ok(None),
                (0, _) => return Err(cut_off()),
                _ => {}
            }
        }
        let n = (self.end - self.start).min(usize::try_from(limit).unwrap_or(usize::MAX));
        match &mut self.framing {
            Framing::Length(left) | Framing::Chunked { left, .. } => *left -= n as u64,
            Framing::UntilClose => {}
        }
        self.start += n;
        Ok(Some(&self.buffer[self.start - n..self.start]))
    }

    /// The whole body, if it is at most `max` bytes.
    ///
    /// # Errors
    /// As [`Body::piece`], and [`RuntimeError::Protocol`] if it is longer.
    pub(super) async fn collect(&mut self, max: usize) -> Result<Vec<u8>, RuntimeError> {
        let mut out = Vec::new();
        while let Some(piece) = self.piece().await? {
            if out.len() + piece.len() > max {
                return Err(RuntimeError::Protocol("an answer over its bound"));
            }
            out.extend_from_slice(piece);
        }
        Ok(out)
    }

    /// Reads the size line of the next chunk; at the last chunk the body is at its end.
    async fn next_chunk(&mut self) -> Result<(), RuntimeError> {
        loop {
            let unread = &self.buffer[self.start..self.end];
            let Framing::Chunked { first, .. } = self.framing else {
                return Ok(());
            };
            let line = if first {
                Some(unread)
            } else if unread.len() < 2 {
                None
            } else {
                Some(unread.strip_prefix(b"\r\n").ok_or(NOT_CHUNKED)?)
            };
            if let Some(line) = line {
                let skipped = unread.len() - line.len();
                match httparse::parse_chunk_size(line) {
                    // Trailers are of no use, and the connection is closed afterwards.
                    Ok(httparse::Status::Complete((_, 0))) => {
                        self.framing = Framing::Length(0);
                        return Ok(());
                    }
                    Ok(httparse::Status::Complete((used, left))) => {
                        self.start += skipped + used;
                        self.framing = Framing::Chunked { left, first: false };
                        return Ok(());
                    }
                    Ok(httparse::Status::Partial) => {}
                    Err(_) => return Err(NOT_CHUNKED),
                }
            }
            self.fill_some().await?;
        }
    }

    /// Reads more, or fails at the end of the connection.
    async fn fill_some(&mut self) -> Result<(), RuntimeError> {
        match self.fill().await? {
            0 => Err(cut_off()),
            _ => Ok(()),
        }
    }

    /// Reads more behind what is unread; 0 at the end of the connection.
    async fn fill(&mut self) -> Result<usize, RuntimeError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            return Err(RuntimeError::Protocol("an answer's head over its bound"));
        }
        let spare = &mut self.buffer[self.end..];
        let n = self.stream.read(spare).await.map_err(RuntimeError::Io)?;
        self.end += n;
        Ok(n)
    }
}

const NOT_CHUNKED: RuntimeError = RuntimeError::Protocol("a malformed chunk");

fn cut_off() -> RuntimeError {
    RuntimeError::Io(io::ErrorKind::UnexpectedEof.into())
}

/// Status, framing of the body and bytes of a head; none if it is not complete.
fn parse_head(bytes: &[u8]) -> Result<Option<(u16, Framing, usize)>, RuntimeError> {
    const NOT_HTTP: RuntimeError = RuntimeError::Protocol("not HTTP/1.1");
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(used) = head.parse(bytes).map_err(|_| NOT_HTTP)? else {
        return Ok(None);
    };
    let status = head.code.ok_or(NOT_HTTP)?;
    let field = |name: &str| {
        let mut fields = head.headers.iter();
        fields
            .find(|f| f.name.eq_ignore_ascii_case(name))
            .map(|f| f.value)
    };
    let framing = if matches!(status, 204 | 304) {
        Framing::Length(0)
    } else if status == 101 {
        Framing::UntilClose
    } else if let Some(coding) = field("transfer-encoding") {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(RuntimeError::Protocol("an unknown transfer coding"));
        }
        Framing::Chunked {
            left: 0,
            first: true,
        }
    } else if let Some(length) = field("content-length") {
        let length = std::str::from_utf8(length)
            .ok()
            .and_then(|s| s.parse().ok());
        Framing::Length(length.ok_or(NOT_HTTP)?)
    } else {
        Framing::UntilClose
    };
    Ok(Some((status, framing, used)))
}

/// Runs `call` for at most `limit`.
///
/// # Errors
/// [`RuntimeError::TimedOut`] when the limit passes; `call` is dropped then.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, RuntimeError> {
    let late = async {
        smol::Timer::after(limit).await;
        Err(RuntimeError::TimedOut)
    };
    call.or(late).await
}

/// Appends `name=value` to a query.
pub(super) fn push_query(target: &mut String, name: &str, value: &str) {
    target.push(if target.contains('?') { '&' } else { '?' });
    target.push_str(name);
    target.push('=');
    push_escaped(target, value, b"");
}

/// Appends a text, all but unreserved characters and those of `plain` escaped (RFC 3986,
/// section 2.1).
pub(super) fn push_escaped(target: &mut String, text: &str, plain: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte) {
            target.push(char::from(byte));
        } else {
            let _ = write!(target, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    /// Serves `answer` once, a few bytes at a time, then closes.
    fn served(answer: &[u8], step: usize) -> (Client, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let answer = answer.to_vec();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
            for piece in answer.chunks(step) {
                if stream.write_all(piece).is_err() {
                    break;
                }
            }
        });
        (Client::new(socket), dir)
    }

    fn get(answer: &[u8]) -> Vec<Result<(u16, Vec<u8>), RuntimeError>> {
        [1, 7, 4096]
            .map(|step| {
                let (client, _dir) = served(answer, step);
                smol::block_on(async {
                    let request = Request {
                        method: "GET",
                        target: "/x",
                        body: None,
                        upgrade: false,
                    };
                    let mut response = client.send(request).await?;
                    Ok((response.status, response.body.collect(1 << 16).await?))
                })
            })
            .into()
    }

    #[test]
    fn bodies_of_every_framing() {
        for (answer, status, body) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!"[..], 200, &b"hello"[..]),
            (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            (b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\nraw", 101, b"raw"),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
                200,
                b"hello world",
            ),
        ] {
            for got in get(answer) {
                assert_eq!(got.unwrap(), (status, body.to_vec()));
            }
        }
    }

    #[test]
    fn broken_answers_are_errors() {
        let long = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 20_000]].concat();
        let big = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n".to_vec(),
            vec![0; 70_000],
        ]
        .concat();
        for (answer, retryable) in [
            (&b""[..], true),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", true),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                true,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n",
                true,
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", true),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", true),
            (b"SSH-2.0-OpenSSH\r\n\r\n", true),
            (&long, true),
            (&big, true),
        ] {
            for got in get(answer) {
                assert_eq!(got.unwrap_err().is_retryable(), retryable);
            }
        }
    }

    #[test]
    fn queries_are_escaped() {
        let mut target = "/x".to_owned();
        push_query(&mut target, "a", "b c&d=é");
        push_query(&mut target, "e", "f");
        assert_eq!(target, "/x?a=b%20c%26d%3D%C3%A9&e=f");
    }
}
