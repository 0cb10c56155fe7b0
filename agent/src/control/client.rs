//! The command line's side of the control socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use smol::Async;
use smol::io::AsyncWriteExt as _;

use super::lines::Lines;
use super::{ControlError, FromClient, FromDaemon, line};
use crate::api::{Failure, Reply, Request, Update};

/// A connection to a running daemon.
pub struct Client {
    stream: Async<UnixStream>,
}

impl Client {
    /// Connects to the daemon; none if no daemon runs there.
    ///
    /// # Errors
    /// [`ControlError::Socket`] if there is a socket that this user may not use.
    pub fn connect(path: &Path) -> Result<Option<Self>, ControlError> {
        let connected = UnixStream::connect(path).and_then(Async::new);
        match connected {
            Ok(stream) => Ok(Some(Self { stream })),
            Err(e) => match e.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(ControlError::Socket {
                    path: path.into(),
                    source: e,
                }),
            },
        }
    }

    /// Asks, and passes on the updates until the answer is there. Dropping the future stops the
    /// wait only.
    ///
    /// # Errors
    /// The daemon's own failure, or [`ControlError::Broken`] as one if the daemon ends first.
    pub async fn ask(
        mut self,
        request: Request,
        updates: &dyn Fn(Update),
    ) -> Result<Reply, Failure> {
        let line = line(&FromClient::Request(request))?;
        // A daemon that refuses answers before it reads, so its words are worth more than ours.
        let sent = self.stream.write_all(&line).await;
        let mut lines = Lines::default();
        loop {
            match lines.next(&mut self.stream).await {
                Ok(FromDaemon::Update(update)) => updates(update),
                Ok(FromDaemon::Reply(reply)) => return Ok(reply),
                Ok(FromDaemon::Failure(failure)) => return Err(failure),
                Err(e) => {
                    if let Err(e) = sent {
                        log::debug!("control: the request was not sent: {e}");
                    }
                    return Err(e.into());
                }
            }
        }
    }
}
