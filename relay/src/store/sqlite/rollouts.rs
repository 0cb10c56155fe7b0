//! Rollouts: started, listed, aborted.

use bundle::AppName;
use relay_api::operator;
use sqlx::SqliteConnection;

use super::row::{from_sql, to_sql};
use super::writer::Tx;
use super::{audit, bundles, devices, targets};
use crate::domain::audit::{Action, By, Entry};
use crate::domain::rollout::Counts;
use crate::store::view::{self, RolloutRow};
use crate::store::{NewRollout, Result, RolloutOutcome, StoreError};

/// See `Store::start_rollout`.
pub(super) async fn start(
    tx: &mut Tx,
    new: &NewRollout,
    by: &By,
    now: u64,
) -> Result<RolloutOutcome> {
    let release = bundles::release(&mut tx.conn, &new.app, &new.version).await?;
    if release.is_empty() {
        return Ok(RolloutOutcome::UnknownRelease);
    }
    let devices = devices::all(&mut tx.conn).await?;
    let (mut fit, mut unfit) = (Vec::new(), Vec::new());
    for device in &devices {
        if !new.to.matches(&device.id, &device.effective_labels()) {
            continue;
        }
        match targets::pick(&release, device, &new.app, now) {
            Ok(stored) => fit.push((device, stored)),
            Err(misfit) => unfit.push(operator::Unfit {
                device: device.id.to_string(),
                reason: misfit.map_or_else(String::new, |misfit| misfit.to_string()),
            }),
        }
    }
    if !unfit.is_empty() && !new.skip_unfit {
        return Ok(RolloutOutcome::Unfit(unfit));
    }
    if fit.is_empty() {
        return Ok(RolloutOutcome::NoDevices);
    }
    let done = sqlx::query(
        "INSERT INTO rollouts (app, version, selector, started_at, started_by)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(new.app.as_str())
    .bind(new.version.as_str())
    .bind(new.to.to_string())
    .bind(to_sql(now))
    .bind(&by.who)
    .execute(&mut tx.conn)
    .await?;
    let id = done.last_insert_rowid();
    for (device, stored) in &fit {
        targets::add(&mut tx.conn, id, device, stored, now).await?;
    }
    targets::settle(&mut tx.conn, id, now).await?;
    let on = format!("{} {}", new.app, new.version);
    let entry = Entry::done(now, by, Action::RolloutStart, on).detail(format_args!(
        "rollout {id} to {}: {} devices, {} left out",
        new.to,
        fit.len(),
        unfit.len()
    ));
    audit::add(&mut tx.conn, &entry).await?;
    tx.changed();
    Ok(RolloutOutcome::Started(Box::new(
        existing(&mut tx.conn, id).await?,
    )))
}

type Row = (
    i64,
    String,
    String,
    String,
    i64,
    String,
    Option<i64>,
    Option<String>,
    i64,
    i64,
    i64,
    Option<String>,
    i64,
);

/// The columns of [`Row`], of every rollout.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.app, r.version, r.selector, r.started_at, r.started_by, r.ended_at,
                    r.aborted_by,
                    COUNT(CASE WHEN t.state = 'succeeded' THEN 1 END),
                    COUNT(CASE WHEN t.state = 'failed' THEN 1 END),
                    COUNT(CASE WHEN t.state = 'pending' THEN 1 END),
                    MIN(t.cause), COUNT(DISTINCT t.cause)
             FROM rollouts r LEFT JOIN targets t ON t.rollout = r.id ",
            $rest,
            " GROUP BY r.id, r.app, r.version, r.selector, r.started_at, r.started_by, r.ended_at,
                       r.aborted_by ORDER BY r.id DESC"
        )
    };
}

fn shown(row: Row) -> operator::Rollout {
    let (id, app, version, to, started_at, started_by, ended_at, aborted_by, ..) = row;
    let (.., succeeded, failed, pending, cause, causes) = row;
    view::rollout(RolloutRow {
        id: from_sql(id),
        app,
        version,
        to,
        started_at: from_sql(started_at),
        started_by,
        ended_at: ended_at.map(from_sql),
        aborted_by,
        counts: Counts {
            succeeded: from_sql(succeeded),
            failed: from_sql(failed),
            pending: from_sql(pending),
        },
        cause,
        causes: from_sql(causes),
    })
}

async fn find(conn: &mut SqliteConnection, id: i64) -> Result<Option<operator::Rollout>> {
    let row: Option<Row> = sqlx::query_as(select!("WHERE r.id = ?"))
        .bind(id)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(shown))
}

async fn existing(conn: &mut SqliteConnection, id: i64) -> Result<operator::Rollout> {
    find(conn, id)
        .await?
        .ok_or(StoreError::Corrupt("a rollout has vanished"))
}

/// See `Store::rollouts`.
pub(super) async fn list(
    conn: &mut SqliteConnection,
    app: Option<&AppName>,
) -> Result<Vec<operator::Rollout>> {
    let rows: Vec<Row> = sqlx::query_as(select!("WHERE ?1 IS NULL OR r.app = ?1"))
        .bind(app.map(AppName::as_str))
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(shown).collect())
}

/// See `Store::rollout`.
pub(super) async fn detail(
    conn: &mut SqliteConnection,
    id: u64,
) -> Result<Option<operator::RolloutDetail>> {
    let Some(rollout) = find(conn, to_sql(id)).await? else {
        return Ok(None);
    };
    let rows: Vec<(String, String, Option<String>, i64)> = sqlx::query_as(
        "SELECT d.id, t.state, t.cause, t.at FROM targets t JOIN devices d ON d.no = t.device
         WHERE t.rollout = ? ORDER BY d.id, d.no",
    )
    .bind(to_sql(id))
    .fetch_all(conn)
    .await?;
    let device = |(id, state, cause, at)| operator::RolloutDevice {
        id,
        state,
        cause,
        at: view::time(from_sql(at)),
    };
    Ok(Some(operator::RolloutDetail {
        rollout,
        devices: rows.into_iter().map(device).collect(),
    }))
}

/// See `Store::abort_rollout`.
pub(super) async fn abort(
    tx: &mut Tx,
    id: u64,
    by: &By,
    now: u64,
) -> Result<Option<operator::Rollout>> {
    let no = to_sql(id);
    let Some(rollout) = find(&mut tx.conn, no).await? else {
        return Ok(None);
    };
    let open: Option<i64> =
        sqlx::query_scalar("SELECT id FROM rollouts WHERE id = ? AND aborted_by IS NULL")
            .bind(no)
            .fetch_optional(&mut tx.conn)
            .await?;
    if open.is_none() {
        return Ok(Some(rollout));
    }
    sqlx::query("UPDATE rollouts SET aborted_by = ? WHERE id = ?")
        .bind(&by.who)
        .bind(no)
        .execute(&mut tx.conn)
        .await?;
    targets::abort(&mut tx.conn, no, &by.who, now).await?;
    let on = format!("{} {}", rollout.app, rollout.version);
    let entry = Entry::done(now, by, Action::RolloutAbort, on).detail(format_args!("rollout {id}"));
    audit::add(&mut tx.conn, &entry).await?;
    tx.changed();
    existing(&mut tx.conn, no).await.map(Some)
}
