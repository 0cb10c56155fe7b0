//! The operator's side of the API: requests to a relay over HTTPS, and its answers.
//!
//! `access` finds out which relay and which token; `stored` keeps what `relay login` was told.
//! The routes and their bodies are those of [`relay_api::operator`]. Never follows a redirect,
//! which could carry the token elsewhere, and never prints.

mod access;
mod error;
mod stored;
mod upload;
mod url;

use std::time::Duration;

use relay_api::operator::ErrorBody;
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use access::{Access, CA_VARIABLE, Wishes, authority_file, resolve, token, token_file};
pub(crate) use error::{ClientError, Kind};
pub(crate) use stored::{Stored, place};
pub(crate) use url::{RelayUrl, UrlError};

use crate::net::Net;

/// Longest wait for a connection.
const CONNECT_S_MAX: u64 = 20;
/// Longest wait for a whole answer; a fleet's list over a slow line takes a while.
const ANSWER_S_MAX: u64 = 120;
/// Most bytes of an answer: 100,000 devices of a few apps each.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Most bytes of an answer that says no: 100,000 devices that do not fit.
const REFUSAL_BYTES_MAX: usize = 32 << 20;

/// A relay, and a token for it.
pub(crate) struct Client {
    net: Net,
    http: reqwest::Client,
    url: RelayUrl,
    token: String,
    has_authority: bool,
}

impl Client {
    /// A client for this relay. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Authority`] if the CA is none; [`ClientError::Setup`] if the machine has no
    /// certificates at all, or no threads are to be had.
    pub(crate) fn new(access: &Access) -> Result<Self, ClientError> {
        let net = Net::new().map_err(ClientError::Start)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("coracle-relay/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(CONNECT_S_MAX));
        if access.url.is_loopback() {
            // Nobody's proxy, which would see the token of a plain connection.
            builder = builder.no_proxy();
        } else {
            builder = builder.https_only(true);
        }
        // Without a CA, what the system trusts; a plain connection needs no certificates, which
        // small machines may lack.
        if let Some(pem) = &access.authority {
            let certificates = Certificate::from_pem_bundle(pem.as_bytes())
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or(ClientError::Authority)?;
            builder = builder.tls_certs_only(certificates);
        } else if access.url.is_plain() {
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: net
                .run(async { builder.build() })
                .map_err(ClientError::Setup)?,
            net,
            url: access.url.clone(),
            token: access.token.clone(),
            has_authority: access.authority.is_some(),
        })
    }

    /// The relay's address.
    pub(crate) const fn url(&self) -> &RelayUrl {
        &self.url
    }

    /// Whether it is trusted by a CA of its own, not by those of the system.
    pub(crate) const fn has_authority(&self) -> bool {
        self.has_authority
    }

    /// `GET` of a path below `/api/v1/`, with a query.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ClientError> {
        let mut url = self.url.api(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.request(Method::GET, url))
    }

    /// A request with a JSON body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Body)?;
        let request = self
            .request(method, self.url.api(path))
            .header("content-type", "application/json")
            .body(body);
        self.answer(request)
    }

    /// `POST` without a body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        self.answer(self.request(Method::POST, self.url.api(path)))
    }

    /// `DELETE`, which has no answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, self.url.api(path));
        self.net.run(async {
            let response = self.sent(
                request
                    .timeout(Duration::from_secs(ANSWER_S_MAX))
                    .send()
                    .await,
            )?;
            self.accepted(response).await.map(|_| ())
        })
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).bearer_auth(&self.token)
    }

    fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let request = request.timeout(Duration::from_secs(ANSWER_S_MAX));
        self.net
            .run(async { self.parsed(self.sent(request.send().await)?).await })
    }

    fn sent(&self, sent: reqwest::Result<Response>) -> Result<Response, ClientError> {
        sent.map_err(|error| ClientError::unreachable(&self.url, error))
    }

    async fn parsed<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let mut response = self.accepted(response).await?;
        let body = self.body(&mut response, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Answer {
            url: self.url.clone(),
            error,
        })
    }

    /// The answer, if it is a yes.
    async fn accepted(&self, mut response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(&mut response, REFUSAL_BYTES_MAX).await?;
        Err(self.refusal(status, &body))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice(body) {
            Ok(ErrorBody { error }) => ClientError::Refused {
                status: status.as_u16(),
                info: Box::new(error),
            },
            // Not as a relay refuses: a proxy's page, or another server altogether.
            Err(_) => ClientError::NotARelay {
                url: self.url.clone(),
                status: status.as_u16(),
            },
        }
    }

    async fn body(
        &self,
        response: &mut Response,
        bytes_max: usize,
    ) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(response.chunk().await)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(ClientError::TooLarge { bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn chunk<T>(&self, chunk: reqwest::Result<T>) -> Result<T, ClientError> {
        chunk.map_err(|error| ClientError::unreachable(&self.url, error))
    }
}
