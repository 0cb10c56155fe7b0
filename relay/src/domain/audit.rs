//! What is remembered of every action, refused ones too: who, what, on what, when, from where, with
//! what result.
//!
//! Never holds a secret: neither tokens nor values of variables.

use std::fmt;

use super::limits::AUDIT_DETAIL_BYTES_MAX;

/// Who does something, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct By {
    /// An operator's name, `device ID`, `relay`, or `nobody` if it did not say.
    pub(crate) who: String,
    /// The address of the peer; empty for the relay itself, or `data folder`.
    pub(crate) from: String,
}

impl By {
    /// An operator, by the name of the token.
    pub(crate) fn operator(name: &str, from: impl fmt::Display) -> Self {
        Self {
            who: name.to_string(),
            from: from.to_string(),
        }
    }

    /// A device.
    pub(crate) fn device(id: impl fmt::Display, from: impl fmt::Display) -> Self {
        Self {
            who: format!("device {id}"),
            from: from.to_string(),
        }
    }

    /// Somebody who did not say, or could not prove, who they are.
    pub(crate) fn nobody(from: impl fmt::Display) -> Self {
        Self {
            who: "nobody".to_string(),
            from: from.to_string(),
        }
    }

    /// The relay itself.
    pub(crate) fn relay() -> Self {
        Self {
            who: "relay".to_string(),
            from: String::new(),
        }
    }

    /// Somebody on the relay's own machine, who needs no token: the data folder is theirs.
    pub(crate) fn data_folder() -> Self {
        Self {
            from: "data folder".to_string(),
            ..Self::relay()
        }
    }
}

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Showed a token, to do anything at all; only refusals are remembered.
    Authenticate,
    /// Published a bundle.
    Publish,
    /// Started a rollout.
    RolloutStart,
    /// Aborted a rollout.
    RolloutAbort,
    /// Enrolled a device.
    DeviceEnroll,
    /// Changed the labels of a device.
    DeviceLabel,
    /// Changed the variables of a device.
    DeviceSet,
    /// Removed a device.
    DeviceRemove,
    /// Made an enrolment token.
    EnrollTokenAdd,
    /// Revoked an enrolment token.
    EnrollTokenRevoke,
    /// Made an operator's token.
    TokenAdd,
    /// Revoked an operator's token.
    TokenRevoke,
}

impl Action {
    /// The word that the operator's API shows.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Publish => "publish",
            Self::RolloutStart => "rollout.start",
            Self::RolloutAbort => "rollout.abort",
            Self::DeviceEnroll => "device.enroll",
            Self::DeviceLabel => "device.label",
            Self::DeviceSet => "device.set",
            Self::DeviceRemove => "device.remove",
            Self::EnrollTokenAdd => "enroll-token.add",
            Self::EnrollTokenRevoke => "enroll-token.revoke",
            Self::TokenAdd => "token.add",
            Self::TokenRevoke => "token.revoke",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed, or made no sense.
    Refused,
    /// The relay could not do it.
    Failed,
}

impl Outcome {
    /// The word that the operator's API shows.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When: seconds since 1970-01-01 UTC.
    pub(crate) at: u64,
    /// Who, and from where.
    pub(crate) by: By,
    /// What.
    pub(crate) action: Action,
    /// On what: an app and version, a device, the id of a token.
    pub(crate) on: String,
    /// More about it; may be empty.
    pub(crate) detail: String,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

impl Entry {
    /// Something that was done.
    pub(crate) fn done(at: u64, by: &By, action: Action, on: impl fmt::Display) -> Self {
        Self::new(at, by, action, on, Outcome::Done)
    }

    /// Something that was refused; `why` is its detail.
    pub(crate) fn refused(
        at: u64,
        by: &By,
        action: Action,
        on: impl fmt::Display,
        why: impl fmt::Display,
    ) -> Self {
        Self::new(at, by, action, on, Outcome::Refused).detail(why)
    }

    /// Something that the relay could not do; `why` is its detail.
    pub(crate) fn failed(
        at: u64,
        by: &By,
        action: Action,
        on: impl fmt::Display,
        why: impl fmt::Display,
    ) -> Self {
        Self::new(at, by, action, on, Outcome::Failed).detail(why)
    }

    fn new(at: u64, by: &By, action: Action, on: impl fmt::Display, outcome: Outcome) -> Self {
        Self {
            at,
            by: by.clone(),
            action,
            on: on.to_string(),
            detail: String::new(),
            outcome,
        }
    }

    /// With more about it, cut at [`AUDIT_DETAIL_BYTES_MAX`].
    pub(crate) fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = cut(&detail.to_string(), AUDIT_DETAIL_BYTES_MAX);
        self
    }
}

/// The text, or as much of it as has `bytes_max` bytes, with an ellipsis.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_string();
    }
    let mut end = bytes_max.saturating_sub("…".len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "…");
        assert_eq!(cut("aäöü", 6), "aä…");
        let entry =
            Entry::done(1, &By::relay(), Action::Publish, "kiosk 1").detail("ä".repeat(900));
        assert!(entry.detail.len() <= AUDIT_DETAIL_BYTES_MAX);
        assert!(entry.detail.ends_with("ä…"));
    }
}
