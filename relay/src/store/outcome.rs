//! What goes into the store and comes out of it.
//!
//! Refusals here are answers, not errors: the store has worked, and nothing was changed.

use std::sync::Arc;

use bundle::{AppName, DeviceId, VersionLabel};
use relay_api::device::DeviceFacts;
use relay_api::operator;

use crate::domain::desired::Meant;
use crate::domain::labels::Labels;
use crate::domain::selector::Selector;
use crate::domain::token::{self, SecretHash};
use crate::domain::variables::VariableError;

/// An operator's token to add.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    /// Who will use it.
    pub(crate) name: String,
    /// What is stored of its secret.
    pub(crate) hash: SecretHash,
    /// Until when it can be used.
    pub(crate) expires_at: u64,
}

/// An operator's token that somebody has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperatorToken {
    /// Its id.
    pub(crate) id: u64,
    /// Who uses it.
    pub(crate) name: String,
    /// How it stands: only [`token::State::Open`] lets anybody in.
    pub(crate) state: token::State,
    /// Until when it can be used.
    pub(crate) expires_at: u64,
}

/// An enrolment token to add.
#[derive(Clone, Debug)]
pub(crate) struct NewEnrollToken {
    /// The labels of the device that uses it.
    pub(crate) labels: Labels,
    /// What is stored of its secret.
    pub(crate) hash: SecretHash,
    /// Until when it can be used.
    pub(crate) expires_at: u64,
}

/// A device that wants to be known. Its signature was verified.
#[derive(Clone, Debug)]
pub(crate) struct Enrolment {
    /// The hash of the token that it shows.
    pub(crate) token: SecretHash,
    /// What it calls itself.
    pub(crate) device: DeviceId,
    /// Its public key.
    pub(crate) public_key: [u8; 32],
    /// What it is.
    pub(crate) facts: DeviceFacts,
}

/// How an enrolment went (clauses D21 to D23).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EnrollOutcome {
    /// The device is known, durably; the labels that the token gave it.
    Enrolled(Labels),
    /// There is no such token.
    TokenUnknown,
    /// Its time is over.
    TokenExpired,
    /// It was revoked.
    TokenRevoked,
    /// It made another device.
    TokenUsed,
    /// Another key has this id.
    DeviceExists,
}

/// What a check-in gave.
#[derive(Clone)]
pub(crate) struct CheckedIn {
    /// What is meant for the device.
    pub(crate) meant: Arc<Meant>,
}

/// How a report went (clauses D50 and D51).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportOutcome {
    /// It is stored, durably.
    Stored,
    /// It was stored before.
    Same,
    /// Another body has this key; that one stays.
    Differs,
    /// The device is unknown, or was removed.
    UnknownDevice,
}

/// How a change of labels went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LabelOutcome {
    /// It is done; the device as it is now.
    Done(Box<operator::Device>),
    /// It would have more than `limits::LABELS_MAX` labels.
    TooMany,
    /// There is no such device.
    UnknownDevice,
}

/// How a change of variables went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VariableOutcome {
    /// It is done; the device as it is now.
    Done(Box<operator::DeviceDetail>),
    /// A value does not fit.
    Refused(VariableError),
    /// There is no such device.
    UnknownDevice,
}

/// How a publication goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublishOutcome {
    /// It is new. `newest` is the highest `seq` of the app for the same target, if that is above
    /// this one's: then no device that has run that takes this.
    New {
        /// The bundle.
        bundle: Box<operator::Bundle>,
        /// The highest `seq` above this one's.
        newest: Option<u64>,
    },
    /// This very file was published before.
    Known(Box<operator::Bundle>),
    /// Another bundle of the app for the same target has this `seq`: its version and digest.
    SeqTaken {
        /// Its version.
        version: String,
        /// `sha256:` of its manifest.
        digest: String,
    },
}

/// A rollout to start.
#[derive(Clone, Debug)]
pub(crate) struct NewRollout {
    /// The app.
    pub(crate) app: AppName,
    /// The version.
    pub(crate) version: VersionLabel,
    /// The devices.
    pub(crate) to: Selector,
    /// Leave devices out that the release does not fit, instead of refusing.
    pub(crate) skip_unfit: bool,
}

/// How the start of a rollout went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RolloutOutcome {
    /// It runs.
    Started(Box<operator::Rollout>),
    /// There is no bundle of this app and version.
    UnknownRelease,
    /// The selector means no device, or none that the release fits.
    NoDevices,
    /// The release does not fit these devices.
    Unfit(Vec<operator::Unfit>),
}
