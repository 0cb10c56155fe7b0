//! The fake under test: behaviours become scripts.

use runtime_shim::fake::Fake;
use runtime_shim::{ContainerSpec, ContainerState, ExitStatus, Runtime, RuntimeError, Stream};

use crate::fixture::{Behaviour, Fixture, TestImage};

struct FakeFixture {
    fake: Fake,
    images: [TestImage; 2],
}

pub(crate) fn with(_case: &str, run: impl FnOnce(&dyn Fixture)) {
    let image = |version: u8| {
        let layers = vec![vec![0; 300_000], vec![version; 100_000]];
        TestImage::new("fixture", vec![b'{', version], layers)
    };
    run(&FakeFixture {
        fake: Fake::new(),
        images: [image(1), image(2)],
    });
}

impl Fixture for FakeFixture {
    fn runtime(&self) -> &dyn Runtime {
        &self.fake
    }

    fn images(&self) -> &[TestImage; 2] {
        &self.images
    }

    fn behave(&self, spec: &mut ContainerSpec, behaviour: Behaviour) {
        let service = || {
            self.fake
                .service(spec.app.as_str(), spec.service.name.as_str())
        };
        match behaviour {
            Behaviour::Runs => {}
            Behaviour::IgnoresStop => drop(service().ignores_stop_signal()),
            Behaviour::Exits(code) => drop(service().exits_on_start(code)),
            Behaviour::TakesMemory => drop(service().exits_on_start_with(ExitStatus {
                code: 137,
                oom_killed: true,
            })),
            Behaviour::Prints => {
                for (stream, line) in [
                    (Stream::Stdout, "out 1"),
                    (Stream::Stderr, "err 1"),
                    (Stream::Stdout, "out 2"),
                    (Stream::Stdout, "out 3"),
                ] {
                    service().prints(stream, line);
                }
                service().exits_on_start(0);
            }
            Behaviour::Commands => drop(service().exec(7, "both streams")),
            Behaviour::HangsCommands => drop(service().exec_times_out()),
        }
    }

    fn tells_oom(&self) -> bool {
        true
    }

    fn run_foreign(&self, name: &str) {
        self.fake.preload_foreign_container(name);
    }

    fn foreign_runs(&self, name: &str) -> bool {
        let all = self.fake.all_containers();
        let found = all.iter().find(|container| container.name == name);
        found.is_some_and(|c| matches!(c.state, ContainerState::Running { .. }))
    }
}

#[test]
fn a_runtime_that_is_down_can_be_asked_again() {
    use runtime_shim::fake::Fault;
    let fake = Fake::new();
    let down = fake.inject(Fault::unreachable());
    smol::block_on(async {
        let error = fake.info().await.unwrap_err();
        assert!(matches!(error, RuntimeError::Unreachable(_)) && error.is_retryable());
        down.release();
        assert!(fake.info().await.is_ok());
    });
    assert_eq!(down.fired(), 1);
}
