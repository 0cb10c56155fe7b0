//! From asynchronous HTTP to plain calls and readers: one small runtime for a whole command.

use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use tokio::runtime::Runtime;
use tokio_util::bytes::Bytes;
use tokio_util::io::{StreamReader, SyncIoBridge};

/// Runs network requests; clones share one runtime, which lives as long as any of their readers.
#[derive(Clone)]
pub(crate) struct Net(Arc<Runtime>);

impl Net {
    pub(crate) fn new() -> io::Result<Self> {
        // What TLS uses, unless the process has chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        Ok(Self(Arc::new(runtime)))
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }

    /// A stream of bytes as a reader.
    pub(crate) fn reader<S, E>(&self, stream: S) -> Box<dyn Read>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let stream = stream.map_err(io::Error::other);
        let bridge =
            SyncIoBridge::new_with_handle(StreamReader::new(stream), self.0.handle().clone());
        Box::new(NetReader {
            bridge,
            _runtime: self.clone(),
        })
    }
}

/// Keeps the runtime while the stream is read; the stream goes first.
struct NetReader<R> {
    bridge: R,
    _runtime: Net,
}

impl<R: Read> Read for NetReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.bridge.read(into)
    }
}
