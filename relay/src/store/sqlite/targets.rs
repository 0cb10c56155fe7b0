//! The targets of rollouts: which devices become one, and how they change.
//!
//! Never decides how a target changes: `domain::rollout::step` does.

use std::collections::{BTreeMap, BTreeSet};

use bundle::{AppName, VersionLabel};
use relay_api::device::AppFacts;
use sqlx::SqliteConnection;

use super::bundles::{self, Stored};
use super::devices::DeviceRow;
use super::row::{digest, from_sql, to_sql, word};
use crate::domain::desired::{self, Meant, Want};
use crate::domain::release::{Candidate, choose};
use crate::domain::rollout::{Cause, Change, Goal, Seen, TargetState, step};
use crate::domain::selector::Selector;
use crate::store::{Result, StoreError};

/// A target that may change.
pub(super) struct Open {
    rollout: i64,
    app: AppName,
    state: TargetState,
    goal: Goal,
}

/// The targets of a device that have not succeeded.
pub(super) async fn open(conn: &mut SqliteConnection, device: i64) -> Result<Vec<Open>> {
    let rows: Vec<(i64, String, String, Vec<u8>, i64)> = sqlx::query_as(
        "SELECT t.rollout, t.app, t.state, b.digest, b.seq
         FROM targets t JOIN bundles b ON b.no = t.bundle
         WHERE t.device = ? AND t.state <> 'succeeded' ORDER BY t.rollout",
    )
    .bind(device)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(rollout, app, state, bundle, seq)| {
            Ok(Open {
                rollout,
                app: word(&app)?,
                state: state_of(&state)?,
                goal: Goal {
                    bundle: digest(&bundle)?,
                    seq: from_sql(seq),
                },
            })
        })
        .collect()
}

fn state_of(word: &str) -> Result<TargetState> {
    TargetState::parse(word).ok_or(StoreError::Corrupt("a target has an unknown state"))
}

/// Moves the targets of a device by what is seen of their app. Whether any moved.
pub(super) async fn advance<'a>(
    conn: &mut SqliteConnection,
    device: i64,
    open: &[Open],
    seen: impl Fn(&AppName) -> Option<Seen<'a>>,
    now: u64,
) -> Result<bool> {
    let mut moved = BTreeSet::new();
    for target in open {
        let Some(seen) = seen(&target.app) else {
            continue;
        };
        let Some(change) = step(target.state, target.goal, seen) else {
            continue;
        };
        let (state, cause) = match change {
            Change::Succeed => (TargetState::Succeeded, None),
            Change::Fail(cause) => (TargetState::Failed, Some(cause.to_string())),
        };
        sqlx::query(
            "UPDATE targets SET state = ?, cause = ?, at = ? WHERE rollout = ? AND device = ?",
        )
        .bind(state.as_str())
        .bind(cause)
        .bind(to_sql(now))
        .bind(target.rollout)
        .bind(device)
        .execute(&mut *conn)
        .await?;
        moved.insert(target.rollout);
    }
    for rollout in &moved {
        settle(conn, *rollout, now).await?;
    }
    Ok(!moved.is_empty())
}

/// Notes when a rollout ended, or that it has not.
pub(super) async fn settle(conn: &mut SqliteConnection, rollout: i64, now: u64) -> Result<()> {
    sqlx::query(
        "UPDATE rollouts SET ended_at = CASE
             WHEN EXISTS (SELECT 1 FROM targets t
                          WHERE t.rollout = rollouts.id AND t.state = 'pending') THEN NULL
             ELSE COALESCE(ended_at, ?) END
         WHERE id = ?",
    )
    .bind(to_sql(now))
    .bind(rollout)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes a device a target, or leaves it one; its older pending targets of the app are superseded.
/// What the device said decides whether it has succeeded already.
pub(super) async fn add(
    conn: &mut SqliteConnection,
    rollout: i64,
    device: &DeviceRow,
    stored: &Stored,
    now: u64,
) -> Result<()> {
    let bundle = &stored.bundle;
    let goal = Goal {
        bundle: bundle.digest,
        seq: bundle.seq,
    };
    let seen = device.app(&bundle.app).map(Seen::CheckedIn);
    let state = match seen.and_then(|seen| step(TargetState::Pending, goal, seen)) {
        Some(Change::Succeed) => TargetState::Succeeded,
        _ => TargetState::Pending,
    };
    let older: Vec<Open> = open(conn, device.no)
        .await?
        .into_iter()
        .filter(|target| target.rollout < rollout)
        .collect();
    let by = Seen::Superseded(from_sql(rollout));
    let superseded = |app: &AppName| (*app == bundle.app).then_some(by);
    advance(conn, device.no, &older, superseded, now).await?;
    sqlx::query(
        "INSERT INTO targets (rollout, device, app, bundle, state, at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (rollout, device) DO NOTHING",
    )
    .bind(rollout)
    .bind(device.no)
    .bind(bundle.app.as_str())
    .bind(stored.no)
    .bind(state.as_str())
    .bind(to_sql(now))
    .execute(conn)
    .await?;
    Ok(())
}

/// A rollout that devices can still join.
pub(super) struct Joinable {
    id: i64,
    app: AppName,
    to: Selector,
    release: Vec<Stored>,
}

/// Rollouts that nobody has aborted, newest first; of this release, or all.
pub(super) async fn joinable(
    conn: &mut SqliteConnection,
    of: Option<(&AppName, &VersionLabel)>,
) -> Result<Vec<Joinable>> {
    let rows: Vec<(i64, String, String, String)> = sqlx::query_as(
        "SELECT id, app, version, selector FROM rollouts WHERE aborted_by IS NULL
         ORDER BY id DESC",
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut releases: BTreeMap<(AppName, VersionLabel), Vec<Stored>> = BTreeMap::new();
    let mut found = Vec::new();
    for (id, app, version, to) in rows {
        let key: (AppName, VersionLabel) = (word(&app)?, word(&version)?);
        if of.is_some_and(|(app, version)| (app, version) != (&key.0, &key.1)) {
            continue;
        }
        if !releases.contains_key(&key) {
            let release = bundles::release(conn, &key.0, &key.1).await?;
            releases.insert(key.clone(), release);
        }
        found.push(Joinable {
            id,
            to: word(&to)?,
            release: releases.get(&key).cloned().unwrap_or_default(),
            app: key.0,
        });
    }
    Ok(found)
}

/// Makes a device a target of the newest rollout of each app that means it and has a bundle that
/// fits, unless a newer one has it already. Whether it became one.
pub(super) async fn join(
    conn: &mut SqliteConnection,
    device: &DeviceRow,
    joinable: &[Joinable],
    now: u64,
) -> Result<bool> {
    let newest: Vec<(String, i64)> =
        sqlx::query_as("SELECT app, MAX(rollout) FROM targets WHERE device = ? GROUP BY app")
            .bind(device.no)
            .fetch_all(&mut *conn)
            .await?;
    let mut settled: BTreeSet<&AppName> = BTreeSet::new();
    let mut joined = false;
    let labels = device.effective_labels();
    for rollout in joinable {
        let has_newer = || {
            let of_app =
                |(app, id): &&(String, i64)| *app == rollout.app.as_str() && *id >= rollout.id;
            newest.iter().any(|row| of_app(&row))
        };
        if settled.contains(&rollout.app) {
            continue;
        }
        if has_newer() {
            settled.insert(&rollout.app);
            continue;
        }
        if !rollout.to.matches(&device.id, &labels) {
            continue;
        }
        let Ok(stored) = pick(&rollout.release, device, &rollout.app, now) else {
            continue;
        };
        add(conn, rollout.id, device, stored, now).await?;
        settle(conn, rollout.id, now).await?;
        settled.insert(&rollout.app);
        joined = true;
    }
    Ok(joined)
}

/// The bundle of a release that the device gets.
pub(super) fn pick<'a>(
    release: &'a [Stored],
    device: &DeviceRow,
    app: &AppName,
    now: u64,
) -> std::result::Result<&'a Stored, Option<crate::domain::release::Misfit>> {
    let candidate = Candidate {
        id: &device.id,
        facts: &device.facts,
        committed_seq: desired::committed_seq(&device.apps, app),
    };
    choose(
        release.iter().map(|stored| (stored, &stored.bundle)),
        candidate,
        now,
    )
}

/// What is meant for a device.
pub(super) async fn meant(
    conn: &mut SqliteConnection,
    device: i64,
    apps: &[AppFacts],
) -> Result<Meant> {
    type Row = (String, i64, String, Vec<u8>, i64, Vec<u8>, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT t.app, t.rollout, t.state, b.digest, b.seq, b.file, b.bytes
         FROM targets t JOIN bundles b ON b.no = t.bundle
         WHERE t.device = ? AND t.state <> 'failed' AND t.rollout = (
             SELECT MAX(n.rollout) FROM targets n
             WHERE n.device = t.device AND n.app = t.app AND n.state <> 'failed')",
    )
    .bind(device)
    .fetch_all(&mut *conn)
    .await?;
    let wants = rows
        .into_iter()
        .map(|(app, rollout, state, bundle, seq, file, bytes)| {
            Ok(Want {
                app: word(&app)?,
                rollout: from_sql(rollout),
                state: state_of(&state)?,
                bundle: digest(&bundle)?,
                seq: from_sql(seq),
                file: digest(&file)?,
                file_bytes: from_sql(bytes),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Meant {
        wants: desired::choose(wants, apps),
        variables: super::devices::variables(conn, device).await?,
    })
}

/// Ends every pending target of a rollout, because an operator aborted it.
pub(super) async fn abort(
    conn: &mut SqliteConnection,
    rollout: i64,
    who: &str,
    now: u64,
) -> Result<()> {
    sqlx::query(
        "UPDATE targets SET state = 'failed', cause = ?, at = ?
         WHERE rollout = ? AND state = 'pending'",
    )
    .bind(Cause::Aborted(who.to_string()).to_string())
    .bind(to_sql(now))
    .bind(rollout)
    .execute(&mut *conn)
    .await?;
    settle(conn, rollout, now).await
}
