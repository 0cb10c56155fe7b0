//! As much of an HTTP/1.1 client (RFC 9112) as costs next to nothing: what is measured is the
//! server.
//!
//! Never understands chunked bodies: answers of a known length are all that the servers give here.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const HEADERS_MAX: usize = 32;
/// Most bytes of an answer, head and body.
const ANSWER_BYTES_MAX: usize = 2 << 20;
const READ_BYTES: usize = 4 << 10;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The challenge for the next request, if there is one.
    pub(crate) challenge: Option<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The answer, if its status is as wanted.
    ///
    /// # Errors
    /// Otherwise, with what the server said.
    pub(crate) fn expect(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        let said = String::from_utf8_lossy(&self.body);
        bail!(
            "status {} instead of {status}: {}",
            self.status,
            said.trim()
        );
    }
}

/// A connection that is kept alive.
pub(crate) struct Connection<S> {
    stream: S,
    /// What has been read and not been taken.
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends a request, complete as bytes, and reads the answer.
    ///
    /// # Errors
    /// If the connection breaks, or the answer is none that this client understands.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.send(request).await?;
        self.receive().await
    }

    /// Sends a request, complete as bytes.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await.context("sending")?;
        self.stream.flush().await.context("sending")
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn receive(&mut self) -> Result<Answer> {
        loop {
            if let Some((answer, length)) = parse(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(answer);
            }
            ensure!(self.buffer.len() < ANSWER_BYTES_MAX, "an endless answer");
            self.buffer.reserve(READ_BYTES);
            let read = self.stream.read_buf(&mut self.buffer).await;
            ensure!(
                read.context("receiving")? > 0,
                "the server closed the connection"
            );
        }
    }
}

/// The answer at the start of these bytes and its length, if it is whole.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head.parse(bytes);
    let parsed = parsed.map_err(|error| anyhow::anyhow!("no HTTP/1.1 answer: {error}"))?;
    let httparse::Status::Complete(head_bytes) = parsed else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found = head
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    let status = head.code.unwrap_or_default();
    let body_bytes: usize = match header("content-length") {
        Some(length) => length.parse().context("Content-Length")?,
        None if status == 204 => 0,
        None => bail!("an answer {status} without Content-Length"),
    };
    ensure!(
        body_bytes < ANSWER_BYTES_MAX,
        "an answer of {body_bytes} bytes"
    );
    let length = head_bytes + body_bytes;
    let Some(body) = bytes.get(head_bytes..length) else {
        return Ok(None);
    };
    let answer = Answer {
        status,
        challenge: header(relay_api::device::HEADER_CHALLENGE),
        body: body.to_vec(),
    };
    Ok(Some((answer, length)))
}

/// A `GET` without a body, as bytes.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: relay\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nCoracle-Challenge: c7\r\ncontent-length: 3\r\n\r\nok\n";

    #[test]
    fn an_answer_is_taken_when_it_is_whole() {
        for length in 0..ANSWER.len() {
            assert_eq!(parse(&ANSWER[..length]).unwrap(), None, "{length} bytes");
        }
        let two = [ANSWER, ANSWER].concat();
        let (answer, length) = parse(&two).unwrap().unwrap();
        assert_eq!(length, ANSWER.len());
        assert_eq!(answer.challenge.as_deref(), Some("c7"));
        assert_eq!(answer.expect(200).unwrap().body, b"ok\n");
    }

    #[test]
    fn an_answer_without_a_body_needs_no_length() {
        let (answer, _) = parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
            b"SSH-2.0\r\n\r\n",
        ] {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let refused = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 9\r\n\r\nsignature";
        let (answer, _) = parse(refused).unwrap().unwrap();
        let error = answer.expect(200).unwrap_err().to_string();
        assert_eq!(error, "status 401 instead of 200: signature");
    }
}
