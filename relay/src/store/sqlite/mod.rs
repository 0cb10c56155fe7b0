//! The store on SQLite: one file in write-ahead mode, one process that serves it.
//!
//! One connection writes, in groups (`writer`), with a sync for each transaction, as what was
//! acknowledged must survive a power cut; a few others read. A check-in that says nothing new is
//! answered from memory (`cache`).
//!
//! Never lets a caller's end stop a write half-way, and never holds a lock while it waits for a
//! caller.

mod audit;
mod bundles;
mod cache;
mod check_in;
mod devices;
mod enroll;
mod migrate;
mod rollouts;
mod row;
mod targets;
#[cfg(test)]
mod tests;
mod tokens;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bundle::{AppName, DeviceId, Digest, Label};
use relay_api::device::{AppFacts, DeviceFacts, Report, ReportKey};
use relay_api::operator;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Sqlite};
use tokio::sync::watch;

use self::cache::Cache;
use self::writer::Writer;
use super::{
    CheckedIn, EnrollOutcome, Enrolment, LabelOutcome, NewEnrollToken, NewRollout, NewToken,
    OperatorToken, PublishOutcome, ReportOutcome, Result, RolloutOutcome, Store, VariableOutcome,
};
use crate::domain::audit::{By, Entry};
use crate::domain::desired::Meant;
use crate::domain::labels::Labels;
use crate::domain::release::Bundle;
use crate::domain::selector::Selector;
use crate::domain::token::SecretHash;
use crate::domain::variables;

/// Connections that read: operators' views are few, and devices mostly ask the cache.
const READERS: u32 = 4;
/// How long to wait for a process that holds the database, such as a backup.
const BUSY: Duration = Duration::from_secs(5);

/// The store on SQLite.
pub(crate) struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    cache: Arc<Cache>,
    changes: watch::Receiver<u64>,
}

impl SqliteStore {
    /// Opens the database in this file, makes it where there is none, and brings it up to date.
    ///
    /// # Errors
    /// [`super::StoreError`]; a database of a newer relay is `Migration`, and stays as it is.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .disable_statement_logging();
        let mut conn = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .connect()
            .await?;
        migrate::migrate(&mut conn).await?;
        let revision: i64 = sqlx::query_scalar("SELECT revision FROM revision")
            .fetch_one(&mut conn)
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options.pragma("query_only", "1"));
        let cache = Arc::new(Cache::new(row::from_sql(revision)));
        let (send, changes) = watch::channel(row::from_sql(revision));
        Ok(Self {
            writer: Writer::start(conn, cache.clone(), send),
            readers,
            cache,
            changes,
        })
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>> {
        Ok(self.readers.acquire().await?)
    }
}

/// Does `$work` on the writing connection, with these taken along: what a job holds must be its own.
macro_rules! job {
    ($self:ident, [$($name:ident = $value:expr),*], $tx:ident => $work:expr) => {{
        $(let $name = $value;)*
        $self.writer.run(move |$tx| Box::pin(async move { $work.await })).await
    }};
}

#[async_trait]
impl Store for SqliteStore {
    async fn ready(&self) -> Result<()> {
        let mut conn = self.reader().await?;
        sqlx::query("SELECT revision FROM revision")
            .fetch_one(&mut *conn)
            .await?;
        Ok(())
    }

    async fn secret(&self, name: &str, random: [u8; 32]) -> Result<[u8; 32]> {
        job!(self, [name = name.to_string()], tx => secret(tx, &name, random))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    async fn audit(&self, entry: Entry) -> Result<u64> {
        job!(self, [], tx => audit::add(&mut tx.conn, &entry))
    }

    async fn audit_page(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<operator::AuditEntry>> {
        audit::page(&mut *self.reader().await?, before, limit).await
    }

    async fn add_first_token(&self, token: NewToken, by: &By, now: u64) -> Result<bool> {
        job!(self, [by = by.clone()], tx => tokens::add_first(tx, token, &by, now))
    }

    async fn add_token(&self, token: NewToken, by: &By, now: u64) -> Result<operator::Token> {
        job!(self, [by = by.clone()], tx => tokens::add(tx, token, &by, now))
    }

    async fn tokens(&self, now: u64) -> Result<Vec<operator::Token>> {
        tokens::all(&mut *self.reader().await?, now).await
    }

    async fn revoke_token(&self, id: u64, by: &By, now: u64) -> Result<bool> {
        job!(self, [by = by.clone()], tx => tokens::revoke(tx, id, &by, now))
    }

    async fn operator_token(&self, hash: &SecretHash, now: u64) -> Result<Option<OperatorToken>> {
        tokens::find(&mut *self.reader().await?, hash, now).await
    }

    async fn add_enroll_token(
        &self,
        token: NewEnrollToken,
        by: &By,
        now: u64,
    ) -> Result<operator::EnrollToken> {
        job!(self, [by = by.clone()], tx => tokens::add_enroll(tx, token, &by, now))
    }

    async fn enroll_tokens(&self, now: u64) -> Result<Vec<operator::EnrollToken>> {
        tokens::all_enroll(&mut *self.reader().await?, now).await
    }

    async fn revoke_enroll_token(&self, id: u64, by: &By, now: u64) -> Result<bool> {
        job!(self, [by = by.clone()], tx => tokens::revoke_enroll(tx, id, &by, now))
    }

    async fn enroll(&self, enrolment: Enrolment, from: &str, now: u64) -> Result<EnrollOutcome> {
        job!(self, [from = from.to_string()], tx => enroll::enroll(tx, &enrolment, &from, now))
    }

    async fn device_key(&self, id: &DeviceId) -> Result<Option<[u8; 32]>> {
        if let Some(key) = self.cache.public_key(id) {
            return Ok(Some(key));
        }
        let device = devices::find(&mut *self.reader().await?, id).await?;
        Ok(device.map(|device| device.public_key))
    }

    async fn check_in(
        &self,
        id: &DeviceId,
        facts: &DeviceFacts,
        apps: &[AppFacts],
        now: u64,
    ) -> Result<Option<CheckedIn>> {
        let said = check_in::said(facts, apps);
        let known = self.cache.current(id).filter(|known| known.said == said);
        let known = match known {
            Some(known) => Some(known),
            None => job!(
                self,
                [id = id.clone(), facts = facts.clone(), apps = apps.to_vec()],
                tx => check_in::check_in(tx, &id, facts, apps, said, now)
            )?,
        };
        Ok(known.map(|known| {
            self.cache.see(known.no, now);
            CheckedIn { meant: known.meant }
        }))
    }

    async fn meant(&self, id: &DeviceId) -> Result<Option<Arc<Meant>>> {
        if let Some(known) = self.cache.current(id) {
            return Ok(Some(known.meant));
        }
        check_in::meant(&mut *self.reader().await?, id).await
    }

    async fn put_report(
        &self,
        id: &DeviceId,
        key: ReportKey,
        report: &Report,
        body: &[u8],
        now: u64,
    ) -> Result<ReportOutcome> {
        job!(
            self,
            [id = id.clone(), report = report.clone(), body = body.to_vec()],
            tx => check_in::put_report(tx, &id, key, &report, &body, now)
        )
    }

    async fn has_file(&self, file: &Digest) -> Result<bool> {
        bundles::has_file(&mut *self.reader().await?, file).await
    }

    async fn devices(&self, selector: Option<&Selector>) -> Result<Vec<operator::Device>> {
        devices::list(&mut *self.reader().await?, &self.cache, selector).await
    }

    async fn device(&self, id: &DeviceId) -> Result<Option<operator::DeviceDetail>> {
        devices::detail(&mut *self.reader().await?, &self.cache, id).await
    }

    async fn label_device(
        &self,
        id: &DeviceId,
        set: Labels,
        remove: Vec<Label>,
        by: &By,
        now: u64,
    ) -> Result<LabelOutcome> {
        job!(
            self,
            [id = id.clone(), by = by.clone(), cache = self.cache.clone()],
            tx => devices::label(tx, &cache, &id, set, remove, &by, now)
        )
    }

    async fn set_variables(
        &self,
        id: &DeviceId,
        change: variables::Change,
        by: &By,
        now: u64,
    ) -> Result<VariableOutcome> {
        job!(
            self,
            [id = id.clone(), by = by.clone(), cache = self.cache.clone()],
            tx => devices::set(tx, &cache, &id, change, &by, now)
        )
    }

    async fn remove_device(&self, id: &DeviceId, by: &By, now: u64) -> Result<bool> {
        job!(
            self,
            [id = id.clone(), by = by.clone()],
            tx => devices::remove(tx, &id, &by, now)
        )
    }

    async fn publish(&self, bundle: Bundle, by: &By, now: u64) -> Result<PublishOutcome> {
        job!(self, [by = by.clone()], tx => bundles::publish(tx, bundle, &by, now))
    }

    async fn publish_check(&self, bundle: &Bundle) -> Result<PublishOutcome> {
        bundles::check(&mut *self.reader().await?, bundle, "", 0).await
    }

    async fn releases(&self, app: Option<&AppName>) -> Result<Vec<operator::Release>> {
        bundles::releases(&mut *self.reader().await?, app).await
    }

    async fn start_rollout(
        &self,
        rollout: NewRollout,
        by: &By,
        now: u64,
    ) -> Result<RolloutOutcome> {
        job!(self, [by = by.clone()], tx => rollouts::start(tx, &rollout, &by, now))
    }

    async fn rollouts(&self, app: Option<&AppName>) -> Result<Vec<operator::Rollout>> {
        rollouts::list(&mut *self.reader().await?, app).await
    }

    async fn rollout(&self, id: u64) -> Result<Option<operator::RolloutDetail>> {
        rollouts::detail(&mut *self.reader().await?, id).await
    }

    async fn abort_rollout(&self, id: u64, by: &By, now: u64) -> Result<Option<operator::Rollout>> {
        job!(self, [by = by.clone()], tx => rollouts::abort(tx, id, &by, now))
    }
}

/// See `Store::secret`.
async fn secret(tx: &mut writer::Tx, name: &str, random: [u8; 32]) -> Result<[u8; 32]> {
    sqlx::query("INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(&random[..])
        .execute(&mut tx.conn)
        .await?;
    let value: Vec<u8> = sqlx::query_scalar("SELECT value FROM secrets WHERE name = ?")
        .bind(name)
        .fetch_one(&mut tx.conn)
        .await?;
    row::bytes32(&value)
}
