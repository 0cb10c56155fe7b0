//! `POST /api/v1/bundles`: a bundle on its way up, from the disk and never whole in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use relay_api::operator::Published;
use reqwest::{Body, Method};
use tokio_util::io::ReaderStream;

use super::{Client, ClientError};

/// How much is read from the disk at once.
const CHUNK_BYTES: usize = 256 << 10;
/// How often the upload is looked at, in seconds.
const LOOK_S: u64 = 5;
/// How many looks in a row may find that nothing moved; the relay needs a while at the end to
/// hash and sync a large file.
const LOOKS_MAX: u32 = 60;

impl Client {
    /// Publishes a bundle of so many bytes; `progress` is told how many have left.
    ///
    /// # Errors
    /// [`ClientError`]. The relay keeps a bundle whole or not at all, so trying again is safe.
    pub(crate) fn publish(
        &self,
        file: std::fs::File,
        bytes: u64,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Published, ClientError> {
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK_BYTES);
        let stream = stream.inspect(move |chunk| {
            let bytes = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
            progress(counter.fetch_add(bytes, Ordering::Relaxed) + bytes);
        });
        let request = self
            .request(Method::POST, self.url.api(&["bundles"]))
            .header("content-type", "application/octet-stream")
            .header("content-length", bytes)
            .body(Body::wrap_stream(stream));
        self.net.run(async {
            let upload = async { self.parsed(self.sent(request.send().await)?).await };
            tokio::select! {
                published = upload => published,
                () = stalled(&sent) => Err(ClientError::Stalled(self.url.clone())),
            }
        })
    }
}

/// Ends when the upload has not moved for long.
async fn stalled(sent: &AtomicU64) {
    let (mut last, mut looks) = (0, 0);
    while looks < LOOKS_MAX {
        tokio::time::sleep(Duration::from_secs(LOOK_S)).await;
        let now = sent.load(Ordering::Relaxed);
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
    }
}
