//! Operators' tokens and enrolment tokens.
//!
//! Never sees a token: only its hash.

use relay_api::operator::{EnrollToken, Token};
use sqlx::SqliteConnection;

use super::audit;
use super::row::{from_sql, labels_of, labels_text, to_sql};
use super::writer::Tx;
use crate::domain::audit::{Action, By, Entry};
use crate::domain::labels;
use crate::domain::token::{SecretHash, State};
use crate::store::view::time;
use crate::store::{NewEnrollToken, NewToken, OperatorToken, Result};

/// See `Store::add_token`.
pub(super) async fn add(tx: &mut Tx, token: NewToken, by: &By, now: u64) -> Result<Token> {
    let done =
        sqlx::query("INSERT INTO tokens (name, hash, created_at, expires_at) VALUES (?, ?, ?, ?)")
            .bind(&token.name)
            .bind(&token.hash.as_bytes()[..])
            .bind(to_sql(now))
            .bind(to_sql(token.expires_at))
            .execute(&mut tx.conn)
            .await?;
    let id = from_sql(done.last_insert_rowid());
    let entry = Entry::done(now, by, Action::TokenAdd, id).detail(format_args!(
        "{} until {}",
        token.name,
        time(token.expires_at)
    ));
    audit::add(&mut tx.conn, &entry).await?;
    Ok(Token {
        id,
        name: token.name,
        token: None,
        state: State::Open.as_str().to_string(),
        created_at: time(now),
        expires_at: time(token.expires_at),
    })
}

/// See `Store::add_first_token`.
pub(super) async fn add_first(tx: &mut Tx, token: NewToken, by: &By, now: u64) -> Result<bool> {
    let any: Option<i64> = sqlx::query_scalar("SELECT id FROM tokens LIMIT 1")
        .fetch_optional(&mut tx.conn)
        .await?;
    if any.is_some() {
        return Ok(false);
    }
    add(tx, token, by, now).await.map(|_| true)
}

/// See `Store::tokens`.
pub(super) async fn all(conn: &mut SqliteConnection, now: u64) -> Result<Vec<Token>> {
    type Row = (i64, String, i64, i64, Option<i64>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, created_at, expires_at, revoked_at FROM tokens ORDER BY id DESC",
    )
    .fetch_all(conn)
    .await?;
    let token = |(id, name, created_at, expires_at, revoked_at): Row| Token {
        id: from_sql(id),
        name,
        token: None,
        state: State::of(false, revoked_at.is_some(), from_sql(expires_at), now)
            .as_str()
            .to_string(),
        created_at: time(from_sql(created_at)),
        expires_at: time(from_sql(expires_at)),
    };
    Ok(rows.into_iter().map(token).collect())
}

/// See `Store::operator_token`.
pub(super) async fn find(
    conn: &mut SqliteConnection,
    hash: &SecretHash,
    now: u64,
) -> Result<Option<OperatorToken>> {
    let row: Option<(i64, String, i64, Option<i64>)> =
        sqlx::query_as("SELECT id, name, expires_at, revoked_at FROM tokens WHERE hash = ?")
            .bind(&hash.as_bytes()[..])
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|(id, name, expires_at, revoked_at)| OperatorToken {
        id: from_sql(id),
        name,
        state: State::of(false, revoked_at.is_some(), from_sql(expires_at), now),
        expires_at: from_sql(expires_at),
    }))
}

/// See `Store::revoke_token`.
pub(super) async fn revoke(tx: &mut Tx, id: u64, by: &By, now: u64) -> Result<bool> {
    let done = sqlx::query("UPDATE tokens SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?")
        .bind(to_sql(now))
        .bind(to_sql(id))
        .execute(&mut tx.conn)
        .await?;
    revoked(tx, done.rows_affected(), Action::TokenRevoke, id, by, now).await
}

/// See `Store::revoke_enroll_token`.
pub(super) async fn revoke_enroll(tx: &mut Tx, id: u64, by: &By, now: u64) -> Result<bool> {
    let done =
        sqlx::query("UPDATE enroll_tokens SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?")
            .bind(to_sql(now))
            .bind(to_sql(id))
            .execute(&mut tx.conn)
            .await?;
    revoked(
        tx,
        done.rows_affected(),
        Action::EnrollTokenRevoke,
        id,
        by,
        now,
    )
    .await
}

async fn revoked(
    tx: &mut Tx,
    rows: u64,
    action: Action,
    id: u64,
    by: &By,
    now: u64,
) -> Result<bool> {
    if rows == 0 {
        return Ok(false);
    }
    audit::add(&mut tx.conn, &Entry::done(now, by, action, id)).await?;
    Ok(true)
}

/// See `Store::add_enroll_token`.
pub(super) async fn add_enroll(
    tx: &mut Tx,
    token: NewEnrollToken,
    by: &By,
    now: u64,
) -> Result<EnrollToken> {
    let labels = labels_text(&token.labels);
    let done = sqlx::query(
        "INSERT INTO enroll_tokens (hash, labels, created_at, created_by, expires_at)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(&token.hash.as_bytes()[..])
    .bind(&labels)
    .bind(to_sql(now))
    .bind(&by.who)
    .bind(to_sql(token.expires_at))
    .execute(&mut tx.conn)
    .await?;
    let id = from_sql(done.last_insert_rowid());
    let entry = Entry::done(now, by, Action::EnrollTokenAdd, id).detail(format_args!(
        "labels {labels} until {}",
        time(token.expires_at)
    ));
    audit::add(&mut tx.conn, &entry).await?;
    Ok(EnrollToken {
        id,
        token: None,
        labels: labels::texts(&token.labels),
        state: State::Open.as_str().to_string(),
        device: None,
        created_at: time(now),
        created_by: by.who.clone(),
        expires_at: time(token.expires_at),
    })
}

/// See `Store::enroll_tokens`.
pub(super) async fn all_enroll(conn: &mut SqliteConnection, now: u64) -> Result<Vec<EnrollToken>> {
    type Row = (i64, String, Option<String>, i64, String, i64, Option<i64>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT t.id, t.labels, d.id, t.created_at, t.created_by, t.expires_at, t.revoked_at
         FROM enroll_tokens t LEFT JOIN devices d ON d.no = t.device ORDER BY t.id DESC",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(
            |(id, labels, device, created_at, created_by, expires_at, revoked_at)| {
                let state = State::of(
                    device.is_some(),
                    revoked_at.is_some(),
                    from_sql(expires_at),
                    now,
                );
                Ok(EnrollToken {
                    id: from_sql(id),
                    token: None,
                    labels: labels::texts(&labels_of(&labels)?),
                    state: state.as_str().to_string(),
                    device,
                    created_at: time(from_sql(created_at)),
                    created_by,
                    expires_at: time(from_sql(expires_at)),
                })
            },
        )
        .collect()
}
