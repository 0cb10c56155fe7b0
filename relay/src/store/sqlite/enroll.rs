//! Enrolment (clauses D20 to D24): one transaction from the token to the device.

use relay_api::device::{AppFacts, encode};

use super::cache::CacheChange;
use super::devices::{self, DeviceRow};
use super::row::{bytes32, from_sql, labels_of, to_sql};
use super::writer::Tx;
use super::{audit, check_in};
use crate::domain::audit::{Action, By, Entry};
use crate::domain::token::State;
use crate::store::{EnrollOutcome, Enrolment, Result};

/// See `Store::enroll`.
pub(super) async fn enroll(
    tx: &mut Tx,
    enrolment: &Enrolment,
    from: &str,
    now: u64,
) -> Result<EnrollOutcome> {
    let (outcome, remember) = judge(tx, enrolment, now).await?;
    if !remember {
        return Ok(outcome);
    }
    let id = &enrolment.device;
    let why = match &outcome {
        EnrollOutcome::Enrolled(_) => {
            let entry = Entry::done(now, &By::device(id, from), Action::DeviceEnroll, id);
            audit::add(&mut tx.conn, &entry).await?;
            return Ok(outcome);
        }
        EnrollOutcome::TokenUnknown => "the token is unknown",
        EnrollOutcome::TokenExpired => "the token has expired",
        EnrollOutcome::TokenRevoked => "the token was revoked",
        EnrollOutcome::TokenUsed => "the token was used by another device",
        EnrollOutcome::DeviceExists => "another key has this id",
    };
    // Nobody but the holder of a token can be believed to be a device.
    let entry = Entry::refused(now, &By::nobody(from), Action::DeviceEnroll, id, why);
    audit::add(&mut tx.conn, &entry).await?;
    Ok(outcome)
}

/// The outcome, done if it is one to do; and whether it is to be remembered.
async fn judge(tx: &mut Tx, enrolment: &Enrolment, now: u64) -> Result<(EnrollOutcome, bool)> {
    type Row = (i64, String, i64, Option<i64>, Option<i64>);
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, labels, expires_at, revoked_at, device FROM enroll_tokens WHERE hash = ?",
    )
    .bind(&enrolment.token.as_bytes()[..])
    .fetch_optional(&mut tx.conn)
    .await?;
    let Some((token, labels, expires_at, revoked_at, used_by)) = row else {
        return Ok((EnrollOutcome::TokenUnknown, true));
    };
    let labels = labels_of(&labels)?;
    let device = devices::find(&mut tx.conn, &enrolment.device).await?;
    let same_key = |device: &&DeviceRow| device.public_key == enrolment.public_key;
    // Once more, because the answer was lost (clause D22).
    let same = device.as_ref().filter(same_key).map(|device| device.no);
    if used_by.is_some() && used_by == same {
        return Ok((EnrollOutcome::Enrolled(labels), false));
    }
    let state = State::of(
        used_by.is_some(),
        revoked_at.is_some(),
        from_sql(expires_at),
        now,
    );
    match state {
        State::Open => {}
        State::Used => return Ok((EnrollOutcome::TokenUsed, true)),
        State::Expired => return Ok((EnrollOutcome::TokenExpired, true)),
        State::Revoked => return Ok((EnrollOutcome::TokenRevoked, true)),
    }
    let no = match &device {
        Some(device) if device.public_key != enrolment.public_key => {
            return Ok((EnrollOutcome::DeviceExists, true));
        }
        Some(device) => {
            again(tx, device.no, token, &labels).await?;
            device.no
        }
        None => insert(tx, enrolment, token, &labels, now).await?,
    };
    sqlx::query("UPDATE enroll_tokens SET device = ? WHERE id = ?")
        .bind(no)
        .bind(token)
        .execute(&mut tx.conn)
        .await?;
    tx.cache(CacheChange::Forget(enrolment.device.clone()));
    if let Some(device) = devices::find(&mut tx.conn, &enrolment.device).await? {
        devices::join(tx, &device, now).await?;
    }
    Ok((EnrollOutcome::Enrolled(labels), true))
}

/// A device that is known enrols with a new token: it gets the labels of that one.
async fn again(
    tx: &mut Tx,
    device: i64,
    token: i64,
    labels: &crate::domain::labels::Labels,
) -> Result<()> {
    sqlx::query("UPDATE devices SET enroll_token = ?, token_labels = ? WHERE no = ?")
        .bind(token)
        .bind(super::row::labels_text(labels))
        .bind(device)
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

async fn insert(
    tx: &mut Tx,
    enrolment: &Enrolment,
    token: i64,
    labels: &crate::domain::labels::Labels,
    now: u64,
) -> Result<i64> {
    let apps: &[AppFacts] = &[];
    let said = check_in::said(&enrolment.facts, apps);
    let key = bytes32(&enrolment.public_key)?;
    let done = sqlx::query(
        "INSERT INTO devices (id, public_key, enroll_token, token_labels, labels, facts, apps,
                              said, enrolled_at)
         VALUES (?, ?, ?, ?, '{}', ?, ?, ?, ?)",
    )
    .bind(enrolment.device.as_str())
    .bind(&key[..])
    .bind(token)
    .bind(super::row::labels_text(labels))
    .bind(encode(&enrolment.facts))
    .bind(encode(&apps))
    .bind(&said.as_bytes()[..])
    .bind(to_sql(now))
    .execute(&mut tx.conn)
    .await?;
    Ok(done.last_insert_rowid())
}
