//! Devices: their rows, what operators see of them and change about them.

use std::collections::{BTreeMap, BTreeSet};

use bundle::{AppName, DeviceId, Label};
use relay_api::device::{AppFacts, DeviceFacts, Report};
use relay_api::operator;
use sqlx::SqliteConnection;

use super::cache::{Cache, CacheChange};
use super::row::{bytes32, digest, from_sql, labels_of, labels_text, message, to_sql, word};
use super::writer::Tx;
use super::{audit, bundles, targets};
use crate::domain::audit::{Action, By, Entry};
use crate::domain::labels::{self, Labels};
use crate::domain::limits::{EVENTS_SHOWN_MAX, LABELS_MAX};
use crate::domain::rollout::Seen;
use crate::domain::selector::Selector;
use crate::domain::variables::{Change, Variables};
use crate::store::{LabelOutcome, Result, VariableOutcome, view};

/// A device that was not removed.
pub(super) struct DeviceRow {
    pub(super) no: i64,
    pub(super) id: DeviceId,
    pub(super) public_key: [u8; 32],
    pub(super) token_labels: Labels,
    pub(super) labels: Labels,
    pub(super) facts: DeviceFacts,
    pub(super) apps: Vec<AppFacts>,
    pub(super) said: bundle::Digest,
    enrolled_at: u64,
    last_seen: Option<u64>,
}

impl DeviceRow {
    /// The labels that count.
    pub(super) fn effective_labels(&self) -> Labels {
        labels::effective(&self.facts.labels, &self.token_labels, &self.labels)
    }

    /// What it said about an app.
    pub(super) fn app(&self, name: &AppName) -> Option<&AppFacts> {
        self.apps.iter().find(|facts| facts.app == *name)
    }
}

type Row = (
    i64,
    String,
    Vec<u8>,
    String,
    String,
    Vec<u8>,
    Vec<u8>,
    Vec<u8>,
    i64,
    Option<i64>,
);

/// The columns of [`Row`], of devices that were not removed.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT no, id, public_key, token_labels, labels, facts, apps, said, enrolled_at,
                    last_seen FROM devices WHERE removed_at IS NULL ",
            $rest
        )
    };
}

fn device(row: Row) -> Result<DeviceRow> {
    let (no, id, public_key, token_labels, labels, facts, apps, said, enrolled_at, last_seen) = row;
    Ok(DeviceRow {
        no,
        id: word(&id)?,
        public_key: bytes32(&public_key)?,
        token_labels: labels_of(&token_labels)?,
        labels: labels_of(&labels)?,
        facts: message(&facts)?,
        apps: message(&apps)?,
        said: digest(&said)?,
        enrolled_at: from_sql(enrolled_at),
        last_seen: last_seen.map(from_sql),
    })
}

/// The device with this id.
pub(super) async fn find(conn: &mut SqliteConnection, id: &DeviceId) -> Result<Option<DeviceRow>> {
    let row: Option<Row> = sqlx::query_as(select!("AND id = ?"))
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(device).transpose()
}

/// All of them, by id.
pub(super) async fn all(conn: &mut SqliteConnection) -> Result<Vec<DeviceRow>> {
    let rows: Vec<Row> = sqlx::query_as(select!("ORDER BY id"))
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(device).collect()
}

/// The values that the relay gives a device.
pub(super) async fn variables(conn: &mut SqliteConnection, device: i64) -> Result<Variables> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT app, name, value FROM variables WHERE device = ?")
            .bind(device)
            .fetch_all(conn)
            .await?;
    let mut values = Variables::new();
    for (app, name, value) in rows {
        let of_app = values.entry(word(&app)?).or_default();
        of_app.insert(word(&name)?, value);
    }
    Ok(values)
}

/// What the newest rollout of each app wants on each device, by row and app.
async fn wanted(
    conn: &mut SqliteConnection,
    device: Option<i64>,
) -> Result<BTreeMap<i64, BTreeMap<String, operator::Wanted>>> {
    type Row = (i64, String, String, i64, i64, String, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT t.device, t.app, b.version, b.seq, t.rollout, t.state, t.cause
         FROM targets t
         JOIN (SELECT device, app, MAX(rollout) AS rollout FROM targets
               WHERE ?1 IS NULL OR device = ?1 GROUP BY device, app) n
             ON n.device = t.device AND n.rollout = t.rollout
         JOIN bundles b ON b.no = t.bundle",
    )
    .bind(device)
    .fetch_all(conn)
    .await?;
    let mut wanted: BTreeMap<i64, BTreeMap<String, operator::Wanted>> = BTreeMap::new();
    for (device, app, version, seq, rollout, state, cause) in rows {
        let want = operator::Wanted {
            version,
            seq: from_sql(seq),
            rollout: from_sql(rollout),
            state,
            cause,
        };
        wanted.entry(device).or_default().insert(app, want);
    }
    Ok(wanted)
}

fn shown(
    device: DeviceRow,
    cache: &Cache,
    mut wanted: BTreeMap<String, operator::Wanted>,
) -> operator::Device {
    let said = device.apps.iter().map(|facts| facts.app.to_string());
    let names: BTreeSet<String> = said.chain(wanted.keys().cloned()).collect();
    let apps = names.into_iter().map(|name| {
        let facts = device.apps.iter().find(|facts| facts.app.as_str() == name);
        let wanted = wanted.remove(&name);
        view::app(name, facts, wanted)
    });
    let agent = device.facts.agent;
    operator::Device {
        apps: apps.collect(),
        id: device.id.to_string(),
        labels: labels::texts(&device.effective_labels()),
        last_seen: device.last_seen.max(cache.seen(device.no)).map(view::time),
        enrolled_at: view::time(device.enrolled_at),
        arch: device.facts.arch.to_string(),
        fleet: device.facts.fleet.to_string(),
        class: device.facts.class.as_ref().map(Label::to_string),
        agent: format!("{}.{}.{}", agent.0, agent.1, agent.2),
        time_zone: device.facts.time_zone.clone(),
    }
}

/// See `Store::devices`.
pub(super) async fn list(
    conn: &mut SqliteConnection,
    cache: &Cache,
    selector: Option<&Selector>,
) -> Result<Vec<operator::Device>> {
    let mut wanted = wanted(conn, None).await?;
    let means = |device: &DeviceRow| {
        selector.is_none_or(|s| s.matches(&device.id, &device.effective_labels()))
    };
    let devices = all(conn).await?.into_iter().filter(means);
    Ok(devices
        .map(|device| {
            let wanted = wanted.remove(&device.no).unwrap_or_default();
            shown(device, cache, wanted)
        })
        .collect())
}

/// A device as operators see it in lists.
async fn show(
    conn: &mut SqliteConnection,
    cache: &Cache,
    device: DeviceRow,
) -> Result<operator::Device> {
    let mut wanted = wanted(conn, Some(device.no)).await?;
    let wanted = wanted.remove(&device.no).unwrap_or_default();
    Ok(shown(device, cache, wanted))
}

/// See `Store::device`.
pub(super) async fn detail(
    conn: &mut SqliteConnection,
    cache: &Cache,
    id: &DeviceId,
) -> Result<Option<operator::DeviceDetail>> {
    let Some(device) = find(conn, id).await? else {
        return Ok(None);
    };
    let values = variables(conn, device.no).await?;
    let mut secret = BTreeSet::new();
    for app in values.keys() {
        secret.extend(bundles::secrets(conn, app).await?);
    }
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT received_at, body FROM reports WHERE device = ? ORDER BY no DESC LIMIT ?",
    )
    .bind(device.no)
    .bind(EVENTS_SHOWN_MAX)
    .fetch_all(&mut *conn)
    .await?;
    let events = rows
        .into_iter()
        .map(|(at, body)| Ok(view::event(&message::<Report>(&body)?, from_sql(at))))
        .collect::<Result<_>>()?;
    Ok(Some(operator::DeviceDetail {
        device: show(conn, cache, device).await?,
        variables: view::variables(&values, &secret),
        events,
    }))
}

/// See `Store::label_device`.
pub(super) async fn label(
    tx: &mut Tx,
    cache: &Cache,
    id: &DeviceId,
    set: Labels,
    remove: Vec<Label>,
    by: &By,
    now: u64,
) -> Result<LabelOutcome> {
    let Some(mut device) = find(&mut tx.conn, id).await? else {
        return Ok(LabelOutcome::UnknownDevice);
    };
    for name in &remove {
        device.labels.remove(name);
        device.token_labels.remove(name);
    }
    device.labels.extend(set.clone());
    if device.labels.len() > LABELS_MAX {
        return Ok(LabelOutcome::TooMany);
    }
    sqlx::query("UPDATE devices SET labels = ?, token_labels = ? WHERE no = ?")
        .bind(labels_text(&device.labels))
        .bind(labels_text(&device.token_labels))
        .bind(device.no)
        .execute(&mut tx.conn)
        .await?;
    let set = set.iter().map(|(name, value)| format!("{name}={value}"));
    let removed = remove.iter().map(|name| format!("{name}-"));
    let change: Vec<String> = set.chain(removed).collect();
    let entry = Entry::done(now, by, Action::DeviceLabel, id).detail(change.join(" "));
    audit::add(&mut tx.conn, &entry).await?;
    join(tx, &device, now).await?;
    let shown = show(&mut tx.conn, cache, device).await?;
    Ok(LabelOutcome::Done(Box::new(shown)))
}

/// Makes the device a target of what means it now.
pub(super) async fn join(tx: &mut Tx, device: &DeviceRow, now: u64) -> Result<()> {
    let joinable = targets::joinable(&mut tx.conn, None).await?;
    if targets::join(&mut tx.conn, device, &joinable, now).await? {
        tx.cache(CacheChange::Forget(device.id.clone()));
        tx.changed();
    }
    Ok(())
}

/// See `Store::set_variables`.
pub(super) async fn set(
    tx: &mut Tx,
    cache: &Cache,
    id: &DeviceId,
    change: Change,
    by: &By,
    now: u64,
) -> Result<VariableOutcome> {
    let Some(device) = find(&mut tx.conn, id).await? else {
        return Ok(VariableOutcome::UnknownDevice);
    };
    let mut schemas = BTreeMap::new();
    for app in change.set.keys() {
        let bundles = bundles::of_app(&mut tx.conn, app).await?;
        if let Ok(stored) = targets::pick(&bundles, &device, app, now) {
            schemas.insert(app.clone(), stored.bundle.variables.clone());
        }
    }
    if let Err(error) = change.check(|app| schemas.get(app).map(Vec::as_slice)) {
        return Ok(VariableOutcome::Refused(error));
    }
    let before = variables(&mut tx.conn, device.no).await?;
    let after = match change.apply(before) {
        Ok(after) => after,
        Err(error) => return Ok(VariableOutcome::Refused(error)),
    };
    sqlx::query("DELETE FROM variables WHERE device = ?")
        .bind(device.no)
        .execute(&mut tx.conn)
        .await?;
    for (app, values) in &after {
        for (name, value) in values {
            sqlx::query("INSERT INTO variables (device, app, name, value) VALUES (?, ?, ?, ?)")
                .bind(device.no)
                .bind(app.as_str())
                .bind(name.as_str())
                .bind(value)
                .execute(&mut tx.conn)
                .await?;
        }
    }
    let entry = Entry::done(now, by, Action::DeviceSet, id).detail(change.summary());
    audit::add(&mut tx.conn, &entry).await?;
    tx.cache(CacheChange::Forget(id.clone()));
    tx.changed();
    match detail(&mut tx.conn, cache, id).await? {
        Some(detail) => Ok(VariableOutcome::Done(Box::new(detail))),
        None => Ok(VariableOutcome::UnknownDevice),
    }
}

/// See `Store::remove_device`.
pub(super) async fn remove(tx: &mut Tx, id: &DeviceId, by: &By, now: u64) -> Result<bool> {
    let Some(device) = find(&mut tx.conn, id).await? else {
        return Ok(false);
    };
    let open = targets::open(&mut tx.conn, device.no).await?;
    targets::advance(&mut tx.conn, device.no, &open, |_| Some(Seen::Removed), now).await?;
    for sql in [
        "DELETE FROM variables WHERE device = ?1",
        "UPDATE devices SET removed_at = ?2 WHERE no = ?1",
    ] {
        sqlx::query(sql)
            .bind(device.no)
            .bind(to_sql(now))
            .execute(&mut tx.conn)
            .await?;
    }
    audit::add(
        &mut tx.conn,
        &Entry::done(now, by, Action::DeviceRemove, id),
    )
    .await?;
    tx.cache(CacheChange::Forget(id.clone()));
    // One that waits is to hear that it is unknown.
    tx.changed();
    Ok(true)
}
