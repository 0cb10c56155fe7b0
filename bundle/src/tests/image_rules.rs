//! Clauses B25 to B30: references and names.

use super::base::*;
use crate::limits::{FILE_BYTES_MAX, IMAGE_CONFIG_BYTES_MAX};
use crate::manifest::{BlobId, Encoding, FileId, ImageId};

#[test]
fn ids_that_point_nowhere_are_refused() {
    refuses(&[
        ("image config", "B25", |m| m.images[0].config = BlobId(5)),
        ("layer", "B25", |m| {
            m.images[0].layers.push(BlobId(u16::MAX))
        }),
        ("file content", "B25", |m| m.files[0].content = BlobId(5)),
        ("image of a service", "B25", |m| {
            m.services[0].image = ImageId(2)
        }),
        ("file of a service", "B25", |m| {
            m.services[0].files[0].file = FileId(1)
        }),
    ]);
}

#[test]
fn content_that_nothing_refers_to_is_refused() {
    refuses(&[
        ("a layer left out", "B26", |m| m.images[0].layers.clear()),
        ("a file left out", "B26", |m| {
            m.files.clear();
            m.services[0].files.clear();
        }),
        ("an image that no service runs", "B26", |m| {
            m.services[1].image = ImageId(0)
        }),
        ("a file that no service mounts", "B26", |m| {
            m.services[0].files.clear()
        }),
        ("a payload without services", "B26", |m| {
            m.services.clear();
            m.policy.restore_on_rollback.clear();
        }),
    ]);
}

#[test]
fn layers_may_be_shared_and_repeated() {
    accepts(&[
        ("a layer of two images", |m| {
            m.images[0].layers.push(BlobId(3))
        }),
        ("a layer twice in one image", |m| {
            m.images[0].layers.push(BlobId(1))
        }),
        ("a file that is also a layer", |m| {
            m.images[0].layers.push(BlobId(4))
        }),
    ]);
}

#[test]
fn large_configurations_and_files_are_refused() {
    fn grow(blob: &mut crate::manifest::Blob, bytes: u64) {
        blob.encoding = Encoding::Zstd;
        blob.plain_bytes = bytes;
    }
    refuses(&[
        ("an image's configuration", "B27", |m| {
            grow(&mut m.blobs[0], IMAGE_CONFIG_BYTES_MAX + 1);
        }),
        ("a file", "B28", |m| {
            grow(&mut m.blobs[4], FILE_BYTES_MAX + 1)
        }),
    ]);
    accepts(&[
        ("the largest configuration", |m| {
            grow(&mut m.blobs[0], IMAGE_CONFIG_BYTES_MAX)
        }),
        ("the largest file", |m| {
            grow(&mut m.blobs[4], FILE_BYTES_MAX)
        }),
    ]);
}

#[test]
fn names_given_twice_are_refused() {
    refuses(&[
        ("services", "B30", |m| {
            m.services[1].name = m.services[0].name.clone();
        }),
        ("volumes", "B30", |m| m.volumes.push(volume("data"))),
        ("networks", "B30", |m| m.networks.push(network("default"))),
        ("files", "B30", |m| {
            m.files.push(m.files[0].clone());
            let mut mount = m.services[0].files[0].clone();
            mount.file = FileId(1);
            mount.target = text("/etc/other.conf");
            m.services[0].files.push(mount);
        }),
        ("variables", "B30", |m| {
            m.variables.push(m.variables[0].clone())
        }),
    ]);
}
