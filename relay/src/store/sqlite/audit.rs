//! The audit log.

use relay_api::operator::AuditEntry;
use sqlx::SqliteConnection;

use super::row::{from_sql, to_sql};
use crate::domain::audit::Entry;
use crate::domain::limits::AUDIT_PAGE_MAX;
use crate::store::Result;
use crate::store::view::time;

/// Adds an entry; gives its number.
pub(super) async fn add(conn: &mut SqliteConnection, entry: &Entry) -> Result<u64> {
    let done = sqlx::query(
        "INSERT INTO audit (at, who, action, subject, detail, result, peer)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(to_sql(entry.at))
    .bind(&entry.by.who)
    .bind(entry.action.as_str())
    .bind(&entry.on)
    .bind(&entry.detail)
    .bind(entry.outcome.as_str())
    .bind(&entry.by.from)
    .execute(conn)
    .await?;
    Ok(from_sql(done.last_insert_rowid()))
}

type Row = (i64, i64, String, String, String, String, String, String);

/// See `Store::audit_page`.
pub(super) async fn page(
    conn: &mut SqliteConnection,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<AuditEntry>> {
    let before = before.map_or(i64::MAX, |id| id.min(i64::MAX as u64) as i64);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, at, who, action, subject, detail, result, peer
         FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
    )
    .bind(before)
    .bind(limit.min(AUDIT_PAGE_MAX))
    .fetch_all(conn)
    .await?;
    let entry = |(id, at, who, action, on, detail, result, from): Row| AuditEntry {
        id: from_sql(id),
        at: time(from_sql(at)),
        who,
        action,
        on,
        detail,
        result,
        from,
    };
    Ok(rows.into_iter().map(entry).collect())
}
