//! What the relay remembers: a database behind the trait [`Store`], and bundles in a folder.
//!
//! Each method of the trait is one unit of work: it happens as a whole or not at all, and what it
//! has answered survives a power cut. An action of an operator and its audit entry are one unit.
//! `contract` is the suite that each implementation passes.
//!
//! Never decides anything: `domain` does.
#![allow(
    dead_code,
    reason = "the routes that call this come with the same issue"
)]

#[cfg(test)]
mod contract;
mod error;
pub(crate) mod folder;
mod outcome;
pub(crate) mod sqlite;
mod view;

pub(crate) use error::StoreError;
pub(crate) use outcome::{
    CheckedIn, EnrollOutcome, Enrolment, LabelOutcome, NewEnrollToken, NewRollout, NewToken,
    OperatorToken, PublishOutcome, ReportOutcome, RolloutOutcome, VariableOutcome,
};

use std::sync::Arc;

use async_trait::async_trait;
use bundle::{AppName, DeviceId, Digest, Label};
use relay_api::device::{AppFacts, DeviceFacts, Report, ReportKey};
use relay_api::operator;
use tokio::sync::watch;

use crate::domain::audit::{By, Entry};
use crate::domain::desired::Meant;
use crate::domain::labels::Labels;
use crate::domain::release::Bundle;
use crate::domain::selector::Selector;
use crate::domain::token::SecretHash;
use crate::domain::variables;

/// What a store gives.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// The database. Times are `now`, in seconds since 1970-01-01 UTC.
///
/// Every method fails with [`StoreError`] if the database does, and has then changed nothing. A
/// caller that stops waiting does not stop what it has asked for.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    // The store itself.

    /// Whether the database answers.
    async fn ready(&self) -> Result<()>;

    /// The secret of this name that all relays of one fleet share: the one that is stored, else
    /// `random`, which is stored.
    async fn secret(&self, name: &str, random: [u8; 32]) -> Result<[u8; 32]>;

    /// A number that grows with each change of what devices shall run; whoever holds an answer back
    /// waits for it, and then asks [`Store::meant`] again.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Ends: waits for what is under way, and writes what was put off. Afterwards all fails.
    async fn close(&self);

    // Audit.

    /// Remembers something that was not done by one of the methods below: they remember what they
    /// do themselves. Gives its number.
    async fn audit(&self, entry: Entry) -> Result<u64>;

    /// Entries, newest first: those with a number below `before`, at most `limit` (and
    /// `limits::AUDIT_PAGE_MAX`).
    async fn audit_page(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<operator::AuditEntry>>;

    // Operators' tokens.

    /// Adds the token, if the store has never had one. Whether it did.
    async fn add_first_token(&self, token: NewToken, by: &By, now: u64) -> Result<bool>;

    /// Adds an operator's token. The answer has no secret in it: the caller has it.
    async fn add_token(&self, token: NewToken, by: &By, now: u64) -> Result<operator::Token>;

    /// All of them, newest first.
    async fn tokens(&self, now: u64) -> Result<Vec<operator::Token>>;

    /// Revokes; whether there is such a token. Revoking twice is fine.
    async fn revoke_token(&self, id: u64, by: &By, now: u64) -> Result<bool>;

    /// The token with this hash, whatever its state.
    async fn operator_token(&self, hash: &SecretHash, now: u64) -> Result<Option<OperatorToken>>;

    // Enrolment.

    /// Adds an enrolment token. The answer has no secret in it: the caller has it.
    async fn add_enroll_token(
        &self,
        token: NewEnrollToken,
        by: &By,
        now: u64,
    ) -> Result<operator::EnrollToken>;

    /// All of them, newest first.
    async fn enroll_tokens(&self, now: u64) -> Result<Vec<operator::EnrollToken>>;

    /// Revokes; whether there is such a token. A device that it made stays.
    async fn revoke_enroll_token(&self, id: u64, by: &By, now: u64) -> Result<bool>;

    /// Makes a device of a token (clauses D20 to D24), once however many ask at a time. The same
    /// device with the same key and token gets the same answer again. A refusal is remembered, too.
    async fn enroll(&self, enrolment: Enrolment, from: &str, now: u64) -> Result<EnrollOutcome>;

    // What devices ask.

    /// The public key of a device; none if it is unknown or was removed.
    async fn device_key(&self, id: &DeviceId) -> Result<Option<[u8; 32]>>;

    /// Takes in what a device is and runs, moves its targets, makes it a target of rollouts that
    /// mean it now, and gives what is meant for it; none if it is unknown or was removed. That it
    /// was seen may be written seconds later, together with others.
    async fn check_in(
        &self,
        id: &DeviceId,
        facts: &DeviceFacts,
        apps: &[AppFacts],
        now: u64,
    ) -> Result<Option<CheckedIn>>;

    /// What is meant for a device; none if it is unknown or was removed. Changes nothing.
    async fn meant(&self, id: &DeviceId) -> Result<Option<Arc<Meant>>>;

    /// Takes a report in, once for each key (clauses D50 and D51), and moves the targets that it is
    /// about. `body` is as it came.
    async fn put_report(
        &self,
        id: &DeviceId,
        key: ReportKey,
        report: &Report,
        body: &[u8],
        now: u64,
    ) -> Result<ReportOutcome>;

    /// Whether a bundle file with this digest was published.
    async fn has_file(&self, file: &Digest) -> Result<bool>;

    // Devices, for operators.

    /// Those that the selector means (all without one), by id.
    async fn devices(&self, selector: Option<&Selector>) -> Result<Vec<operator::Device>>;

    /// One of them, with its values and what it reported last.
    async fn device(&self, id: &DeviceId) -> Result<Option<operator::DeviceDetail>>;

    /// Sets labels, and takes those of operators and of the token away. The device becomes a target
    /// of rollouts that mean it now.
    async fn label_device(
        &self,
        id: &DeviceId,
        set: Labels,
        remove: Vec<Label>,
        by: &By,
        now: u64,
    ) -> Result<LabelOutcome>;

    /// Changes the values of variables. Values that do not fit the newest bundle are refused.
    async fn set_variables(
        &self,
        id: &DeviceId,
        change: variables::Change,
        by: &By,
        now: u64,
    ) -> Result<VariableOutcome>;

    /// Removes: its key means nothing any more, its id is free, its pending targets fail. Whether
    /// there was such a device.
    async fn remove_device(&self, id: &DeviceId, by: &By, now: u64) -> Result<bool>;

    // Releases and rollouts.

    /// Adds a bundle whose file is in the folder. Devices of the newest rollout of this release
    /// that no bundle fitted become targets.
    async fn publish(&self, bundle: Bundle, by: &By, now: u64) -> Result<PublishOutcome>;

    /// Whether [`Store::publish`] would take the bundle: asked before its file is put in place.
    async fn publish_check(&self, bundle: &Bundle) -> Result<PublishOutcome>;

    /// Releases, of one app or of all, newest first.
    async fn releases(&self, app: Option<&AppName>) -> Result<Vec<operator::Release>>;

    /// Starts a rollout: each device that the selector means gets the bundle of the release that
    /// fits. Devices that match later become targets later.
    async fn start_rollout(&self, rollout: NewRollout, by: &By, now: u64)
    -> Result<RolloutOutcome>;

    /// Rollouts, of one app or of all, newest first.
    async fn rollouts(&self, app: Option<&AppName>) -> Result<Vec<operator::Rollout>>;

    /// One of them, device by device.
    async fn rollout(&self, id: u64) -> Result<Option<operator::RolloutDetail>>;

    /// Ends a rollout: its pending targets fail. None if there is none; one that has ended or was
    /// aborted stays as it is.
    async fn abort_rollout(&self, id: u64, by: &By, now: u64) -> Result<Option<operator::Rollout>>;
}
