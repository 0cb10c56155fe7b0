//! Why a request is not done: one enum, and what each cause looks like to whoever asked.
//!
//! Never shows an internal error: that is logged in full under an id, and the answer names the id.

use std::error::Error;
use std::fmt;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use relay_api::operator::{ErrorBody, ErrorInfo, Unfit};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::domain::challenge::ChallengeError;
use crate::store::StoreError;
use crate::store::folder::{FolderError, PublishError};

/// How long to stay away when the relay is busy or ending, in seconds.
const BUSY_RETRY_S: u64 = 5;
/// How long to stay away when its disk is full: somebody has to come and help.
const FULL_RETRY_S: u64 = 60;

/// Why a request is not done.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The request is not what this route takes.
    Malformed(String),
    /// The peer's version of the protocol differs by more than one, or it names none (D2).
    Protocol {
        /// The version that it named.
        found: Option<u16>,
    },
    /// The body is longer than it may be.
    TooLarge {
        /// The bound, in bytes.
        bytes_max: u64,
    },
    /// The body came too slowly.
    Slow,
    /// There is no such route or thing.
    NotFound(String),
    /// The route does not take this method.
    Method,
    /// A signature that is missing, or not by the device's key over this request.
    Signature,
    /// A device that is not known here, or that names itself not at all.
    UnknownDevice,
    /// A challenge that does not hold.
    Challenge(ChallengeError),
    /// An enrolment token that cannot be used; the code says why.
    EnrollToken(TokenState),
    /// The id belongs to a device with another key.
    DeviceExists(String),
    /// The key of the report belongs to a report with another body.
    ReportDiffers,
    /// No operator's token, or one that does not hold.
    Unauthorized,
    /// What was asked for cannot be done as things are.
    Conflict {
        /// For programs.
        code: &'static str,
        /// For people.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// The release does not fit some of the devices.
    Unfit(Vec<Unfit>),
    /// A bundle that is not taken in.
    Bundle {
        /// Why, in words.
        message: String,
        /// What to do.
        hint: String,
    },
    /// Too many failures from this address.
    TooMany {
        /// When to try again, in seconds.
        retry_s: u64,
    },
    /// The relay has more to do than it can, or is ending.
    Busy,
    /// The relay's disk is full.
    NoSpace,
    /// Something that should not happen.
    Internal(Box<dyn Error + Send + Sync>),
}

/// How an enrolment token stands that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenState {
    /// Nobody made it.
    Unknown,
    /// Its time is over.
    Expired,
    /// An operator took it back.
    Revoked,
    /// It has made a device.
    Used,
}

/// Why a request was not done, beside its answer: for the audit log.
#[derive(Clone, Debug)]
pub(super) struct Why(pub(super) String);

/// What an error looks like from outside.
struct Shown {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
    retry_s: Option<u64>,
}

impl Shown {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl fmt::Display,
        hint: impl fmt::Display,
    ) -> Self {
        Self {
            status,
            code,
            message: message.to_string(),
            hint: hint.to_string(),
            retry_s: None,
        }
    }

    fn retry(self, seconds: u64) -> Self {
        Self {
            retry_s: Some(seconds),
            ..self
        }
    }
}

impl ApiError {
    /// An error that should not happen.
    pub(crate) fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// A request body or parameter that makes no sense.
    pub(crate) fn malformed(what: impl fmt::Display) -> Self {
        Self::Malformed(what.to_string())
    }

    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Protocol { .. } => "protocol",
            Self::TooLarge { .. } => "too_large",
            Self::Slow => "too_slow",
            Self::NotFound(_) => "not_found",
            Self::Method => "method",
            Self::Signature => "signature",
            Self::UnknownDevice => "unknown_device",
            Self::Challenge(_) => "challenge",
            Self::EnrollToken(TokenState::Unknown) => "token_unknown",
            Self::EnrollToken(TokenState::Expired) => "token_expired",
            Self::EnrollToken(TokenState::Revoked) => "token_revoked",
            Self::EnrollToken(TokenState::Used) => "token_used",
            Self::DeviceExists(_) => "device_exists",
            Self::ReportDiffers => "report_differs",
            Self::Unauthorized => "unauthorized",
            Self::Conflict { code, .. } => code,
            Self::Unfit(_) => "unfit",
            Self::Bundle { .. } => "bundle",
            Self::TooMany { .. } => "too_many",
            Self::Busy => "busy",
            Self::NoSpace => "no_space",
            Self::Internal(_) => "internal",
        }
    }

    fn shown(&self) -> Shown {
        use StatusCode as S;
        let code = self.code();
        let show = |status, message: &dyn fmt::Display, hint: &str| {
            Shown::new(status, code, message, hint)
        };
        match self {
            Self::Malformed(what) => show(S::BAD_REQUEST, what, ""),
            Self::Protocol { found } => {
                let found = found.map_or("none".to_string(), |version| version.to_string());
                show(
                    S::BAD_REQUEST,
                    &format_args!(
                        "the relay speaks version {} of the device protocol, the request names {found}",
                        relay_api::device::PROTOCOL
                    ),
                    "bring agent and relay to releases that are next to each other",
                )
            }
            Self::TooLarge { bytes_max } => show(
                S::PAYLOAD_TOO_LARGE,
                &format_args!("the body may have at most {bytes_max} bytes"),
                "",
            ),
            Self::Slow => show(
                S::REQUEST_TIMEOUT,
                &"the body did not come in time",
                "try again",
            ),
            Self::NotFound(what) => show(S::NOT_FOUND, what, ""),
            Self::Method => show(
                S::METHOD_NOT_ALLOWED,
                &"the route does not take this method",
                "",
            ),
            Self::Signature => show(
                S::UNAUTHORIZED,
                &"the request is not signed by the device that it names",
                "a device whose key was lost has to be removed, and enrolled again",
            ),
            Self::UnknownDevice => show(
                S::UNAUTHORIZED,
                &"no such device is enrolled here",
                "enrol it: agent enroll URL --token T",
            ),
            Self::Challenge(why) => show(
                S::UNAUTHORIZED,
                why,
                "sign the challenge that came with this answer",
            ),
            Self::EnrollToken(state) => show(
                S::FORBIDDEN,
                &match state {
                    TokenState::Unknown => "the relay does not know this enrolment token",
                    TokenState::Expired => "the enrolment token has expired",
                    TokenState::Revoked => "the enrolment token was revoked",
                    TokenState::Used => "the enrolment token was used by another device",
                },
                "ask for a new one: relay token enroll",
            ),
            Self::DeviceExists(id) => show(
                S::CONFLICT,
                &format_args!("the device {id} is enrolled with another key"),
                "choose another id, or remove the old device first: relay devices remove",
            ),
            Self::ReportDiffers => show(
                S::CONFLICT,
                &"a report with this key and another body is here already",
                "",
            ),
            Self::Unauthorized => show(
                S::UNAUTHORIZED,
                &"no token that holds was shown",
                "give a token that is neither expired nor revoked, in CORACLE_TOKEN or with relay login",
            ),
            Self::Conflict { message, hint, .. } => show(S::CONFLICT, message, hint),
            Self::Unfit(devices) => show(
                S::CONFLICT,
                &format_args!("the release does not fit {} of the devices", devices.len()),
                "leave them out with --skip-unfit, or publish bundles that fit them",
            ),
            Self::Bundle { message, hint } => show(S::UNPROCESSABLE_ENTITY, message, hint),
            Self::TooMany { retry_s } => show(
                S::TOO_MANY_REQUESTS,
                &"too many failed attempts from this address",
                "wait, then try with the right token",
            )
            .retry(*retry_s),
            Self::Busy => {
                show(S::SERVICE_UNAVAILABLE, &"the relay is busy", "try again").retry(BUSY_RETRY_S)
            }
            Self::NoSpace => show(
                S::SERVICE_UNAVAILABLE,
                &"the relay's disk is full",
                "free space in the relay's data folder, then try again",
            )
            .retry(FULL_RETRY_S),
            Self::Internal(error) => {
                let id = error_id();
                tracing::error!(id, error = ?chain(error.as_ref()), "internal error");
                show(
                    S::INTERNAL_SERVER_ERROR,
                    &format_args!("internal error {id}"),
                    "the relay's log has more under this id",
                )
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::NoSpace,
            StoreError::Busy | StoreError::Closed => Self::Busy,
            error => Self::internal(error),
        }
    }
}

impl From<FolderError> for ApiError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::TooLarge(bytes_max) => Self::TooLarge { bytes_max },
            FolderError::Refused(refused) => Self::Bundle {
                message: refused.to_string(),
                hint: refused.hint().to_string(),
            },
            FolderError::Full => Self::NoSpace,
            error => Self::internal(error),
        }
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Folder(error) => error.into(),
            PublishError::Store(error) => error.into(),
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn error_id() -> String {
    let mut bytes = [0; 6];
    // Without randomness the id is zeros, and the log's time has to do.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let shown = self.shown();
        let unfit = match self {
            Self::Unfit(devices) => devices,
            _ => Vec::new(),
        };
        let body = ErrorBody {
            error: ErrorInfo {
                code: shown.code.to_string(),
                message: shown.message,
                hint: shown.hint,
                unfit,
            },
        };
        let why = Why(match shown.code {
            "internal" => shown.code.to_string(),
            _ => body.error.message.clone(),
        });
        let mut response = (shown.status, Json(body)).into_response();
        response.extensions_mut().insert(why);
        let headers = response.headers_mut();
        if let Some(seconds) = shown.retry_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(shown.code, "unauthorized") {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_inside_stays_inside() {
        let secret = std::io::Error::other("/secret/path is gone");
        let shown = ApiError::internal(secret).shown();
        assert_eq!(shown.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!shown.message.contains("secret"), "{}", shown.message);
    }

    #[test]
    fn who_shall_come_back_is_told_when() {
        for error in [
            ApiError::Busy,
            ApiError::NoSpace,
            ApiError::TooMany { retry_s: 7 },
        ] {
            let response = error.into_response();
            assert!(response.headers().contains_key(header::RETRY_AFTER));
        }
    }
}
