//! A device: a key of its own, requests signed as `docs/device-protocol.md` says.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::manifest::AgentVersion;
use bundle::{Arch, DeviceId, Digest};
use relay_api::device::{
    Answer, AppFacts, AppPhase, CheckIn, DeviceFacts, EnrollRequest, Event, HEADER_CHALLENGE,
    HEADER_DEVICE, HEADER_PROTOCOL, HEADER_SIGNATURE, PATH_CHALLENGE, PATH_CHECK_IN, PATH_ENROLL,
    PATH_REPORTS, Report, Running, UpdateResult, Updated, decode, encode, signed_text,
};
use reqwest::{Client, Method};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::server::{Answered, Server, send};

pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) client: Client,
    pub(crate) url: String,
    pair: Ed25519KeyPair,
    challenge: Mutex<String>,
}

/// What a request says of itself; tests change it.
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    pub(crate) device: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) extra: Vec<(&'static str, String)>,
}

pub(crate) fn facts() -> DeviceFacts {
    DeviceFacts {
        agent: AgentVersion(0, 1, 0),
        arch: Arch::Amd64,
        fleet: "default".parse().unwrap(),
        class: None,
        time_zone: None,
        labels: Vec::new(),
    }
}

impl Device {
    /// A device with a key that nobody knows yet.
    pub(crate) fn new(server: &Server, id: &str) -> Self {
        Self::with(server.client(), &server.url, id)
    }

    pub(crate) fn with(client: Client, url: &str, id: &str) -> Self {
        let mut seed = [0; 32];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed).unwrap();
        Self {
            id: id.parse().unwrap(),
            client,
            url: url.to_string(),
            pair: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(),
            challenge: Mutex::default(),
        }
    }

    /// An enrolled device.
    pub(crate) async fn enrolled(server: &Server, id: &str) -> Self {
        let device = Self::new(server, id);
        let token = server.operator().enroll_token().await;
        device.enroll(&token).await.ok(200);
        device
    }

    /// The same device at a server that was started again.
    pub(crate) fn moved(self, server: &Server) -> Self {
        Self {
            client: server.client(),
            url: server.url.clone(),
            ..self
        }
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().unwrap()
    }

    pub(crate) fn sign(&self, method: &str, path: &str, body: &[u8], challenge: &str) -> String {
        let text = signed_text(method, path, &Digest::of(body), challenge);
        URL_SAFE_NO_PAD.encode(self.pair.sign(text.as_bytes()))
    }

    /// Forgets the last answer's challenge.
    pub(crate) fn forget_challenge(&self) {
        self.challenge.lock().unwrap().clear();
    }

    /// The challenge for the next request: the last answer's, or a fresh one.
    async fn challenge(&self) -> reqwest::Result<String> {
        let known = self.challenge.lock().unwrap().clone();
        if !known.is_empty() {
            return Ok(known);
        }
        let request = self.client.get(format!("{}{PATH_CHALLENGE}", self.url));
        let request = request.header(HEADER_DEVICE, self.id.as_str());
        let answered = send(request.header(HEADER_PROTOCOL, "1")).await?;
        Ok(answered.header(HEADER_CHALLENGE).unwrap().to_string())
    }

    /// A request as it should be.
    pub(crate) async fn draft(&self, method: Method, path: &str, body: Vec<u8>) -> Draft {
        self.try_draft(method, path, body).await.unwrap()
    }

    /// The same, if nothing breaks on the way.
    async fn try_draft(&self, method: Method, path: &str, body: Vec<u8>) -> reqwest::Result<Draft> {
        let challenge = self.challenge().await?;
        Ok(Draft {
            signature: Some(self.sign(method.as_str(), path, &body, &challenge)),
            challenge: Some(challenge),
            method,
            path: path.to_string(),
            body,
            device: Some(self.id.to_string()),
            protocol: Some("1".to_string()),
            extra: Vec::new(),
        })
    }

    pub(crate) fn build(&self, draft: &Draft) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.url, draft.path);
        let mut request = self.client.request(draft.method.clone(), url);
        for (name, value) in [
            (HEADER_DEVICE, &draft.device),
            (HEADER_CHALLENGE, &draft.challenge),
            (HEADER_SIGNATURE, &draft.signature),
            (HEADER_PROTOCOL, &draft.protocol),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        for (name, value) in &draft.extra {
            request = request.header(*name, value);
        }
        request.body(draft.body.clone())
    }

    pub(crate) async fn try_send(&self, draft: &Draft) -> reqwest::Result<Answered> {
        let answered = send(self.build(draft)).await?;
        if let Some(challenge) = answered.header(HEADER_CHALLENGE) {
            *self.challenge.lock().unwrap() = challenge.to_string();
        }
        Ok(answered)
    }

    pub(crate) async fn send(&self, draft: &Draft) -> Answered {
        self.try_send(draft).await.unwrap()
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Answered {
        self.send(&self.draft(method, path, body).await).await
    }

    pub(crate) fn enroll_request(&self, token: &str) -> EnrollRequest {
        EnrollRequest {
            token: token.to_string(),
            device: self.id.clone(),
            public_key: self.public_key(),
            facts: facts(),
        }
    }

    pub(crate) async fn enroll(&self, token: &str) -> Answered {
        self.try_enroll(token).await.unwrap()
    }

    /// Enrols with a request of the test's.
    pub(crate) async fn enroll_as(&self, request: &EnrollRequest) -> Answered {
        self.ask(Method::POST, PATH_ENROLL, encode(request)).await
    }

    /// Enrols, if nothing breaks on the way.
    pub(crate) async fn try_enroll(&self, token: &str) -> reqwest::Result<Answered> {
        let body = encode(&self.enroll_request(token));
        let draft = self.try_draft(Method::POST, PATH_ENROLL, body).await?;
        self.try_send(&draft).await
    }

    pub(crate) async fn check_in(&self, seen: u64, wait_s: u16, apps: Vec<AppFacts>) -> Answer {
        let body = check_in(seen, wait_s, apps);
        let answered = self.ask(Method::POST, PATH_CHECK_IN, body).await.ok(200);
        decode(&answered.body).unwrap()
    }

    pub(crate) async fn report(&self, key: &str, report: &Report) -> Answered {
        self.try_report(key, report).await.unwrap()
    }

    /// Reports, if nothing breaks on the way.
    pub(crate) async fn try_report(&self, key: &str, report: &Report) -> reqwest::Result<Answered> {
        let path = format!("{PATH_REPORTS}/{key}");
        let draft = self.try_draft(Method::PUT, &path, encode(report)).await?;
        self.try_send(&draft).await
    }
}

/// The body of a check-in.
pub(crate) fn check_in(seen: u64, wait_s: u16, apps: Vec<AppFacts>) -> Vec<u8> {
    encode(&CheckIn {
        facts: facts(),
        apps,
        seen,
        wait_s,
    })
}

/// The app kiosk, running a version.
pub(crate) fn running(version: &str, seq: u64, bundle: Digest) -> Vec<AppFacts> {
    vec![AppFacts {
        app: "kiosk".parse().unwrap(),
        phase: AppPhase::Running,
        running: Some(Running {
            version: version.parse().unwrap(),
            seq,
            bundle,
            generation: 1,
        }),
        previous_seq: None,
        services: Vec::new(),
    }]
}

/// An update that ended so.
pub(crate) fn updated(result: UpdateResult, seq: u64, bundle: Digest, rollout: u64) -> Report {
    Report {
        at: 1_795_000_000,
        app: "kiosk".parse().unwrap(),
        event: Event::Updated(Updated {
            result,
            version: format!("{seq}.0").parse().unwrap(),
            seq,
            bundle,
            generation: Some(1),
            rollout: Some(rollout),
            cause: None,
            running: Vec::new(),
            evidence: Vec::new(),
        }),
    }
}

/// A container that ended by itself, with this code.
pub(crate) fn exited(exit_code: i32) -> Report {
    Report {
        at: 1_795_000_000,
        app: "kiosk".parse().unwrap(),
        event: Event::Exited {
            service: "web".parse().unwrap(),
            generation: 1,
            exit_code,
            oom_killed: false,
        },
    }
}
