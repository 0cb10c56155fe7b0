//! Makes the devices known to the relay, through the front door: an operator makes a token for
//! each, and each device enrols itself with it.

use anyhow::{Context, Result};
use relay_api::operator::{EnrollToken, Labels, NewEnrollToken};
use serde::Serialize;
use std::time::Instant;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};

use crate::device::Device;
use crate::http::Connection;
use crate::options::Options;
use crate::peer::{Peer, Secured};

/// Connections at once; each has one request under way.
const CONNECTIONS: usize = 32;
const TOKEN_TTL_S: u64 = 3_600;

/// What was done.
#[derive(Debug, Serialize)]
pub(crate) struct Enrolled {
    /// How many devices.
    devices: usize,
    /// Seconds that it took, tokens included.
    seconds: f64,
}

/// Enrols the devices of the options.
///
/// # Errors
/// If the relay refuses one.
pub(crate) fn run(options: &Options) -> Result<Enrolled> {
    let (peer, token, devices) = (Peer::new(options)?, options.token()?, options.devices);
    let start = Instant::now();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut tasks = JoinSet::new();
        for first in 0..CONNECTIONS.min(devices) {
            let numbers = (first..devices).step_by(CONNECTIONS);
            tasks.spawn_local(share(peer.clone(), token.clone(), numbers));
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        anyhow::Ok(())
    })?;
    Ok(Enrolled {
        devices,
        seconds: start.elapsed().as_secs_f64(),
    })
}

async fn share(peer: Peer, operator: String, numbers: impl Iterator<Item = usize>) -> Result<()> {
    let mut connection = Connection::new(peer.connect().await?);
    for number in numbers {
        let token = token(&mut connection, &operator).await?;
        let mut device = Device::new(number)?;
        device.greet(&mut connection).await?;
        let enrolled = device.enroll(&mut connection, token).await;
        enrolled.with_context(|| format!("enrolling device {number}"))?;
    }
    Ok(())
}

async fn token(connection: &mut Connection<Secured>, operator: &str) -> Result<String> {
    let body = serde_json::to_string(&NewEnrollToken {
        labels: Labels::from([("line".to_owned(), "bench".to_owned())]),
        ttl_s: TOKEN_TTL_S,
    })?;
    let length = body.len();
    let request = format!(
        "POST /api/v1/enroll-tokens HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {operator}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let answer = connection.ask(request.as_bytes()).await?.expect(201)?;
    let made: EnrollToken = serde_json::from_slice(&answer.body)?;
    made.token.context("a token without its secret")
}
