//! Bundles and releases.
//!
//! Never looks at a file: whoever publishes has checked it and put it in place.

use std::collections::BTreeSet;

use bundle::{AppName, Digest, VariableName, VersionLabel};
use relay_api::operator;
use sqlx::SqliteConnection;

use super::row::{digest, from_sql, json, message, to_sql, word};
use super::writer::Tx;
use super::{audit, devices, targets};
use crate::domain::audit::{Action, By, Entry};
use crate::domain::release::Bundle;
use crate::store::{PublishOutcome, Result, StoreError, view};

/// A bundle with its row.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) no: i64,
    pub(super) bundle: Bundle,
    published_at: u64,
    published_by: String,
}

impl Stored {
    fn view(&self) -> operator::Bundle {
        view::bundle(&self.bundle, self.published_at, &self.published_by)
    }
}

type Row = (
    i64,
    Vec<u8>,
    i64,
    Vec<u8>,
    String,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
    Vec<u8>,
    Vec<u8>,
    String,
    i64,
    String,
);

/// The columns of [`Row`], of every bundle.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT no, file, bytes, digest, app, version, seq, epoch, issued_at, not_after,
                    target, variables, keys, published_at, published_by FROM bundles ",
            $rest
        )
    };
}

fn stored(row: Row) -> Result<Stored> {
    let (no, file, bytes, id, app, version, seq, epoch, issued_at, not_after, ..) = row;
    let (.., target, variables, keys, published_at, published_by) = row;
    Ok(Stored {
        no,
        bundle: Bundle {
            file: digest(&file)?,
            bytes: from_sql(bytes),
            digest: digest(&id)?,
            app: word(&app)?,
            version: word(&version)?,
            seq: from_sql(seq),
            epoch: from_sql(epoch),
            issued_at: from_sql(issued_at),
            not_after: not_after.map(from_sql),
            target: message(&target)?,
            variables: message(&variables)?,
            keys: serde_json::from_str(&keys)
                .map_err(|_| StoreError::Corrupt("key ids cannot be decoded"))?,
        },
        published_at: from_sql(published_at),
        published_by,
    })
}

/// The bundles of one app and version.
pub(super) async fn release(
    conn: &mut SqliteConnection,
    app: &AppName,
    version: &VersionLabel,
) -> Result<Vec<Stored>> {
    let rows: Vec<Row> = sqlx::query_as(select!("WHERE app = ? AND version = ? ORDER BY no"))
        .bind(app.as_str())
        .bind(version.as_str())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(stored).collect()
}

/// The bundles of one app.
pub(super) async fn of_app(conn: &mut SqliteConnection, app: &AppName) -> Result<Vec<Stored>> {
    let rows: Vec<Row> = sqlx::query_as(select!("WHERE app = ? ORDER BY no"))
        .bind(app.as_str())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(stored).collect()
}

/// The variables of an app that some bundle of it calls secret.
pub(super) async fn secrets(
    conn: &mut SqliteConnection,
    app: &AppName,
) -> Result<BTreeSet<(AppName, VariableName)>> {
    let bundles = of_app(conn, app).await?;
    let variables = bundles
        .into_iter()
        .flat_map(|stored| stored.bundle.variables);
    let secret = variables.filter(|variable| variable.secret);
    Ok(secret
        .map(|variable| (app.clone(), variable.name))
        .collect())
}

/// See `Store::has_file`.
pub(super) async fn has_file(conn: &mut SqliteConnection, file: &Digest) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar("SELECT no FROM bundles WHERE file = ?")
        .bind(&file.as_bytes()[..])
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

/// See `Store::releases`.
pub(super) async fn releases(
    conn: &mut SqliteConnection,
    app: Option<&AppName>,
) -> Result<Vec<operator::Release>> {
    let mut bundles = match app {
        Some(app) => of_app(conn, app).await?,
        None => {
            let rows: Vec<Row> = sqlx::query_as(select!("ORDER BY no"))
                .fetch_all(conn)
                .await?;
            rows.into_iter().map(stored).collect::<Result<_>>()?
        }
    };
    let mut releases: Vec<operator::Release> = Vec::new();
    // The bundle that was published last makes its release the newest.
    bundles.reverse();
    for stored in &bundles {
        let bundle = stored.view();
        let of = |r: &&mut operator::Release| r.app == bundle.app && r.version == bundle.version;
        match releases.iter_mut().find(of) {
            Some(release) => release.bundles.push(bundle),
            None => releases.push(operator::Release {
                app: bundle.app.clone(),
                version: bundle.version.clone(),
                bundles: vec![bundle],
            }),
        }
    }
    Ok(releases)
}

/// See `Store::publish_check`.
pub(super) async fn check(
    conn: &mut SqliteConnection,
    bundle: &Bundle,
    by: &str,
    now: u64,
) -> Result<PublishOutcome> {
    let known: Option<Row> = sqlx::query_as(select!("WHERE file = ?"))
        .bind(&bundle.file.as_bytes()[..])
        .fetch_optional(&mut *conn)
        .await?;
    if let Some(row) = known {
        return Ok(PublishOutcome::Known(Box::new(stored(row)?.view())));
    }
    let rivals: Vec<(i64, Vec<u8>, String)> =
        sqlx::query_as("SELECT seq, digest, version FROM seqs WHERE app = ? AND target_key = ?")
            .bind(bundle.app.as_str())
            .bind(bundle.target_key())
            .fetch_all(conn)
            .await?;
    let mut newest = None;
    for (seq, other, version) in rivals {
        let (seq, other) = (from_sql(seq), digest(&other)?);
        if seq == bundle.seq && other != bundle.digest {
            return Ok(PublishOutcome::SeqTaken {
                version,
                digest: other.to_string(),
            });
        }
        newest = newest.max((seq > bundle.seq).then_some(seq));
    }
    Ok(PublishOutcome::New {
        bundle: Box::new(view::bundle(bundle, now, by)),
        newest,
    })
}

/// See `Store::publish`.
pub(super) async fn publish(
    tx: &mut Tx,
    bundle: Bundle,
    by: &By,
    now: u64,
) -> Result<PublishOutcome> {
    let outcome = check(&mut tx.conn, &bundle, &by.who, now).await?;
    let PublishOutcome::New { .. } = outcome else {
        return Ok(outcome);
    };
    sqlx::query(
        "INSERT INTO seqs (app, target_key, seq, digest, version) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (app, target_key, seq) DO NOTHING",
    )
    .bind(bundle.app.as_str())
    .bind(bundle.target_key())
    .bind(to_sql(bundle.seq))
    .bind(&bundle.digest.as_bytes()[..])
    .bind(bundle.version.as_str())
    .execute(&mut tx.conn)
    .await?;
    insert(&mut tx.conn, &bundle, by, now).await?;
    let on = format!("{} {}", bundle.app, bundle.version);
    let entry = Entry::done(now, by, Action::Publish, on).detail(format_args!(
        "seq {} for {}, file {}",
        bundle.seq, bundle.target.arch, bundle.file
    ));
    audit::add(&mut tx.conn, &entry).await?;
    // Devices that a rollout of this release means, and that no bundle fitted until now.
    let joinable = targets::joinable(&mut tx.conn, Some((&bundle.app, &bundle.version))).await?;
    if !joinable.is_empty() {
        for device in devices::all(&mut tx.conn).await? {
            if targets::join(&mut tx.conn, &device, &joinable, now).await? {
                tx.changed();
            }
        }
    }
    Ok(outcome)
}

async fn insert(conn: &mut SqliteConnection, bundle: &Bundle, by: &By, now: u64) -> Result<()> {
    sqlx::query(
        "INSERT INTO bundles (file, bytes, digest, app, version, seq, epoch, issued_at, not_after,
                              target, target_key, variables, keys, published_at, published_by)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&bundle.file.as_bytes()[..])
    .bind(to_sql(bundle.bytes))
    .bind(&bundle.digest.as_bytes()[..])
    .bind(bundle.app.as_str())
    .bind(bundle.version.as_str())
    .bind(to_sql(bundle.seq))
    .bind(to_sql(bundle.epoch))
    .bind(to_sql(bundle.issued_at))
    .bind(bundle.not_after.map(to_sql))
    .bind(relay_api::device::encode(&bundle.target))
    .bind(bundle.target_key())
    .bind(relay_api::device::encode(&bundle.variables))
    .bind(json(&bundle.keys))
    .bind(to_sql(now))
    .bind(&by.who)
    .execute(conn)
    .await?;
    Ok(())
}
