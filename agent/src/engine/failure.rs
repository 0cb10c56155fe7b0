//! Failures in words: one sentence what is wrong, one what to do next, and the exit code.
//!
//! Never quotes a secret, and passes control characters of others on escaped.

use std::path::Path;

use agent_core::admit::NotAdmitted;
use agent_core::{Cause, Illegal, OutcomeKind};
use bundle::values::ValueError;
use bundle::{Refused, ServiceName, TrustError};

use super::app::Detail;
use super::fetch::FetchError;
use super::trouble::{LoadError, Trouble};
use crate::api::Failure;
use crate::config::ConfigError;
use crate::exit;
use crate::relay::RemoteError;
use crate::state::{LockError, StateError};
use relay_api::escape;

fn failure(code: u8, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure {
        code,
        message: escape::text(&message.into()).into_owned(),
        hint: hint.into(),
    }
}

/// The configuration cannot be used.
pub(crate) fn usage(error: &ConfigError) -> Failure {
    failure(
        exit::USAGE,
        error.to_string(),
        "Set device_id in agent.toml, or pass --device-id.",
    )
}

/// The configured runtime is none that this agent knows.
pub(crate) fn runtime_address(error: &runtime_shim::OpenError) -> Failure {
    failure(
        exit::USAGE,
        error.to_string(),
        "Set runtime to podman:///path/of/podman.sock, or leave it empty to search.",
    )
}

/// Another agent works on the same state.
pub(crate) fn locked(error: &LockError, dir: &Path) -> Failure {
    let hint = match error {
        LockError::Held { .. } => {
            "Send requests to the running agent through its control socket, or stop it first."
        }
        LockError::Open(_) => {
            "Check that the state folder can be written, or pass another one with --state-dir."
        }
    };
    failure(exit::FAILURE, format!("{}: {error}", dir.display()), hint)
}

/// The state cannot be used or written.
pub(crate) fn state(error: &StateError, dir: &Path) -> Failure {
    let hint = match error {
        StateError::Clone => {
            "If this board replaces the old one, or the id was changed on purpose, move the state folder away and apply the bundle again."
        }
        StateError::ReadOnly => {
            "What runs goes on; check the disk (dmesg), then restart the agent."
        }
        StateError::Lost => "Run `agent doctor`, and apply the newest bundle again.",
        StateError::TooManyApps => "Use one of the names that this device knows already.",
        StateError::Open(..) => {
            "Check that the state folder can be written, or pass another one with --state-dir."
        }
    };
    failure(exit::FAILURE, format!("{}: {error}", dir.display()), hint)
}

/// No keys to verify with.
pub(crate) fn trust(error: &TrustError) -> Failure {
    failure(
        exit::REFUSED,
        format!("no bundle can be verified: {error}"),
        "Put the release key (release.pub, made by `relay key new`) into the keys folder.",
    )
}

/// The bundle at this path is refused, or cannot be read.
pub(crate) fn refused_at(path: &Path, refused: &Refused) -> Failure {
    let mut failure = self::refused(refused);
    if let Refused::Read(kind) = refused {
        failure.message =
            escape::text(&format!("{} cannot be read: {kind}", path.display())).into_owned();
    }
    failure
}

/// The bundle is refused, or cannot be read.
pub(crate) fn refused(refused: &Refused) -> Failure {
    let code = match refused {
        Refused::Read(_) => exit::DOWNLOAD_FAILED,
        _ => exit::REFUSED,
    };
    let message = match refused {
        Refused::Read(kind) => format!("the bundle cannot be read: {kind}"),
        _ => format!("the bundle is refused: {refused}"),
    };
    failure(code, message, refused.hint())
}

/// The bundle could not be fetched.
pub(crate) fn fetch(error: &FetchError) -> Failure {
    let message = format!("the bundle was not fetched: {error}");
    match error {
        FetchError::Refused(refused) => self::refused(refused),
        FetchError::Trust(error) => trust(error),
        _ if error.is_no_space() => failure(
            exit::NO_SPACE,
            message,
            "Free some space; the fetch then goes on where it stopped.",
        ),
        FetchError::Spool(_) => failure(exit::FAILURE, message, "Run `agent doctor`."),
        FetchError::Superseded => failure(exit::FAILURE, message, ""),
        FetchError::Remote(RemoteError::Refused { hint, .. }) if !hint.is_empty() => {
            failure(exit::DOWNLOAD_FAILED, message, escape::text(hint))
        }
        FetchError::Remote(RemoteError::Certificate(_)) => failure(
            exit::DOWNLOAD_FAILED,
            message,
            "Check the server's certificate, this device's clock, and the CA that agent.toml names.",
        ),
        FetchError::OtherFile | FetchError::Remote(RemoteError::Changed) => failure(
            exit::DOWNLOAD_FAILED,
            message,
            "Check that the server of the bundles has this file, unchanged.",
        ),
        FetchError::Remote(_) => failure(
            exit::DOWNLOAD_FAILED,
            message,
            "Nothing is to be done: the agent tries again, and goes on where it stopped.",
        ),
    }
}

/// What the relay names is not what comes.
pub(crate) fn misnamed(named: &str, found: &str) -> Failure {
    failure(
        exit::REFUSED,
        format!("the bundle is refused: the relay names {named}, and what comes is {found}"),
        "Look into the relay: it does not say what it gives.",
    )
}

/// The bundle is sound, but not for this device, or not now.
pub(crate) fn not_admitted(refused: &NotAdmitted) -> Failure {
    failure(
        exit::REFUSED,
        format!("the bundle is refused: {refused}"),
        refused.hint(),
    )
}

/// This device's settings do not fit the bundle's schema.
pub(crate) fn values(app: &str, error: &ValueError) -> Failure {
    failure(
        exit::REFUSED,
        format!("the settings of this device do not fit the bundle: {error}"),
        format!("Correct [variables.{app}] in agent.toml, then apply the bundle again."),
    )
}

/// The file with the device's own rules cannot be used.
pub(crate) fn policy(path: &Path, why: &str) -> Failure {
    failure(
        exit::REFUSED,
        format!("{}: {why}", path.display()),
        "Correct the policy file; a key that it does not have stands for the default.",
    )
}

/// The address of a relay cannot be used.
pub(crate) fn relay_address(rule: &str) -> Failure {
    failure(
        exit::USAGE,
        format!("the relay's address must be {rule}"),
        "",
    )
}

/// The token cannot be one.
pub(crate) fn token() -> Failure {
    failure(
        exit::USAGE,
        "the token is empty or too long",
        "Pass what `relay token enroll` printed, whole.",
    )
}

/// The relay did not take this device in.
pub(crate) fn enroll(error: &RemoteError) -> Failure {
    let (code, hint) = match error {
        RemoteError::Unreachable(_) | RemoteError::Slow => (
            exit::DOWNLOAD_FAILED,
            "Check the address, the network and, if there is one, `proxy`; the token is still good.",
        ),
        RemoteError::Busy { .. } => (
            exit::DOWNLOAD_FAILED,
            "Try again then; the token is still good.",
        ),
        RemoteError::Certificate(_) => (
            exit::FAILURE,
            "Use the host name that the certificate is for; if the relay has an authority of its own, \
             pass that one's certificate: --relay-ca ca.pem.",
        ),
        RemoteError::Refused {
            status, code, hint, ..
        } => {
            let hint = match code.as_str() {
                "token_used" => {
                    "A token is good for one device: ask for another (`relay token enroll`)."
                }
                "token_expired" | "token_revoked" => "Ask for another token: `relay token enroll`.",
                "token_unknown" => {
                    "Check that the token is whole, and that this is the relay that made it."
                }
                "device_exists" => {
                    "Another device has this id: set device_id to another one, or have an operator \
                     remove that device first."
                }
                _ if !hint.is_empty() => hint.as_str(),
                _ if *status == 404 => "Check the address: no relay answers there.",
                _ => "See the relay's log.",
            };
            (exit::FAILURE, hint)
        }
        _ => (exit::FAILURE, "Check the address: it must be a relay's."),
    };
    failure(code, error.to_string(), escape::text(hint))
}

/// A file of the agent's own, or the bundle's path, cannot be used.
pub(crate) fn io(what: &str, error: &std::io::Error) -> Failure {
    failure(
        exit::FAILURE,
        format!("{what}: {error}"),
        "Run `agent doctor`.",
    )
}

/// It would not fit.
pub(crate) fn no_space(place: &Path, needed: u64, free: u64) -> Failure {
    failure(
        exit::NO_SPACE,
        format!(
            "not enough space: {} has {} MiB free, and {} MiB are needed",
            place.display(),
            free >> 20,
            needed.div_ceil(1 << 20)
        ),
        "Free some space, then apply the bundle again; nothing has been changed.",
    )
}

/// It runs already.
pub(crate) fn already_current(app: &str, version: &str) -> Failure {
    failure(
        exit::ALREADY_CURRENT,
        format!("{app} {version} runs already, with the same settings"),
        "",
    )
}

/// It is being installed already.
pub(crate) fn under_way(app: &str) -> Failure {
    failure(
        exit::FAILURE,
        format!("this very bundle of {app} is being installed"),
        "Watch `agent status`; there is nothing to do.",
    )
}

/// The wish makes no sense now.
pub(crate) fn illegal(illegal: Illegal) -> Failure {
    let (code, hint) = match illegal {
        Illegal::Busy => (
            exit::FAILURE,
            "Wait for its end (see `agent status`), then try again.",
        ),
        Illegal::BelowFloor => (
            exit::REFUSED,
            "Pack the old content again under a higher seq.",
        ),
        Illegal::NothingToRollBackTo | Illegal::NotInstalled => (
            exit::FAILURE,
            "See `agent status` for what is on this device.",
        ),
        _ => (exit::FAILURE, ""),
    };
    failure(code, illegal.to_string(), hint)
}

/// The agent ends before it could answer.
pub(crate) fn stopped() -> Failure {
    failure(
        exit::FAILURE,
        "the agent stops; an update under way is taken up at its next start",
        "Start it again, then see `agent status`.",
    )
}

/// This engine may only look.
pub(crate) fn read_only() -> Failure {
    failure(
        exit::FAILURE,
        "this request would change the device, and nothing may",
        "",
    )
}

/// No app of this name, or none that is meant without a name.
pub(crate) fn which_app(known: &[String], asked: Option<&str>) -> Failure {
    let message = match asked {
        Some(name) => format!("there is no app {name} on this device"),
        None if known.is_empty() => "there is no app on this device".to_owned(),
        None => "this device has several apps".to_owned(),
    };
    let hint = if known.is_empty() {
        "Install one with `agent apply bundle.bin`.".to_owned()
    } else {
        format!("Name one of: {}.", known.join(", "))
    };
    failure(exit::FAILURE, message, hint)
}

/// No such service.
pub(crate) fn which_service(app: &str, service: &str, known: &[String]) -> Failure {
    failure(
        exit::FAILURE,
        format!("{app} has no service {service}"),
        format!("Name one of: {}.", known.join(", ")),
    )
}

/// Something that the engine did went wrong before an update began.
pub(crate) fn trouble(trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Source(refused) => self::refused(refused),
        Trouble::Fetch(error) => fetch(error),
        Trouble::Load(LoadError::Refused(refused)) => self::refused(refused),
        Trouble::Load(LoadError::Trust(error)) => trust(error),
        Trouble::Load(LoadError::Resolve(_) | LoadError::NotText | LoadError::Template(_)) => {
            failure(
                exit::REFUSED,
                format!("the bundle does not fit this device's settings: {trouble}"),
                "Correct the settings in agent.toml, or ask for a corrected bundle.",
            )
        }
        _ if trouble.is_no_space() => failure(
            exit::NO_SPACE,
            trouble.to_string(),
            "Free some space, then try again.",
        ),
        _ if trouble.is_unreachable() => runtime_down(trouble),
        _ => failure(exit::FAILURE, trouble.to_string(), "Run `agent doctor`."),
    }
}

fn runtime_down(trouble: &Trouble) -> Failure {
    let words = match trouble {
        Trouble::Runtime { error, .. } => error.to_string(),
        _ => trouble.to_string(),
    };
    failure(
        exit::RUNTIME_UNREACHABLE,
        words,
        "Start it (`systemctl start podman.socket`), or set `runtime` to its socket; nothing has been changed.",
    )
}

/// How an update ended badly.
///
/// `detail` is of the last thing that went wrong, if this process saw it.
pub(crate) fn ended(
    app: &str,
    version: &str,
    kind: OutcomeKind,
    services: &[ServiceName],
    detail: Option<&Detail>,
) -> Failure {
    let words = detail.map(|detail| detail.words.as_str());
    let because = |cause| cause_words(cause, services, words);
    match kind {
        OutcomeKind::RolledBack(cause) => failure(
            exit::ROLLED_BACK,
            format!(
                "{app} {version} failed and was rolled back: {}",
                because(cause)
            ),
            "What it wrote last is in the agent's log; apply a corrected version when there is one.",
        ),
        OutcomeKind::RollbackFailed(cause) => failure(
            exit::ROLLBACK_FAILED,
            format!(
                "{app} {version} failed, and the version before could not be brought back: {}",
                because(cause)
            ),
            "Run `agent doctor`; the agent keeps trying by itself.",
        ),
        OutcomeKind::Failed(cause) => {
            let (code, hint) = match cause {
                Cause::NoSpace => (
                    exit::NO_SPACE,
                    "Free some space, then apply the bundle again.",
                ),
                Cause::StageSource => (
                    exit::REFUSED,
                    "Copy the bundle again from its source, then apply it again.",
                ),
                Cause::Superseded | Cause::Operator => (exit::FAILURE, ""),
                _ => (
                    exit::FAILURE,
                    "Run `agent doctor`, then apply the bundle again.",
                ),
            };
            let code = detail.and_then(|detail| detail.code).unwrap_or(code);
            failure(
                code,
                format!("{app} {version} was not installed: {}", because(cause)),
                hint,
            )
        }
        OutcomeKind::Committed(_) | OutcomeKind::Removed => failure(exit::FAILURE, "", ""),
    }
}

/// The exit code of a failed staging, where its cause in the record would not tell.
pub(crate) fn special_code(trouble: &Trouble) -> Option<u8> {
    match trouble {
        Trouble::Source(Refused::Read(_)) => Some(exit::DOWNLOAD_FAILED),
        Trouble::Fetch(error) => Some(fetch(error).code),
        _ => trouble
            .is_unreachable()
            .then_some(exit::RUNTIME_UNREACHABLE),
    }
}

/// A cause in words.
pub(crate) fn cause_words(cause: Cause, services: &[ServiceName], words: Option<&str>) -> String {
    let name = |place: u8| {
        services
            .get(usize::from(place))
            .map_or("a service", ServiceName::as_str)
    };
    let kind = match cause {
        Cause::Crashed { service, exit_code } => {
            &format!("{} exited with code {exit_code}", name(service))
        }
        Cause::Unhealthy { service } => &format!("the health check of {} failed", name(service)),
        Cause::Dependency { service } => {
            return format!("what {} depends on was not ready in time", name(service));
        }
        Cause::Interrupted => {
            return "the device or the agent restarted too often during the trial".to_owned();
        }
        Cause::Operator => return "somebody asked for it".to_owned(),
        Cause::Superseded => return "a newer bundle took its place".to_owned(),
        Cause::StageRuntime => "the container runtime could not take the images in",
        Cause::StageSource => "the bundle could not be read, or its bytes changed",
        Cause::NoSpace => "no space is left",
        Cause::SwitchRuntime => "the container runtime failed while containers were replaced",
        Cause::RestoreRuntime => {
            "the container runtime failed while the version before was restored"
        }
        _ => "for an unknown cause",
    };
    match words {
        Some(words) => format!("{kind} ({})", escape::text(words)),
        None => kind.to_owned(),
    }
}

/// No bundle can be for a machine like this.
pub(crate) fn no_arch() -> Failure {
    failure(
        exit::FAILURE,
        "this agent was built for a processor that no bundle is for",
        "",
    )
}
