//! Devices that wait: each has a connection over TLS and a check-in that the relay holds back.
//!
//! Each behaves as clause D32 says: it checks in, then asks again with what it has seen, and asks
//! at once when it is answered. The server's memory is read before the first connection and when
//! all of them wait.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use relay_api::device::LONG_POLL_S_MAX;
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use crate::device::Device;
use crate::http::Connection;
use crate::options::Options;
use crate::peer::Peer;
use crate::proc;

/// Devices that connect at once: a server is not measured by what a crowd at its door takes.
const ARRIVING: usize = 64;
/// How long all may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(120);

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Waited {
    devices: usize,
    rss_bytes_before: u64,
    rss_bytes_during: u64,
    /// Devices that were answered while the memory was read, and asked again.
    answered: usize,
}

/// Counts, shared by the devices on one thread.
struct Room {
    arriving: Semaphore,
    waiting: std::cell::Cell<usize>,
    answered: std::cell::Cell<usize>,
    all_wait: Notify,
    devices: usize,
}

impl Room {
    fn enter(&self) {
        self.waiting.set(self.waiting.get() + 1);
        if self.waiting.get() == self.devices {
            self.all_wait.notify_one();
        }
    }

    fn leave(&self) {
        self.waiting.set(self.waiting.get() - 1);
        self.answered.set(self.answered.get() + 1);
    }
}

/// Measures.
///
/// # Errors
/// If the relay refuses a device, or does not let it wait.
pub(crate) fn run(options: &Options) -> Result<Waited> {
    let (peer, devices) = (Arc::new(Peer::new(options)?), options.devices);
    let room = Rc::new(Room {
        arriving: Semaphore::new(ARRIVING),
        waiting: 0.into(),
        answered: 0.into(),
        all_wait: Notify::new(),
        devices,
    });
    let rss_bytes_before = proc::rss_bytes(&options.pids)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut tasks = JoinSet::new();
        for number in 0..devices {
            let (peer, room) = (Arc::clone(&peer), Rc::clone(&room));
            tasks.spawn_local(async move {
                let waited = wait(&peer, &room, number).await;
                waited.with_context(|| format!("device {number}"))
            });
        }
        tokio::select! {
            arrived = timeout(ARRIVAL, room.all_wait.notified()) => {
                arrived.context("not all devices arrived in time: take fewer with --devices")?;
            }
            Some(ended) = tasks.join_next() => { ended??; bail!("a device stopped waiting") }
        }
        // The last requests are on their way: the server comes to rest.
        room.answered.set(0);
        sleep(options.duration).await;
        let rss_bytes_during = proc::rss_bytes(&options.pids)?;
        if let Some(ended) = tasks.try_join_next() {
            ended??;
        }
        let answered = room.answered.get();
        ensure!(
            answered < devices,
            "the relay answers each device at once: nobody waits"
        );
        Ok(Waited {
            devices,
            rss_bytes_before,
            rss_bytes_during,
            answered,
        })
    })
}

/// One device: arrives, then waits for ever.
async fn wait(peer: &Peer, room: &Room, number: usize) -> Result<()> {
    let place = room.arriving.acquire().await?;
    let mut connection = Connection::new(peer.connect().await?);
    let mut device = Device::new(number)?;
    device.greet(&mut connection).await?;
    let answer = connection.ask(&device.check_in(0)?).await?;
    let answer = device.take(answer)?;
    let wait_s = answer.long_poll_s.min(LONG_POLL_S_MAX);
    ensure!(
        wait_s > 0,
        "the relay lets nobody wait: start it with --long-poll"
    );
    connection.send(&device.check_in(wait_s)?).await?;
    drop(place);
    loop {
        room.enter();
        let answer = connection.receive().await;
        room.leave();
        device.take(answer?)?;
        connection.send(&device.check_in(wait_s)?).await?;
    }
}
