//! The one connection that writes, and group commit: what waits while a transaction is written to
//! the disk goes into the next one together, so that a thousand writes wait for a few syncs.
//!
//! Each job has a savepoint of its own, so that one that fails takes nothing of the others with it,
//! and hears its result only when the transaction is durable. A crash before that leaves nothing of
//! the transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::cache::{Cache, CacheChange};
use crate::store::{Result, StoreError};

/// Most jobs that wait; more wait before the queue.
const QUEUE_MAX: usize = 4096;
/// Most jobs in one transaction: the first does not wait for ever.
const BATCH_MAX: usize = 512;
/// How long it is put off to write that a device was seen. A power cut loses this much of it.
const SEEN_EVERY: Duration = Duration::from_secs(5);

/// A transaction, as a job sees it.
pub(super) struct Tx {
    /// The connection.
    pub(super) conn: SqliteConnection,
    changed: bool,
    cache: Vec<CacheChange>,
}

impl Tx {
    /// What devices shall run has changed: those that wait are woken when it is durable.
    pub(super) const fn changed(&mut self) {
        self.changed = true;
    }

    /// The cache is to learn this when it is durable.
    pub(super) fn cache(&mut self, change: CacheChange) {
        self.cache.push(change);
    }
}

/// Says whether the transaction is durable.
type Tell = Box<dyn FnOnce(Result<()>) + Send>;
/// Does its work and says why it did not go well, or hears why there is no transaction.
type Job = Box<dyn for<'t> FnOnce(Result<&'t mut Tx>) -> BoxFuture<'t, Ran> + Send>;

/// A job that was carried out in a transaction that is not durable yet.
struct Ran {
    failed: Option<StoreError>,
    tell: Tell,
}

/// The way to the writing connection.
pub(super) struct Writer {
    jobs: std::sync::Mutex<Option<mpsc::Sender<Job>>>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts writing on this connection; `changes` is told of each new revision.
    pub(super) fn start(
        conn: SqliteConnection,
        cache: Arc<Cache>,
        changes: watch::Sender<u64>,
    ) -> Self {
        let (send, receive) = mpsc::channel(QUEUE_MAX);
        let tx = Tx {
            conn,
            changed: false,
            cache: Vec::new(),
        };
        let work = Work {
            tx,
            cache,
            changes,
            seen_written: Some(Instant::now()),
        };
        Self {
            jobs: std::sync::Mutex::new(Some(send)),
            task: tokio::sync::Mutex::new(Some(tokio::spawn(work.run(receive)))),
        }
    }

    /// Does the work in a transaction; comes back when that is durable. Stopping to wait does not
    /// stop the work.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (send, receive) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            Box::pin(async move {
                let result = match tx {
                    Ok(tx) => work(tx).await,
                    Err(error) => Err(error),
                };
                let failed = result.as_ref().err().cloned();
                let tell: Tell = Box::new(move |durable| {
                    // Whoever asked may have stopped to wait.
                    let _ = send.send(durable.and(result));
                });
                Ran { failed, tell }
            })
        });
        let jobs = self.jobs.lock().map_err(|_| StoreError::Closed)?.clone();
        let jobs = jobs.ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        receive.await.map_err(|_| StoreError::Closed)?
    }

    /// Takes no more jobs, and comes back when those that wait are done.
    pub(super) async fn close(&self) {
        if let Ok(mut jobs) = self.jobs.lock() {
            jobs.take();
        }
        if let Some(task) = self.task.lock().await.take() {
            // A task that panicked has nothing more to write.
            let _ = task.await;
        }
    }
}

/// The task behind [`Writer`].
struct Work {
    tx: Tx,
    cache: Arc<Cache>,
    changes: watch::Sender<u64>,
    /// When it was last written when devices were seen; none: now is the time.
    seen_written: Option<Instant>,
}

impl Work {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            match timeout(SEEN_EVERY, jobs.recv()).await {
                Ok(Some(first)) => self.batch(Some(first), &mut jobs).await,
                Ok(None) => break,
                Err(_) if self.cache.has_seen() => self.batch(None, &mut jobs).await,
                Err(_) => {}
            }
        }
        self.seen_written = None;
        if self.cache.has_seen() {
            self.batch(None, &mut jobs).await;
        }
        if let Err(error) = self.tx.conn.close().await {
            tracing::warn!(%error, "closing the database");
        }
    }

    async fn batch(&mut self, first: Option<Job>, jobs: &mut mpsc::Receiver<Job>) {
        let mut tells: Vec<Tell> = Vec::new();
        let mut broken = execute(&mut self.tx, "BEGIN IMMEDIATE").await.err();
        let mut next = first.or_else(|| jobs.try_recv().ok());
        while let Some(job) = next {
            let ran = match &broken {
                Some(error) => job(Err(error.clone())).await,
                None => self.job(job, &mut broken).await,
            };
            tells.push(ran.tell);
            next = match tells.len() {
                BATCH_MAX => None,
                _ => jobs.try_recv().ok(),
            };
        }
        let seen = self.cache.take_seen(
            self.seen_written
                .is_none_or(|at| at.elapsed() >= SEEN_EVERY),
        );
        let written = match broken {
            Some(error) => Err(error),
            None => self.commit(&seen).await,
        };
        match &written {
            Ok(revision) => {
                self.cache.apply(self.tx.cache.drain(..));
                if let Some(revision) = revision {
                    self.cache.set_revision(*revision);
                    self.changes.send_replace(*revision);
                }
                if !seen.is_empty() {
                    self.seen_written = Some(Instant::now());
                }
            }
            Err(error) => {
                tracing::error!(%error, jobs = tells.len(), "a transaction was not written");
                // There may be none any more: SQLite ends it itself after some errors.
                let _ = execute(&mut self.tx, "ROLLBACK").await;
                self.tx.cache.clear();
                self.cache.give_back(seen);
            }
        }
        self.tx.changed = false;
        let durable = written.map(|_| ());
        for tell in tells {
            tell(durable.clone());
        }
    }

    /// One job in its savepoint. `broken` is set if the transaction cannot go on.
    async fn job(&mut self, job: Job, broken: &mut Option<StoreError>) -> Ran {
        if let Err(error) = execute(&mut self.tx, "SAVEPOINT job").await {
            *broken = Some(error.clone());
            return job(Err(error)).await;
        }
        let (changed, cached) = (self.tx.changed, self.tx.cache.len());
        let ran = job(Ok(&mut self.tx)).await;
        let mut end = Ok(());
        if let Some(cause) = &ran.failed {
            self.tx.changed = changed;
            self.tx.cache.truncate(cached);
            // After some errors, such as a full disk, SQLite ends the whole transaction itself: then
            // the cause of that is the cause for all.
            let back = execute(&mut self.tx, "ROLLBACK TO job").await;
            end = back.map_err(|_| cause.clone());
        }
        if end.is_ok() {
            end = execute(&mut self.tx, "RELEASE job").await;
        }
        *broken = end.err();
        ran
    }

    /// Writes what was put off, and the transaction. Gives the new revision, if there is one.
    async fn commit(&mut self, seen: &[(i64, u64)]) -> Result<Option<u64>> {
        for (device, at) in seen {
            sqlx::query("UPDATE devices SET last_seen = ? WHERE no = ?")
                .bind(*at as i64)
                .bind(device)
                .execute(&mut self.tx.conn)
                .await?;
        }
        let mut revision = None;
        if self.tx.changed {
            let new: i64 = sqlx::query_scalar(
                "UPDATE revision SET revision = revision + 1 RETURNING revision",
            )
            .fetch_one(&mut self.tx.conn)
            .await?;
            revision = Some(new as u64);
        }
        execute(&mut self.tx, "COMMIT").await?;
        Ok(revision)
    }
}

async fn execute(tx: &mut Tx, sql: &'static str) -> Result<()> {
    sqlx::query(sql).execute(&mut tx.conn).await?;
    Ok(())
}
