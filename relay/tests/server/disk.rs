//! A full disk: said so, nothing lost, and everything works again when there is room.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use e2e::Sandbox;

use crate::device::{Device, exited};
use crate::run::{Place, said};
use crate::server::Server;

const MIB: u64 = 1 << 20;

/// A disk in memory for the data folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount.
    fn mount(place: &Place) -> Option<Self> {
        let path = place.path("data");
        std::fs::create_dir(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]);
        mount.arg(format!("size={}", 12 * MIB)).arg("small");
        let done = said(mount.arg(&path));
        if done.code != 0 {
            println!("not run: mounting a small disk needs root: {}", done.err);
            return None;
        }
        Some(Self(path))
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_full_disk_loses_nothing_and_is_said() {
    // Its own mount namespace: the disk goes with the test, however that ends.
    let _sandbox = match Sandbox::new() {
        Ok(sandbox) => sandbox,
        Err(error) => {
            println!("not run: {error:#}");
            return;
        }
    };
    let place = Arc::new(Place::new());
    let Some(disk) = SmallDisk::mount(&place) else {
        return;
    };
    let server = Server::start_in(Arc::clone(&place), &[]);
    let operator = server.operator();
    let file = server.pack(1);
    operator.publish(&file).await.ok(201);
    let device = Device::enrolled(&server, "pump-7").await;
    let key = |number: i32| format!("{number:032x}");
    device.report(&key(0), &exited(0)).await.ok(204);

    disk.fill();
    let next = server.pack(2);
    let full = operator.publish(&next).await;
    assert_eq!(full.refused(503), "no_space");
    assert!(full.header("retry-after").is_some());
    let ready = crate::server::send(operator.client.get(format!("{}/readyz", server.url)));
    assert_eq!(ready.await.unwrap().refused(503), "no_space");
    // The database may still have room in pages that it has; then it really stores.
    let mut stored = 1;
    let refused = loop {
        let answered = device.report(&key(stored), &exited(stored)).await;
        if answered.status != 204 {
            break answered;
        }
        stored += 1;
        assert!(stored < 100_000, "the disk never fills");
    };
    assert_eq!(refused.refused(503), "no_space");
    assert!(refused.header("retry-after").is_some());

    disk.make_room();
    device.report(&key(stored), &exited(stored)).await.ok(204);
    operator.publish(&next).await.ok(201);
    // Everything that was acknowledged outlives a kill.
    drop(operator);
    let place = server.kill();
    let server = Server::start_in(place, &[]);
    let device = device.moved(&server);
    device.report(&key(stored), &exited(stored)).await.ok(204);
    let releases = server.operator().get("/api/v1/releases").await.json();
    assert_eq!(releases.as_array().unwrap().len(), 2);
}
