//! Check-ins and reports: what devices say.

use std::sync::Arc;

use bundle::{DeviceId, Digest};
use relay_api::device::{AppFacts, DeviceFacts, Event, Report, ReportKey, encode};
use sqlx::SqliteConnection;

use super::cache::{CacheChange, Cached};
use super::row::to_sql;
use super::writer::Tx;
use super::{devices, targets};
use crate::domain::desired::Meant;
use crate::domain::limits::{REPORT_BYTES_PER_DEVICE_MAX, REPORTS_PER_DEVICE_MAX};
use crate::domain::rollout::Seen;
use crate::store::{ReportOutcome, Result};

/// What stands for all that a device says of itself.
pub(super) fn said(facts: &DeviceFacts, apps: &[AppFacts]) -> Digest {
    Digest::of(&encode(&(facts, apps)))
}

/// Takes in what a device says, and gives its row and what is meant for it.
pub(super) async fn check_in(
    tx: &mut Tx,
    id: &DeviceId,
    facts: DeviceFacts,
    apps: Vec<AppFacts>,
    said: Digest,
    now: u64,
) -> Result<Option<Cached>> {
    let Some(mut device) = devices::find(&mut tx.conn, id).await? else {
        return Ok(None);
    };
    if device.said != said {
        let joins = device.facts != facts;
        (device.facts, device.apps) = (facts, apps);
        update(&mut tx.conn, device.no, &device, said, now).await?;
        let open = targets::open(&mut tx.conn, device.no).await?;
        let checked_in = |app: &_| device.app(app).map(Seen::CheckedIn);
        targets::advance(&mut tx.conn, device.no, &open, checked_in, now).await?;
        if joins {
            devices::join(tx, &device, now).await?;
        }
    }
    let meant = targets::meant(&mut tx.conn, device.no, &device.apps).await?;
    let cached = Cached {
        no: device.no,
        public_key: device.public_key,
        said,
        meant: Arc::new(meant),
    };
    tx.cache(CacheChange::Put(id.clone(), cached.clone()));
    Ok(Some(cached))
}

async fn update(
    conn: &mut SqliteConnection,
    no: i64,
    device: &devices::DeviceRow,
    said: Digest,
    now: u64,
) -> Result<()> {
    sqlx::query("UPDATE devices SET facts = ?, apps = ?, said = ?, last_seen = ? WHERE no = ?")
        .bind(encode(&device.facts))
        .bind(encode(&device.apps))
        .bind(&said.as_bytes()[..])
        .bind(to_sql(now))
        .bind(no)
        .execute(conn)
        .await?;
    Ok(())
}

/// See `Store::meant`.
pub(super) async fn meant(
    conn: &mut SqliteConnection,
    id: &DeviceId,
) -> Result<Option<Arc<Meant>>> {
    let Some(device) = devices::find(conn, id).await? else {
        return Ok(None);
    };
    let meant = targets::meant(conn, device.no, &device.apps).await?;
    Ok(Some(Arc::new(meant)))
}

/// See `Store::put_report`.
pub(super) async fn put_report(
    tx: &mut Tx,
    id: &DeviceId,
    key: ReportKey,
    report: &Report,
    body: &[u8],
    now: u64,
) -> Result<ReportOutcome> {
    let Some(device) = devices::find(&mut tx.conn, id).await? else {
        return Ok(ReportOutcome::UnknownDevice);
    };
    let hash = Digest::of(body);
    let done = sqlx::query(
        "INSERT INTO reports (device, key, hash, received_at, body) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (device, key) DO NOTHING",
    )
    .bind(device.no)
    .bind(&key.0[..])
    .bind(&hash.as_bytes()[..])
    .bind(to_sql(now))
    .bind(body)
    .execute(&mut tx.conn)
    .await?;
    if done.rows_affected() == 0 {
        let stored: Vec<u8> =
            sqlx::query_scalar("SELECT hash FROM reports WHERE device = ? AND key = ?")
                .bind(device.no)
                .bind(&key.0[..])
                .fetch_one(&mut tx.conn)
                .await?;
        return Ok(match stored == hash.as_bytes() {
            true => ReportOutcome::Same,
            false => ReportOutcome::Differs,
        });
    }
    forget_oldest(&mut tx.conn, device.no).await?;
    if let Event::Updated(updated) = &report.event {
        let open = targets::open(&mut tx.conn, device.no).await?;
        let reported = |app: &_| (*app == report.app).then_some(Seen::Reported(updated));
        if targets::advance(&mut tx.conn, device.no, &open, reported, now).await? {
            tx.cache(CacheChange::Forget(id.clone()));
        }
    }
    Ok(ReportOutcome::Stored)
}

/// Keeps a device's reports within their limits. The newest always stays.
async fn forget_oldest(conn: &mut SqliteConnection, device: i64) -> Result<()> {
    sqlx::query(
        "DELETE FROM reports WHERE no IN (
             SELECT no FROM (
                 SELECT no, ROW_NUMBER() OVER newest AS place,
                        SUM(LENGTH(body)) OVER newest AS bytes
                 FROM reports WHERE device = ?
                 WINDOW newest AS (ORDER BY no DESC)) kept
             WHERE place > ? OR place > 1 AND bytes > ?)",
    )
    .bind(device)
    .bind(REPORTS_PER_DEVICE_MAX)
    .bind(to_sql(REPORT_BYTES_PER_DEVICE_MAX))
    .execute(conn)
    .await?;
    Ok(())
}
