//! The little HTTP that tests need: `GET` from this machine.
//!
//! Never follows redirects and never speaks TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::wait_until;

const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Response {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }
}

/// `GET http://127.0.0.1:PORT/PATH` over HTTP/1.0, so that the body ends with the connection.
///
/// # Errors
/// When nobody answers with HTTP within ten seconds.
pub fn get(port: u16, path: &str) -> Result<Response> {
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer without a header")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Response {
        status: status.context("an answer without a status")?,
        body: body.to_owned(),
    })
}

/// Gets until the answer is as `wanted`; failures to connect count as "not yet".
///
/// # Errors
/// When the deadline is over; with the last answer.
pub fn wait_for(
    port: u16,
    path: &str,
    deadline: Duration,
    wanted: impl Fn(&Response) -> bool,
) -> Result<Response> {
    let mut last = String::from("nothing");
    let waited = wait_until(
        &format!("port {port}{path} to answer as wanted"),
        deadline,
        || {
            match get(port, path) {
                Ok(response) if wanted(&response) => return Ok(Some(response)),
                Ok(response) => last = format!("{response:?}"),
                Err(error) => last = format!("{error:#}"),
            }
            Ok(None)
        },
    );
    waited.with_context(|| format!("the last answer was {last}"))
}
