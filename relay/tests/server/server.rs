//! Runs the server in a folder of its own, and speaks to it as an operator.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;

use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};

use crate::image::image;
use crate::run::Place;

/// A server that runs; killed when dropped.
pub(crate) struct Server {
    pub(crate) place: Arc<Place>,
    pub(crate) url: String,
    child: Child,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; `null` if there is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The word that says why, of an answer that must have this status.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self}");
        let code = self.json()["error"]["code"].as_str().map(str::to_string);
        code.unwrap_or_else(|| panic!("no code in {self}"))
    }

    /// Itself, if it has this status.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl std::fmt::Display for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// Sends, and reads the answer to its end.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Answered> {
    let response = request.send().await?;
    Ok(Answered {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await?.to_vec(),
    })
}

impl Server {
    /// A server with TLS, in a new folder.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(Arc::new(Place::new()), arguments)
    }

    /// A server without TLS, as behind a proxy.
    pub(crate) fn start_plain(arguments: &[&str]) -> Self {
        Self::launch(Arc::new(Place::new()), arguments, false)
    }

    /// A server with TLS, in a folder where one may have run before.
    pub(crate) fn start_in(place: Arc<Place>, arguments: &[&str]) -> Self {
        Self::launch(place, arguments, true)
    }

    fn launch(place: Arc<Place>, arguments: &[&str], tls: bool) -> Self {
        let mut all = vec!["--data", "data", "--listen", "127.0.0.1:0"];
        all.extend(["--admin-token-file", "admin.token"]);
        if tls {
            all.extend(["--dev-ca", "ca"]);
        }
        all.extend(arguments);
        Self::start_with(place, &all)
    }

    /// A server with these arguments only.
    pub(crate) fn start_with(place: Arc<Place>, arguments: &[&str]) -> Self {
        // For `--keys`.
        let _ = fs::create_dir(place.path("keys"));
        place.write("keys/release.pub", place.read("release.pub"));
        let mut command = place.command(&["serve", "--log-level", "debug"]);
        let mut log = File::options();
        let log = log.create(true).append(true).open(place.path("serve.log"));
        command.args(arguments).stderr(log.unwrap());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("relay listens on ");
        let url = url.unwrap_or_else(|| {
            let log = fs::read_to_string(place.path("serve.log")).unwrap();
            panic!("it said {line:?} and logged\n{log}")
        });
        Self {
            url: url.to_string(),
            place,
            child,
        }
    }

    /// Where the data is.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.place.path("data").join(name)
    }

    /// What it has logged so far, in all its runs.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.path("serve.log")).unwrap()
    }

    /// An HTTP client that trusts `ca.pem` and nothing else.
    pub(crate) fn client(&self) -> Client {
        client(fs::read(self.place.path("ca/ca.pem")).ok())
    }

    /// The operator who has the first token.
    pub(crate) fn operator(&self) -> Operator {
        let token = fs::read_to_string(self.place.path("admin.token")).unwrap();
        Operator {
            client: self.client(),
            url: self.url.clone(),
            token: token.trim().to_string(),
        }
    }

    /// `kill -9`; gives the folder, for the next start.
    pub(crate) fn kill(mut self) -> Arc<Place> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Arc::clone(&self.place)
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args([name, &id]).status().unwrap().success());
    }

    /// SIGTERM; gives the exit code, and the folder for the next start.
    pub(crate) fn stop(mut self) -> (Option<i32>, Arc<Place>) {
        self.signal("-TERM");
        let code = self.child.wait().unwrap().code();
        (code, Arc::clone(&self.place))
    }

    /// Packs version `seq`.0 into `NAME.bin`, and gives its bytes.
    pub(crate) fn pack(&self, seq: u64) -> Vec<u8> {
        let web = image(&format!("version {seq}"));
        let source = self.place.archive(&format!("web-{seq}.tar"), &web);
        let (version, seq) = (format!("{seq}.0"), seq.to_string());
        let image = format!("web={source}");
        // The last of a repeated flag would be an error, so this is spelt out.
        let mut command = self
            .place
            .command(&["pack", "compose.yaml", "--app", "kiosk"]);
        command.args(["--version", &version, "--seq", &seq, "--arch", "amd64"]);
        command.args(["--issued-at", "1700000000", "--compression", "1"]);
        command.args(["--key", "release.key", "-o", "out.bin", "--image", &image]);
        crate::run::said(&mut command).ok();
        self.place.read("out.bin")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that trusts this authority only.
pub(crate) fn client(ca: Option<Vec<u8>>) -> Client {
    // Another test of this process may have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let roots = ca.map(|pem| Certificate::from_pem(&pem).unwrap());
    let builder = Client::builder().tls_certs_only(roots).no_proxy();
    builder.build().unwrap()
}

/// Somebody with a token.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Operator {
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        send(self.request(Method::GET, path)).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Answered {
        send(self.request(Method::DELETE, path)).await.unwrap()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Answered {
        let request = self.request(method, path).body(body.to_string());
        send(request).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn publish(&self, bytes: &[u8]) -> Answered {
        let request = self.request(Method::POST, "/api/v1/bundles");
        send(request.body(bytes.to_vec())).await.unwrap()
    }

    /// A new enrolment token.
    pub(crate) async fn enroll_token(&self) -> String {
        let asked = json!({"labels": {"site": "harbour"}, "ttl_s": 3600});
        let made = self.post("/api/v1/enroll-tokens", &asked).await.ok(201);
        made.json()["token"].as_str().unwrap().to_string()
    }

    /// Starts a rollout of kiosk, and gives its id.
    pub(crate) async fn roll_out(&self, version: &str, to: &str) -> u64 {
        let asked = json!({"app": "kiosk", "version": version, "to": to});
        let started = self.post("/api/v1/rollouts", &asked).await.ok(201);
        started.json()["id"].as_u64().unwrap()
    }

    /// The audit log, newest first, each entry as `who action on result`.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let page = self.get("/api/v1/audit?limit=1000").await.ok(200).json();
        let words = |entry: &Value| {
            let word = |name: &str| entry[name].as_str().unwrap().to_string();
            [word("who"), word("action"), word("on"), word("result")].join(" ")
        };
        page.as_array().unwrap().iter().map(words).collect()
    }
}
