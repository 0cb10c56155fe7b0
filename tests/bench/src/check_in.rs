//! Check-ins of devices to which nothing happens, over kept-alive connections.
//!
//! Each connection speaks for its share of the devices in turn, as a proxy does, so that the relay
//! meets all of them: one device that asks a thousand times a second would flatter its caches.

use anyhow::Result;

use crate::device::Device;
use crate::http::Connection;
use crate::load::{self, Load, Measured};
use crate::options::Options;
use crate::peer::{Peer, Secured};

struct CheckIns {
    peer: Peer,
    devices: usize,
    connections: usize,
}

struct Share {
    connection: Connection<Secured>,
    devices: Vec<Device>,
    next: usize,
}

impl Load for CheckIns {
    type State = Share;

    async fn prepare(&self, connection: usize) -> Result<Share> {
        let mut share = Share {
            connection: Connection::new(self.peer.connect().await?),
            devices: Vec::new(),
            next: 0,
        };
        for number in (connection..self.devices).step_by(self.connections) {
            let mut device = Device::new(number)?;
            device.greet(&mut share.connection).await?;
            share.devices.push(device);
        }
        // The first check-in says something new; those that are measured do not.
        for _ in 0..share.devices.len() {
            self.step(&mut share).await?;
        }
        Ok(share)
    }

    async fn step(&self, share: &mut Share) -> Result<()> {
        let device = &mut share.devices[share.next];
        let answer = share.connection.ask(&device.check_in(0)?).await?;
        device.take(answer)?;
        share.next = (share.next + 1) % share.devices.len();
        Ok(())
    }
}

/// Measures.
///
/// # Errors
/// If the relay refuses one of them.
pub(crate) fn run(options: &Options) -> Result<Measured> {
    anyhow::ensure!(
        options.devices >= options.connections,
        "fewer devices than connections"
    );
    let load = CheckIns {
        peer: Peer::new(options)?,
        devices: options.devices,
        connections: options.connections,
    };
    load::run(options, load)
}
