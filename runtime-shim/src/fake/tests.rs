//! What the contract suite cannot say: faults and scripts do what they promise, and say so.

use std::io::{self, Read};
use std::sync::Arc;

use super::*;
use crate::{ContainerState, ImageContent, Runtime};
use bundle::{AppName, Digest};
use smol::future::{FutureExt, block_on, poll_once};

struct Blob(Vec<u8>);

impl ImageContent for Blob {
    fn open(&self, _: &Digest) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.0.clone())))
    }
}

fn image(bytes: Vec<u8>, id: Digest) -> ImageImport {
    let manifest = b"{}".to_vec();
    ImageImport {
        name: "localhost/coracle/a-b".to_owned(),
        id,
        config_bytes: bytes.len() as u64,
        layers: Vec::new(),
        manifest_digest: Digest::of(&manifest),
        manifest,
        content: Arc::new(Blob(bytes)),
    }
}

#[test]
fn nth_counts_only_calls_that_fit() {
    let fake = Fake::new();
    let fault = fake.inject(Fault::unreachable().on(Op::Images).nth(2));
    block_on(async {
        assert!(fake.info().await.is_ok());
        assert!(fake.images().await.is_ok());
        assert!(fake.info().await.is_ok());
        assert_eq!(fault.fired(), 0);
        assert!(fake.images().await.is_err());
        assert!(fake.images().await.is_ok());
        assert_eq!(fault.fired(), 1);
    });
    assert_eq!(fake.calls().len(), 5);
}

#[test]
fn a_fault_after_the_effect_leaves_the_effect() {
    let fake = Fake::new();
    let app = AppName::new("a").unwrap();
    let lost = fake.inject(Fault::fail(|| RuntimeError::TimedOut).after_effect());
    block_on(async {
        assert!(fake.ensure_network(&app, "n").await.is_err());
        assert_eq!(lost.fired(), 1);
        lost.release();
        assert_eq!(fake.networks(Some(&app)).await.unwrap(), ["n"]);
    });
}

#[test]
fn a_hanging_call_goes_on_when_released() {
    let fake = Fake::new();
    let hang = fake.inject(Fault::hang().on(Op::Info));
    block_on(async {
        let mut call = Box::pin(fake.info());
        assert!(poll_once(&mut call).await.is_none());
        assert_eq!(hang.fired(), 1);
        hang.release();
        assert!(call.await.is_ok());
        assert!(fake.info().await.is_ok());
    });
}

#[test]
fn an_import_can_stand_still_and_be_dropped() {
    let fake = Fake::new();
    let bytes = vec![7; 300_000];
    let image = image(bytes.clone(), Digest::of(&bytes));
    let stall = fake.inject(Fault::stall_import(100_000));
    let read = std::cell::Cell::new(0);
    block_on(async {
        let progress = |n| read.set(n);
        let import = async { Some(fake.import_image(&image, &progress).await) };
        let stalled = async {
            while stall.fired() == 0 {
                smol::future::yield_now().await;
            }
            None
        };
        assert!(import.or(stalled).await.is_none());
        assert!((100_000..200_000).contains(&read.get()), "{}", read.get());
        assert!(!fake.has_image(&image.id).await.unwrap());
        stall.release();
        fake.import_image(&image, &progress).await.unwrap();
        assert_eq!(read.get(), 300_000);
    });
}

#[test]
fn content_that_is_not_its_digest_is_refused() {
    let fake = Fake::new();
    let image = image(b"tampered".to_vec(), Digest::of(b"signed"));
    block_on(async {
        let error = fake.import_image(&image, &|_| ()).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Refused { .. }), "{error}");
        assert!(fake.images().await.unwrap().is_empty());
    });
}

#[test]
fn a_reboot_ends_what_ran() {
    let fake = Fake::new();
    fake.preload_foreign_container("theirs");
    fake.reboot();
    let states: Vec<_> = fake.all_containers().iter().map(|c| c.state).collect();
    assert!(matches!(states[..], [ContainerState::Exited(_)]));
    assert!(block_on(fake.containers(None)).unwrap().is_empty());
}
