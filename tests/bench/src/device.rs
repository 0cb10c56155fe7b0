//! A device as the relay sees it: a key, signed requests, a check-in of one app with three services.
//!
//! Its key follows from its number, so that each run of this program has the same fleet: such keys
//! protect nothing.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::manifest::AgentVersion;
use bundle::{Arch, DeviceId, Digest};
use relay_api::device::{
    self, AppFacts, AppPhase, CheckIn, DeviceFacts, EnrollRequest, HEADER_CHALLENGE, HEADER_DEVICE,
    HEADER_PROTOCOL, HEADER_SIGNATURE, PATH_CHALLENGE, PATH_CHECK_IN, PATH_ENROLL, PROTOCOL,
    Running, ServiceFacts, ServiceState, decode, encode, signed_text,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::{Answer, Connection};

/// Requests with one challenge: a device that asks once a minute keeps it for five minutes (clause
/// D15). By count and not by time, as the devices here ask a thousand times as often.
const REQUESTS_PER_CHALLENGE: usize = 5;

/// A device.
pub(crate) struct Device {
    id: DeviceId,
    key: Ed25519KeyPair,
    /// For the next request.
    challenge: String,
    /// For how many of them.
    challenge_left: usize,
    /// Of the last answer; 0 before the first.
    revision: u64,
}

impl Device {
    /// The device of this number.
    ///
    /// # Errors
    /// Never, unless the naming here is wrong.
    pub(crate) fn new(number: usize) -> Result<Self> {
        let id = format!("bench-{number:06}");
        let seed = Digest::of(format!("the key of {id}").as_bytes());
        let key = Ed25519KeyPair::from_seed_unchecked(seed.as_bytes())
            .map_err(|_| anyhow::anyhow!("no key of {id}"))?;
        Ok(Self {
            id: DeviceId::new(&id).map_err(|_| anyhow::anyhow!("no id: {id}"))?,
            key,
            challenge: String::new(),
            challenge_left: 0,
            revision: 0,
        })
    }

    /// Fetches a challenge, for the first request.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) async fn greet<S>(&mut self, connection: &mut Connection<S>) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let id = self.id.as_str();
        let request = format!(
            "GET {PATH_CHALLENGE} HTTP/1.1\r\nhost: relay\r\n{HEADER_PROTOCOL}: {PROTOCOL}\r\n{HEADER_DEVICE}: {id}\r\n\r\n"
        );
        let answer = connection.ask(request.as_bytes()).await?.expect(204)?;
        self.take_challenge(&answer)?;
        // Not all devices renew theirs at once.
        let last = usize::from(
            self.id
                .as_str()
                .as_bytes()
                .last()
                .copied()
                .unwrap_or_default(),
        );
        self.challenge_left -= last % REQUESTS_PER_CHALLENGE;
        Ok(())
    }

    /// Makes itself known with a token (clause D20). Needs a challenge.
    ///
    /// # Errors
    /// If the relay refuses.
    pub(crate) async fn enroll<S>(
        &mut self,
        connection: &mut Connection<S>,
        token: String,
    ) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let public_key = self.key.public_key().as_ref();
        let body = encode(&EnrollRequest {
            token,
            device: self.id.clone(),
            public_key: public_key.try_into().context("a public key of 32 bytes")?,
            facts: facts()?,
        });
        let request = self.signed("POST", PATH_ENROLL, &body);
        let answer = connection.ask(&request).await?.expect(200)?;
        self.take_challenge(&answer)
    }

    /// A check-in that may be held back for `wait_s` seconds, complete as bytes.
    ///
    /// # Errors
    /// Never, unless a name here is wrong.
    pub(crate) fn check_in(&self, wait_s: u16) -> Result<Vec<u8>> {
        let body = encode(&CheckIn {
            facts: facts()?,
            apps: vec![app()?],
            seen: self.revision,
            wait_s,
        });
        Ok(self.signed("POST", PATH_CHECK_IN, &body))
    }

    /// Takes in what the relay answered to a check-in.
    ///
    /// # Errors
    /// If it refused.
    pub(crate) fn take(&mut self, answer: Answer) -> Result<device::Answer> {
        let answer = answer.expect(200)?;
        self.take_challenge(&answer)?;
        let answer: device::Answer = decode(&answer.body)?;
        self.revision = answer.revision;
        Ok(answer)
    }

    fn take_challenge(&mut self, answer: &Answer) -> Result<()> {
        self.challenge_left = self.challenge_left.saturating_sub(1);
        if self.challenge_left > 0 {
            return Ok(());
        }
        self.challenge_left = REQUESTS_PER_CHALLENGE;
        self.challenge = answer
            .challenge
            .clone()
            .context("an answer without a challenge")?;
        ensure!(!self.challenge.is_empty(), "an empty challenge");
        Ok(())
    }

    /// A request with its signature (clause D11), complete as bytes.
    fn signed(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let (id, challenge) = (self.id.as_str(), &self.challenge);
        let text = signed_text(method, path, &Digest::of(body), challenge);
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()));
        let (length, kind) = (body.len(), device::CONTENT_TYPE);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: relay\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
             {HEADER_PROTOCOL}: {PROTOCOL}\r\n{HEADER_DEVICE}: {id}\r\n{HEADER_CHALLENGE}: {challenge}\r\n\
             {HEADER_SIGNATURE}: {signature}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }
}

fn facts() -> Result<DeviceFacts> {
    Ok(DeviceFacts {
        agent: AgentVersion(0, 1, 0),
        arch: Arch::Arm64,
        fleet: "default".parse()?,
        class: None,
        time_zone: Some("Europe/Rome".to_owned()),
        labels: vec![("site".parse()?, "harbour".parse()?)],
    })
}

/// One app with three services, as it is day after day.
fn app() -> Result<AppFacts> {
    let service = |(name, byte): (&str, u8)| -> Result<ServiceFacts> {
        Ok(ServiceFacts {
            service: name.parse()?,
            image: Digest::from_bytes([byte; 32]),
            state: ServiceState::Running,
            healthy: Some(true),
            restarts: 0,
        })
    };
    let services = [("web", 1), ("broker", 2), ("sensor", 3)].map(service);
    Ok(AppFacts {
        app: "kiosk".parse()?,
        phase: AppPhase::Running,
        running: Some(Running {
            version: "1.0".parse()?,
            seq: 1,
            bundle: Digest::from_bytes([0xb1; 32]),
            generation: 1,
        }),
        previous_seq: None,
        services: services.into_iter().collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn a_check_in_is_what_the_protocol_says() {
        let mut device = Device::new(7).unwrap();
        device.challenge = "c7".to_owned();
        device.revision = 9;
        let request = device.check_in(30).unwrap();
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(start) = head.parse(&request).unwrap() else {
            panic!("no whole head");
        };
        let header = |name: &str| {
            let found = head.headers.iter().find(|header| header.name == name);
            std::str::from_utf8(found.unwrap().value).unwrap()
        };
        assert_eq!(
            (head.method, head.path),
            (Some("POST"), Some(PATH_CHECK_IN))
        );
        assert_eq!(header(HEADER_DEVICE), "bench-000007");
        assert_eq!(header(HEADER_CHALLENGE), "c7");
        let body = &request[start..];
        assert_eq!(header("content-length"), body.len().to_string());
        let sent: CheckIn = decode(body).unwrap();
        assert_eq!((sent.seen, sent.wait_s), (9, 30));
        assert_eq!(sent.apps[0].services.len(), 3);

        let text = signed_text("POST", PATH_CHECK_IN, &Digest::of(body), "c7");
        let signature = URL_SAFE_NO_PAD.decode(header(HEADER_SIGNATURE)).unwrap();
        let key = UnparsedPublicKey::new(&ED25519, device.key.public_key().as_ref());
        key.verify(text.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_challenge_serves_for_five_check_ins_which_are_the_same_in_each_bit() {
        let answered = |number: usize| Answer {
            status: 204,
            challenge: Some(format!("c{number}")),
            body: Vec::new(),
        };
        let mut device = Device::new(0).unwrap();
        let mut sent = Vec::new();
        for number in 0..12 {
            device.take_challenge(&answered(number)).unwrap();
            sent.push(device.check_in(0).unwrap());
        }
        sent.dedup();
        assert_eq!(sent.len(), 3);
    }

    #[test]
    fn a_device_has_the_same_key_in_each_run_and_no_other_device_has_it() {
        let key = |number| {
            Device::new(number)
                .unwrap()
                .key
                .public_key()
                .as_ref()
                .to_vec()
        };
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
    }

    #[test]
    fn an_answer_without_a_challenge_is_refused() {
        let answer = Answer {
            status: 200,
            challenge: None,
            body: Vec::new(),
        };
        assert!(Device::new(1).unwrap().take(answer).is_err());
    }
}
