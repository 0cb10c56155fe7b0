//! Calls to libpod: path prefix, deadlines, JSON, and podman's errors as ours.
//!
//! Never interprets an answer beyond its status; who calls knows what it means.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::http::{Body, Client, Request, within};
use crate::{RuntimeError, error};

/// The API version asked for, which podman 4.0 to 5.x serve.
const PREFIX: &str = "/v4.0.0/libpod/";
/// Most bytes of an answer that is read whole: a list of 1,000 containers stays below.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Most bytes of an error that is read.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// For calls that only look. podman on a small device with a busy SD card takes seconds.
pub(super) const LOOK: Duration = Duration::from_secs(60);
/// For calls that change something on disk.
pub(super) const CHANGE: Duration = Duration::from_secs(180);
/// For waiting until something happens, however long that takes.
pub(super) const FOREVER: Duration = Duration::MAX;

/// A call being put together.
pub(super) struct Call {
    method: &'static str,
    target: String,
    body: Option<Vec<u8>>,
    upgrade: bool,
    limit: Duration,
}

impl Call {
    pub(super) fn get(path: &str) -> Self {
        Self::new("GET", path, LOOK)
    }

    pub(super) fn post(path: &str) -> Self {
        Self::new("POST", path, CHANGE)
    }

    pub(super) fn delete(path: &str) -> Self {
        Self::new("DELETE", path, CHANGE)
    }

    fn new(method: &'static str, path: &str, limit: Duration) -> Self {
        let mut target = PREFIX.to_owned();
        super::http::push_escaped(&mut target, path, b"/:@");
        Self {
            method,
            target,
            body: None,
            upgrade: false,
            limit,
        }
    }

    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        super::http::push_query(&mut self.target, name, value);
        self
    }

    /// The query `filters={"key":["value"]}` that lists take.
    pub(super) fn filter(self, key: &str, value: &str) -> Result<Self, RuntimeError> {
        let filters = std::collections::BTreeMap::from([(key, [value])]);
        let json = serde_json::to_string(&filters).map_err(|_| UNENCODABLE)?;
        Ok(self.query("filters", &json))
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, RuntimeError> {
        self.body = Some(serde_json::to_vec(body).map_err(|_| UNENCODABLE)?);
        Ok(self)
    }

    pub(super) fn upgrade(mut self) -> Self {
        self.upgrade = true;
        self
    }

    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

const UNENCODABLE: RuntimeError = RuntimeError::Protocol("a body that JSON cannot hold");

/// podman's service at a socket.
#[derive(Clone, Debug)]
pub(super) struct Api {
    client: Client,
}

/// What podman says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    cause: String,
    #[serde(default)]
    message: String,
}

impl Api {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self {
            client: Client::new(socket),
        }
    }

    /// Makes a call; its status, below 400, and the whole body.
    pub(super) async fn call(&self, call: Call) -> Result<(u16, Vec<u8>), RuntimeError> {
        within(call.limit, async {
            let (status, mut body) = self.begin(&call).await?;
            Ok((status, body.collect(ANSWER_BYTES_MAX).await?))
        })
        .await
    }

    /// Makes a call whose answer is JSON.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, RuntimeError> {
        decode(&self.call(call).await?.1)
    }

    /// As [`Api::ask`], with none for what does not exist.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        call: Call,
    ) -> Result<Option<T>, RuntimeError> {
        match self.ask(call).await {
            Ok(found) => Ok(Some(found)),
            Err(RuntimeError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a call whose body comes bit by bit; the deadline holds until its head is there.
    pub(super) async fn stream(&self, call: Call) -> Result<Body, RuntimeError> {
        within(call.limit, async { Ok(self.begin(&call).await?.1) }).await
    }

    async fn begin(&self, call: &Call) -> Result<(u16, Body), RuntimeError> {
        let request = Request {
            method: call.method,
            target: &call.target,
            body: call.body.as_deref(),
            upgrade: call.upgrade,
        };
        let mut response = self.client.send(request).await?;
        if response.status < 400 {
            return Ok((response.status, response.body));
        }
        let body = response.body.collect(ERROR_BYTES_MAX).await?;
        Err(refusal(response.status, &body))
    }
}

/// Reads JSON of the runtime's.
pub(super) fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, RuntimeError> {
    serde_json::from_slice(json).map_err(|_| RuntimeError::Protocol("JSON of another shape"))
}

/// What an error answer means. podman tells some conditions by words only.
pub(super) fn refusal(status: u16, body: &[u8]) -> RuntimeError {
    let words = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) if refusal.message.is_empty() => refusal.cause,
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    refused(status, &words)
}

/// As [`refusal`], from the words alone: podman answers much with 500.
pub(super) fn refused(status: u16, words: &str) -> RuntimeError {
    const NO_SPACE: [&str; 2] = ["no space left on device", "disk quota exceeded"];
    const ABSENT: [&str; 2] = ["image not known", "no such image"];
    const CONFLICTS: [&str; 6] = [
        "address already in use",
        "already exists",
        "is already in use",
        "is being used",
        "container state improper",
        "in use by",
    ];
    let says = |hints: &[&str]| hints.iter().any(|hint| words.contains(hint));
    if says(&NO_SPACE) {
        return RuntimeError::NoSpace;
    }
    match status {
        404 => RuntimeError::NotFound,
        409 => RuntimeError::Conflict(error::clean(words)),
        _ if says(&ABSENT) => RuntimeError::NotFound,
        _ if says(&CONFLICTS) => RuntimeError::Conflict(error::clean(words)),
        _ => RuntimeError::Refused {
            status,
            message: error::clean(words),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_cannot_change_the_request() {
        let call = Call::get("containers/x?all=true HTTP/1.1\r\nHost: y/json");
        assert_eq!(
            call.target,
            "/v4.0.0/libpod/containers/x%3Fall%3Dtrue%20HTTP/1.1%0D%0AHost:%20y/json"
        );
    }

    #[test]
    fn refusals_mean_what_podman_means() {
        let body = |words| format!(r#"{{"cause":"x","message":"{words}","response":500}}"#);
        let of = |status, words| refusal(status, body(words).as_bytes());
        assert!(matches!(
            of(404, "no such container"),
            RuntimeError::NotFound
        ));
        assert!(matches!(of(409, "busy"), RuntimeError::Conflict(_)));
        assert!(matches!(
            of(
                500,
                "rootlessport listen tcp 0.0.0.0:80: bind: address already in use"
            ),
            RuntimeError::Conflict(_)
        ));
        assert!(matches!(
            of(500, "writing blob: write /x: no space left on device"),
            RuntimeError::NoSpace
        ));
        assert!(matches!(
            refusal(502, b"<html>"),
            RuntimeError::Refused { status: 502, message } if message == "<html>"
        ));
    }
}
