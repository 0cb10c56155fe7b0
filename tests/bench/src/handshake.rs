//! Fresh TLS connections: a full handshake, then an orderly end, and not one request.
//!
//! A client of TLS 1.3 is done before the server has read its last message. So each connection
//! waits until the server has closed it too: then the server has done the whole of its part.

use std::io;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::load::{self, Load, Measured};
use crate::options::Options;
use crate::peer::Peer;

/// As many at once as keep the server busy.
const CONNECTIONS: usize = 16;

struct Handshakes(Peer);

impl Load for Handshakes {
    type State = ();

    async fn prepare(&self, _: usize) -> Result<()> {
        self.step(&mut ()).await
    }

    async fn step(&self, (): &mut ()) -> Result<()> {
        let mut stream = self.0.connect().await?;
        stream.shutdown().await.context("closing")?;
        match stream.read(&mut [0; 64]).await {
            Ok(_) => Ok(()),
            // The server has seen the end and closes without a word of its own.
            Err(error) if is_end(error.kind()) => Ok(()),
            Err(error) => Err(error).context("waiting for the server to close"),
        }
    }
}

fn is_end(kind: io::ErrorKind) -> bool {
    kind == io::ErrorKind::UnexpectedEof || kind == io::ErrorKind::ConnectionReset
}

/// Measures.
///
/// # Errors
/// If one of them fails.
pub(crate) fn run(options: &Options) -> Result<Measured> {
    let mut options = options.clone();
    options.connections = options.connections.min(CONNECTIONS);
    load::run(&options, Handshakes(Peer::new(&options)?))
}
