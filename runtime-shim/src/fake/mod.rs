//! A runtime in memory, for tests and the simulation: it does what it is asked, unless scripted
//! not to.
//!
//! Single-threaded; a clone is a second handle on the same runtime. It stands for the runtime's
//! own daemon and store, so it outlives an agent that is dropped in the middle of a call. It
//! never reads a clock (see [`Fake::set_now`]), never sleeps and runs nothing.

mod fault;
mod runtime;
mod script;
mod streams;
#[cfg(test)]
mod tests;
mod world;

use std::cell::RefCell;
use std::rc::Rc;

pub use fault::{Call, Fault, Injected, Op};
pub use script::ServiceScript;

use crate::{Container, ExitStatus, ImageImport, RuntimeError, Stream};
use world::World;

/// A handle on a runtime in memory.
///
/// ```
/// use runtime_shim::{Runtime, RuntimeError};
/// use runtime_shim::fake::{Fake, Fault, Op};
///
/// let fake = Fake::new();
/// let full = fake.inject(Fault::fail(|| RuntimeError::NoSpace).on(Op::Info).nth(2));
/// smol::block_on(async {
///     assert!(fake.info().await.is_ok());
///     assert!(matches!(fake.info().await, Err(RuntimeError::NoSpace)));
/// });
/// assert_eq!(full.fired(), 1);
/// ```
#[derive(Clone, Default)]
pub struct Fake {
    world: Rc<RefCell<World>>,
}

impl Fake {
    /// An empty runtime that does as it is asked.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every call so far, in order, refused and hanging ones too.
    pub fn calls(&self) -> Vec<Call> {
        self.world.borrow().calls.clone()
    }

    /// Forgets the calls so far (see [`Fake::calls`]); faults keep their counts.
    pub fn forget_calls(&self) {
        self.world.borrow_mut().calls.clear();
    }

    /// Arms a fault.
    pub fn inject(&self, fault: Fault) -> Injected {
        let mut world = self.world.borrow_mut();
        let armed = fault.arm();
        world.faults.push(Rc::clone(&armed));
        Injected::new(armed, Rc::downgrade(&self.world))
    }

    /// Begins a script for the containers of a service.
    pub fn service(&self, app: &str, service: &str) -> ServiceScript {
        ServiceScript::new(self.clone(), app, service)
    }

    /// Ends the running container of a service with `code`, as if its process had exited. Says
    /// whether there was one.
    pub fn crash(&self, app: &str, service: &str, code: i32) -> bool {
        self.crash_with(
            app,
            service,
            ExitStatus {
                code,
                oom_killed: false,
            },
        )
    }

    /// As [`Fake::crash`], with the whole exit status.
    pub fn crash_with(&self, app: &str, service: &str, status: ExitStatus) -> bool {
        let mut world = self.world.borrow_mut();
        let running: Vec<_> = world.running_of(app, service);
        for id in &running {
            world.exit(id, status);
        }
        world.changed();
        !running.is_empty()
    }

    /// Lets the running container of a service write a line. Says whether there was one.
    pub fn write_line(&self, app: &str, service: &str, stream: Stream, text: &str) -> bool {
        let mut world = self.world.borrow_mut();
        let running = world.running_of(app, service);
        for id in &running {
            world.write_line(id, stream, text);
        }
        world.changed();
        !running.is_empty()
    }

    /// A reboot: every running container has ended, what is stored stays, calls that hang stay
    /// hung (whoever made them is gone).
    pub fn reboot(&self) {
        let mut world = self.world.borrow_mut();
        world.end_all();
        world.changed();
    }

    /// Loses the image with this id as a power cut may: runtimes do not flush their stores.
    /// Says whether it was there.
    pub fn lose_image(&self, image: &bundle::Digest) -> bool {
        self.world.borrow_mut().lose_image(image)
    }

    /// A layer is lost, and the images that it is part of stay: what a device takes to be there is
    /// not. Says whether it was there.
    pub fn lose_layer(&self, layer: &bundle::Digest) -> bool {
        self.world.borrow_mut().layers.remove(layer)
    }

    /// Puts an image there without a call, its content unread.
    pub fn preload_image(&self, image: &ImageImport) {
        self.world.borrow_mut().store_image(image);
    }

    /// Puts a container there that Coracle did not make; it runs.
    pub fn preload_foreign_container(&self, name: &str) {
        self.world.borrow_mut().add_foreign(name);
    }

    /// Every container, those of others too, as [`crate::Runtime::inspect`] shows it.
    pub fn all_containers(&self) -> Vec<Container> {
        self.world.borrow().all()
    }

    /// The runtime's clock, in seconds since 1970-01-01 UTC; it stands still in between.
    pub fn set_now(&self, now: u64) {
        self.world.borrow_mut().now = now;
    }

    /// The folder under which volumes are said to be; `/fake` if never set. Content is the
    /// test's own affair.
    pub fn set_store(&self, store: impl Into<std::path::PathBuf>) {
        self.world.borrow_mut().store = store.into();
    }

    /// Waits until `look` sees what it looks for; it looks again after every change.
    async fn until<T>(
        &self,
        mut look: impl FnMut(&mut World) -> Option<Result<T, RuntimeError>>,
    ) -> Result<T, RuntimeError> {
        std::future::poll_fn(|context| {
            let mut world = self.world.borrow_mut();
            match look(&mut world) {
                Some(found) => std::task::Poll::Ready(found),
                None => {
                    world.wake_later(context.waker());
                    std::task::Poll::Pending
                }
            }
        })
        .await
    }
}
