//! The least that the server can do over a kept-alive connection: `GET` of a tiny constant.

use anyhow::Result;

use crate::http::{self, Connection};
use crate::load::{self, Load, Measured};
use crate::options::Options;
use crate::peer::{Peer, Secured};

struct Gets {
    peer: Peer,
    request: Vec<u8>,
}

impl Load for Gets {
    type State = Connection<Secured>;

    async fn prepare(&self, _: usize) -> Result<Self::State> {
        let mut connection = Connection::new(self.peer.connect().await?);
        self.step(&mut connection).await?;
        Ok(connection)
    }

    async fn step(&self, connection: &mut Self::State) -> Result<()> {
        connection.ask(&self.request).await?.expect(200)?;
        Ok(())
    }
}

/// Measures.
///
/// # Errors
/// If an answer is not 200.
pub(crate) fn run(options: &Options, path: &str) -> Result<Measured> {
    let load = Gets {
        peer: Peer::new(options)?,
        request: http::get(path),
    };
    load::run(options, load)
}
