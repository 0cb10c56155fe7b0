//! [`Remote`] over HTTPS.
//!
//! Requests block, so each runs on a thread of its own ([`Host::run`]); timeouts bound how long a
//! thread lives that nobody waits for. Requests to the relay's own origin are signed, others carry
//! nothing of the device. Never follows a redirect, and never logs a proxy's password, a token or
//! a challenge.

use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bundle::DeviceId;
use relay_api::device::{
    ANSWER_BYTES_MAX, Answer, CHALLENGE_VALID_S, CheckIn, DeviceFacts, ENROLL_BYTES_MAX,
    EnrollAnswer, EnrollRequest, PATH_CHECK_IN, PATH_ENROLL, PATH_REPORTS, ReportKey, decode,
    encode,
};
use rustls::ClientConfig;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};

use super::address::{self, Address};
use super::answer::{self, failed};
use super::fetch::{self, Pace};
use super::roots::Roots;
use super::sign::DeviceKey;
use super::tls::{self, Floor, TlsConnector};
use super::{Fetched, Range, Remote, RemoteError, Sink};
use crate::engine::{Host, Later, blocking};

/// How long a challenge is used again, so that it holds for all of a long poll that begins with it.
const CHALLENGE_KEPT: Duration = Duration::from_secs(CHALLENGE_VALID_S / 2);

/// What a device needs in order to speak to a relay.
pub(crate) struct Way {
    /// Where the relay is.
    pub(crate) address: Address,
    /// Who vouches for it.
    pub(crate) roots: Roots,
    /// What the device calls itself.
    pub(crate) device: DeviceId,
    /// What it is.
    pub(crate) facts: DeviceFacts,
    /// Its key.
    pub(crate) key: Arc<DeviceKey>,
    /// The configured proxy.
    pub(crate) proxy: Option<String>,
    /// Most bytes a second of all downloads.
    pub(crate) rate_max: Option<u64>,
    /// The machine.
    pub(crate) host: Rc<dyn Host>,
    /// What is certain about the time: seconds since 1970-01-01 UTC.
    pub(crate) floor: Box<dyn Fn() -> u64>,
}

/// How long and how large, at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Until there is a connection: name, TCP, proxy and TLS.
    pub(super) connect: Duration,
    /// For each of: sending the request, waiting for the answer, taking it.
    pub(super) answer: Duration,
    /// The window in which a server that sends a file must send `slow_bytes` (clause D44).
    pub(super) slow: Duration,
    /// The least that it must send in each window.
    pub(super) slow_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(30),
            slow: Duration::from_secs(30),
            slow_bytes: 1 << 10,
        }
    }
}

/// A relay that is spoken to over HTTPS.
pub(crate) struct HttpRemote {
    line: Arc<Line>,
    facts: DeviceFacts,
    host: Rc<dyn Host>,
    now: Box<dyn Fn() -> u64>,
}

/// What the threads share.
pub(super) struct Line {
    pub(super) address: Address,
    pub(super) limits: Limits,
    pub(super) pace: Pace,
    device: DeviceId,
    key: Arc<DeviceKey>,
    roots: Roots,
    floor: Floor,
    proxy: Option<ureq::Proxy>,
    tls: Option<Arc<ClientConfig>>,
    /// For check-ins, reports and enrolment; replaced when a wait is broken off.
    control: Mutex<ureq::Agent>,
    /// For files at the relay.
    files: ureq::Agent,
    /// For files at other servers; made when there is one.
    elsewhere: OnceLock<ureq::Agent>,
    /// The challenge for the next request, and since when it is known.
    challenge: Mutex<Option<(String, Instant)>>,
}

impl HttpRemote {
    /// The relay at the end of this way. Nothing is sent yet.
    ///
    /// # Errors
    /// [`RemoteError`]: the authorities or the proxy cannot be used.
    pub(crate) fn new(way: Way) -> Result<Self, RemoteError> {
        Self::with_limits(way, Limits::default())
    }

    pub(super) fn with_limits(way: Way, limits: Limits) -> Result<Self, RemoteError> {
        let floor = Floor::default();
        // Plain http stays on this host: no authorities, no proxy.
        let (tls, proxy) = if way.address.has_tls() {
            let environment = |name: &str| std::env::var(name).ok();
            let proxy = address::proxy(way.proxy.as_deref(), &environment);
            let proxy = proxy
                .map_err(|rule| RemoteError::Unreachable(format!("`proxy` must be {rule}")))?;
            let config = tls::config(way.roots.load()?, floor.clone());
            let config = config.map_err(|e| RemoteError::Certificate(e.to_string()))?;
            (Some(Arc::new(config)), proxy)
        } else {
            (None, None)
        };
        let control = agent(limits, proxy.clone(), tls.clone());
        let line = Arc::new(Line {
            files: agent(limits, proxy.clone(), tls.clone()),
            control: Mutex::new(control),
            elsewhere: OnceLock::new(),
            pace: Pace::new(way.rate_max),
            address: way.address,
            device: way.device,
            key: way.key,
            roots: way.roots,
            challenge: Mutex::default(),
            limits,
            floor,
            proxy,
            tls,
        });
        Ok(Self {
            line,
            facts: way.facts,
            host: way.host,
            now: way.floor,
        })
    }

    /// Runs a conversation with the relay where it may block. If nobody waits for its end any
    /// longer, its connection is closed.
    fn converse<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Line, &ureq::Agent) -> Result<T, RemoteError> + Send + 'static,
    ) -> Later<Result<T, RemoteError>> {
        self.line.floor.set((self.now)());
        let (line, host) = (Arc::clone(&self.line), Rc::clone(&self.host));
        Box::pin(async move {
            let agent = line.control();
            let mut hangup = Hangup {
                line: Arc::clone(&line),
                agent: Some(agent.clone()),
            };
            let done = blocking(&*host, move || job(&line, &agent)).await;
            hangup.agent = None;
            done.unwrap_or_else(|e| Err(RemoteError::Unreachable(e.to_string())))
        })
    }
}

/// Ends a conversation that nobody waits for.
struct Hangup {
    line: Arc<Line>,
    agent: Option<ureq::Agent>,
}

impl Drop for Hangup {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            *lock(&self.line.control) = self.line.new_agent();
            agent.shutdown();
        }
    }
}

impl Remote for HttpRemote {
    fn enroll(&self, token: String) -> Later<Result<EnrollAnswer, RemoteError>> {
        let request = encode(&EnrollRequest {
            token,
            device: self.line.device.clone(),
            public_key: self.line.key.public(),
            facts: self.facts.clone(),
        });
        self.converse(move |line, agent| {
            let body = line.send(agent, "POST", PATH_ENROLL, &request, 0, ENROLL_BYTES_MAX)?;
            decode(&body).map_err(|_| RemoteError::Garbage("it is no answer to an enrolment"))
        })
    }

    fn check_in(&self, check_in: CheckIn) -> Later<Result<Answer, RemoteError>> {
        let hold_s = u64::from(check_in.wait_s);
        self.converse(move |line, agent| {
            let body = encode(&check_in);
            let max = ANSWER_BYTES_MAX;
            let body = line.send(agent, "POST", PATH_CHECK_IN, &body, hold_s, max)?;
            decode(&body).map_err(|_| RemoteError::Garbage("it is no answer to a check-in"))
        })
    }

    fn report(&self, key: ReportKey, report: Vec<u8>) -> Later<Result<(), RemoteError>> {
        self.converse(move |line, agent| {
            let path = format!("{PATH_REPORTS}/{key}");
            line.send(agent, "PUT", &path, &report, 0, 0).map(|_| ())
        })
    }

    fn fetch(&self, range: Range, sink: Sink) -> Later<Result<Fetched, RemoteError>> {
        self.line.floor.set((self.now)());
        let (line, host) = (Arc::clone(&self.line), Rc::clone(&self.host));
        Box::pin(async move {
            // Dropped together with whoever waits; the thread looks after each piece.
            let waits = Arc::new(());
            let waiter = Arc::downgrade(&waits);
            let job = move || fetch::fetch(&line, &range, sink, &|| waiter.strong_count() > 0);
            let done = blocking(&*host, job).await;
            drop(waits);
            done.unwrap_or_else(|e| Err(RemoteError::Unreachable(e.to_string())))
        })
    }
}

/// A request, ready to be sent.
pub(super) type Request<B> = ureq::http::Request<B>;
/// Sends a request with these headers too.
type Sender<'a> = dyn FnMut(&[Header]) -> Result<Response, RemoteError> + 'a;
/// The name and the value of a header.
pub(super) type Header = (&'static str, String);
/// An answer whose body has not been read.
pub(super) type Response = ureq::http::Response<ureq::Body>;

impl Line {
    fn control(&self) -> ureq::Agent {
        lock(&self.control).clone()
    }

    fn new_agent(&self) -> ureq::Agent {
        agent(self.limits, self.proxy.clone(), self.tls.clone())
    }

    /// The connections for files at the relay's origin, or elsewhere.
    ///
    /// # Errors
    /// [`RemoteError::Certificate`]: there are no authorities for other servers.
    pub(super) fn files(&self, own: bool) -> Result<&ureq::Agent, RemoteError> {
        if own {
            return Ok(&self.files);
        }
        if let Some(agent) = self.elsewhere.get() {
            return Ok(agent);
        }
        // A server of bundles has the relay's authority or one of the system's: it is trusted
        // with no more than bytes.
        let mut roots = self.roots.load()?;
        if self.roots != Roots::System
            && let Ok(system) = Roots::System.load()
        {
            roots.roots.extend(system.roots);
        }
        let config = tls::config(roots, self.floor.clone());
        let config = config.map_err(|e| RemoteError::Certificate(e.to_string()))?;
        let made = agent(self.limits, self.proxy.clone(), Some(Arc::new(config)));
        Ok(self.elsewhere.get_or_init(|| made))
    }

    /// Sends a signed request with a body to the relay, and takes the body of its answer, which
    /// may be held back for `hold_s` seconds.
    fn send(
        &self,
        agent: &ureq::Agent,
        method: &str,
        path: &str,
        body: &[u8],
        hold_s: u64,
        bytes_max: usize,
    ) -> Result<Vec<u8>, RemoteError> {
        let target = self.address.at(path);
        let response = self.signed(agent, method, path, body, &mut |headers| {
            let mut request = Request::builder().method(method).uri(&target.url);
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let request = request.header("content-type", relay_api::device::CONTENT_TYPE);
            let request = request.body(body).map_err(|e| failed(e.into()))?;
            let wait = self.limits.answer + Duration::from_secs(hold_s);
            let request = agent.configure_request(request);
            let request = request.timeout_recv_response(Some(wait)).build();
            agent.run(request).map_err(failed)
        })?;
        answer::check_protocol(&response)?;
        answer::body(response, bytes_max, self.limits.answer)
    }

    /// Sends a signed request: with the challenge that is known, else with one that is asked for;
    /// once more if the relay does not take it (clause D14).
    ///
    /// # Errors
    /// [`RemoteError`], refusals included.
    pub(super) fn signed(
        &self,
        agent: &ureq::Agent,
        method: &str,
        path: &str,
        body: &[u8],
        send: &mut Sender<'_>,
    ) -> Result<Response, RemoteError> {
        let mut again = true;
        loop {
            let challenge = match self.known_challenge() {
                Some(challenge) => challenge,
                None => self.ask_challenge(agent)?,
            };
            let signature = self.key.sign(method, path, body, &challenge);
            let headers = answer::headers(&self.device, challenge, signature);
            let response = send(&headers)?;
            self.keep_challenge(&response);
            match answer::refusal(response, self.limits.answer) {
                Err(RemoteError::Refused { code, .. }) if again && code == "challenge" => {
                    again = false;
                }
                other => return other,
            }
        }
    }

    fn known_challenge(&self) -> Option<String> {
        let known = lock(&self.challenge).clone();
        // A minute less than the relay takes it for.
        let valid = Duration::from_secs(CHALLENGE_VALID_S - 60);
        known
            .filter(|(_, since)| since.elapsed() < valid)
            .map(|(challenge, _)| challenge)
    }

    fn ask_challenge(&self, agent: &ureq::Agent) -> Result<String, RemoteError> {
        let target = self.address.at(relay_api::device::PATH_CHALLENGE);
        let [device, protocol] = answer::names(&self.device);
        let request = Request::get(&target.url)
            .header(device.0, device.1)
            .header(protocol.0, protocol.1);
        let request = request.body(()).map_err(|e| failed(e.into()))?;
        let response = answer::refusal(agent.run(request).map_err(failed)?, self.limits.answer)?;
        answer::check_protocol(&response)?;
        self.keep_challenge(&response);
        self.known_challenge()
            .ok_or(RemoteError::Garbage("it has no challenge"))
    }

    /// Keeps the challenge of an answer; without one, there is none for the next request. One that
    /// was taken stays for a while, so that a request which says nothing new is the same in each
    /// bit, and cheap for the relay (clause D15).
    fn keep_challenge(&self, response: &Response) {
        let found = answer::challenge(response);
        let mut known = lock(&self.challenge);
        let stays = |(_, since): &(String, Instant)| since.elapsed() < CHALLENGE_KEPT;
        if found.is_some() && response.status().is_success() && known.as_ref().is_some_and(stays) {
            return;
        }
        *known = found.map(|found| (found, Instant::now()));
    }
}

/// A mutex is held for moments only, and never while something can panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An HTTP client: few connections, small buffers, no redirects (clause D7), every wait bounded.
fn agent(
    limits: Limits,
    proxy: Option<ureq::Proxy>,
    tls: Option<Arc<ClientConfig>>,
) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .proxy(proxy)
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent("coracle-agent")
        .accept("*/*")
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_send_request(Some(limits.answer))
        .timeout_send_body(Some(limits.answer))
        .timeout_recv_response(Some(limits.answer))
        .timeout_recv_body(Some(limits.answer))
        .input_buffer_size(16 << 10)
        .output_buffer_size(8 << 10)
        .max_response_header_size(8 << 10)
        .max_idle_connections(2)
        .max_idle_connections_per_host(2)
        .build();
    let connector = ().chain(ConnectProxyConnector::default());
    let connector = connector.chain(TcpConnector::default());
    let connector = connector.chain(TlsConnector(tls));
    ureq::Agent::with_parts(config, connector, DefaultResolver::default())
}
