//! Lines of bounded length from a stream.

use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;
use smol::Async;
use smol::io::AsyncReadExt as _;

use super::{ControlError, LINE_BYTES_MAX};

/// What was read and is not yet a message.
#[derive(Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// How many of them are known to hold no line feed.
    searched: usize,
}

impl Lines {
    /// The next message. May be dropped at any await without losing bytes.
    ///
    /// # Errors
    /// [`ControlError::Broken`] at the end of the stream, [`ControlError::TooLong`], and
    /// [`ControlError::Json`] if the line is no such message.
    pub(super) async fn next<T: DeserializeOwned>(
        &mut self,
        stream: &mut Async<UnixStream>,
    ) -> Result<T, ControlError> {
        loop {
            let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                let message = serde_json::from_slice(&self.bytes[..end]);
                self.bytes.drain(..=end);
                self.searched = 0;
                return message.map_err(ControlError::Json);
            }
            self.searched = self.bytes.len();
            if self.searched >= LINE_BYTES_MAX {
                return Err(ControlError::TooLong);
            }
            let mut piece = [0; 8 << 10];
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return Err(ControlError::Broken),
                Ok(read) => self.bytes.extend_from_slice(&piece[..read]),
            }
        }
    }
}
