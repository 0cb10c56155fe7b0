//! Why something that the engine did for an app went wrong, as types.
//!
//! [`super::failure`] turns these into words and exit codes; [`Trouble::cause`] into the
//! fixed-size cause that the record keeps.

use std::fmt;
use std::io;

use agent_core::Cause;
use agent_core::admit::NotAdmitted;
use agent_core::resolve::ResolveError;
use bundle::template::TemplateError;
use bundle::{Digest, Refused, ServiceName, TrustError};
use runtime_shim::RuntimeError;

use super::fetch::FetchError;
use super::source::Fault;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Bringing a generation in.
    Stage,
    /// Replacing containers.
    Switch,
    /// Bringing the generation before back.
    Restore,
}

/// Why it went wrong.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The runtime did not do it.
    Runtime {
        /// What it was asked, in words: "start mosquitto".
        asked: String,
        /// What it said.
        error: RuntimeError,
    },
    /// The bundle could not be read, or its bytes are not those that were signed.
    Source(Refused),
    /// The signed head, the values or the files of a generation are not what they were.
    Load(LoadError),
    /// A file of the agent's own could not be read or written.
    File {
        /// What it is, in words: "configuration file".
        what: &'static str,
        /// Why.
        error: io::Error,
    },
    /// What a service depends on did not come about.
    Dependency {
        /// The place of the service that waited.
        service: u8,
        /// What it waited for.
        on: ServiceName,
    },
    /// The device's own rules do not let a service have it: a link leads where it may not.
    NotAllowed(NotAdmitted),
    /// The file with the device's own rules cannot be used; in words.
    Policy(String),
    /// The rest of a bundle could not be fetched.
    Fetch(FetchError),
    /// A blob that was taken to be on the device is not.
    NotFetched(Digest),
    /// An image is neither in the runtime nor in a bundle at hand.
    ImageMissing(Digest),
}

/// Why a stored generation cannot be taken from the disk.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// An object that the record names is not there.
    Missing(Digest),
    /// An object's bytes are not what its name says.
    Damaged(Digest),
    /// It cannot be read.
    Read(io::Error),
    /// There are no keys to verify it with.
    Trust(TrustError),
    /// The signed head does not verify any longer: a key was taken away, or bytes rotted.
    Refused(Refused),
    /// A templated file cannot be rendered.
    Template(TemplateError),
    /// A templated file is not text.
    NotText,
    /// Variables and manifest do not fit.
    Resolve(Box<ResolveError<LoadError>>),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the stored object {} is missing", name.short()),
            Self::Damaged(name) => write!(f, "the stored object {} is damaged", name.short()),
            Self::Read(error) => write!(f, "a stored object cannot be read: {error}"),
            Self::Trust(error) => write!(f, "{error}"),
            Self::Refused(refused) => write!(f, "the stored bundle is refused: {refused}"),
            Self::Template(error) => write!(f, "a file cannot be rendered: {error}"),
            Self::NotText => f.write_str("a file with `template: true` is not UTF-8 text"),
            Self::Resolve(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(refused) => Self::Source(refused),
            Fault::NotFetched(blob) => Self::NotFetched(blob),
        }
    }
}

impl From<LoadError> for Trouble {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl Trouble {
    /// For `map_err` on calls of the runtime.
    pub(crate) fn runtime(asked: impl Into<String>) -> impl FnOnce(RuntimeError) -> Self {
        let asked = asked.into();
        move |error| Self::Runtime { asked, error }
    }

    /// For `map_err` on files of the agent's own.
    pub(crate) fn file(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { what, error }
    }

    /// Whether space was lacking.
    pub(crate) fn is_no_space(&self) -> bool {
        match self {
            Self::Runtime { error, .. } => match error {
                RuntimeError::NoSpace => true,
                RuntimeError::Io(error) => no_space(error),
                _ => false,
            },
            Self::File { error, .. } | Self::Load(LoadError::Read(error)) => no_space(error),
            Self::Fetch(error) => error.is_no_space(),
            _ => false,
        }
    }

    /// Whether nothing answers at the runtime's socket.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Runtime {
                error: RuntimeError::Unreachable(_),
                ..
            }
        )
    }

    /// The cause as the record keeps it.
    pub(crate) fn cause(&self, doing: Doing) -> Cause {
        if self.is_no_space() {
            return Cause::NoSpace;
        }
        match (self, doing) {
            (Self::Dependency { service, .. }, Doing::Switch) => {
                Cause::Dependency { service: *service }
            }
            (
                Self::Source(_)
                | Self::Load(_)
                | Self::Fetch(_)
                | Self::NotFetched(_)
                | Self::ImageMissing(_)
                | Self::NotAllowed(_),
                Doing::Stage,
            ) => Cause::StageSource,
            (_, Doing::Stage) => Cause::StageRuntime,
            (_, Doing::Switch) => Cause::SwitchRuntime,
            (_, Doing::Restore) => Cause::RestoreRuntime,
        }
    }
}

pub(crate) fn no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime { asked, error } => write!(f, "could not {asked}: {error}"),
            Self::Source(refused) => write!(f, "{refused}"),
            Self::Load(error) => write!(f, "{error}"),
            Self::File { what, error } => write!(f, "{what}: {error}"),
            Self::Dependency { on, .. } => write!(f, "{on} was not ready in time"),
            Self::Policy(words) => f.write_str(words),
            Self::NotAllowed(refused) => write!(f, "{refused}"),
            Self::Fetch(error) => write!(f, "{error}"),
            Self::NotFetched(blob) => {
                write!(f, "the layer {} is no longer on the device", blob.short())
            }
            Self::ImageMissing(image) => {
                write!(f, "the image {} is no longer on the device", image.short())
            }
        }
    }
}

impl std::error::Error for Trouble {}
