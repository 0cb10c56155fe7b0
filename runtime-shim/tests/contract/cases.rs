//! Images, containers, networks and volumes: what every runtime does alike.

use std::cell::Cell;

use bundle::Digest;
use bundle::VolumeName;
use bundle::manifest::{NetworkMode, Port, Protocol, VolumeMount};
use runtime_shim::{ContainerId, ContainerSpec, ContainerState, RuntimeError, labels};
use smol::future::{FutureExt as _, poll_once};

use crate::fixture::{
    Behaviour, Fixture, TAMPERED, app, bridge, created, import, spec, started, text,
};

fn absent() -> ContainerId {
    ContainerId("f".repeat(64))
}

pub(crate) async fn says_what_it_is(fixture: &dyn Fixture) {
    let info = fixture.runtime().info().await.unwrap();
    assert!(["fake", "podman"].contains(&info.name));
    assert!(info.version.starts_with(|c: char| c.is_ascii_digit()));
    assert!(info.store.is_absolute());
}

pub(crate) async fn imports_move_only_missing_layers(fixture: &dyn Fixture) {
    let (runtime, [one, two]) = (fixture.runtime(), fixture.images());
    assert_eq!(one.layer(0), two.layer(0));
    let sorted = |mut digests: Vec<Digest>| {
        digests.sort();
        digests
    };
    let read = Cell::new(0);
    let progress = |bytes| {
        assert!(bytes >= read.get(), "progress went back");
        read.set(bytes);
    };

    assert!(!runtime.has_image(&one.import.id).await.unwrap());
    runtime.import_image(&one.import, &progress).await.unwrap();
    let all = sorted(vec![one.layer(0), one.layer(1), one.import.id]);
    assert_eq!(one.content.take_opened(), all);
    let layers: u64 = one.import.layers.iter().map(|(_, bytes)| bytes).sum();
    assert!(read.get() >= layers, "{} of {layers}", read.get());
    assert!(runtime.has_image(&one.import.id).await.unwrap());
    assert_eq!(runtime.images().await.unwrap(), [one.import.id]);

    runtime.import_image(&one.import, &|_| ()).await.unwrap();
    assert_eq!(
        one.content.take_opened(),
        [],
        "the second import moves nothing"
    );

    runtime.import_image(&two.import, &|_| ()).await.unwrap();
    let missing = sorted(vec![two.layer(1), two.import.id]);
    assert_eq!(two.content.take_opened(), missing);
    let both = sorted(vec![one.import.id, two.import.id]);
    assert_eq!(sorted(runtime.images().await.unwrap()), both);
}

pub(crate) async fn bad_content_is_rejected_and_the_next_import_works(fixture: &dyn Fixture) {
    let (runtime, [image, _]) = (fixture.runtime(), fixture.images());
    for bad in [image.layer(0), image.layer(1), image.import.id] {
        image.content.tamper(Some(bad));
        let error = runtime
            .import_image(&image.import, &|_| ())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RuntimeError::Io(cause) if cause.to_string() == TAMPERED),
            "the reader's own words, not the runtime's: {error}"
        );
        assert!(!runtime.has_image(&image.import.id).await.unwrap());
        assert_eq!(runtime.images().await.unwrap(), []);
    }
    image.content.tamper(None);
    runtime.import_image(&image.import, &|_| ()).await.unwrap();
    assert_eq!(runtime.images().await.unwrap(), [image.import.id]);
}

pub(crate) async fn creating_again_gives_the_same(fixture: &dyn Fixture) {
    let mut spec = spec(fixture, "a", "web");
    let id = created(fixture, spec.clone(), Behaviour::Runs).await;
    fixture.behave(&mut spec, Behaviour::Runs);
    assert_eq!(fixture.runtime().create(&spec).await.unwrap(), id);
    let there = fixture.runtime().inspect(&id.0).await.unwrap().unwrap();
    assert_eq!(there.state, ContainerState::Created);
    assert_eq!(there.name, spec.name);
    // An image's own labels may come on top.
    assert!(
        spec.labels
            .iter()
            .all(|(key, value)| there.label(key) == Some(value))
    );
    assert_eq!(there.image, Some(spec.image));
    assert_eq!(there.started_at, None);
}

pub(crate) async fn another_container_of_the_name_is_a_conflict(fixture: &dyn Fixture) {
    let mut spec = spec(fixture, "a", "web");
    created(fixture, spec.clone(), Behaviour::Runs).await;
    for label in [labels::SPEC, labels::GENERATION] {
        let before = spec.labels.insert(label.to_owned(), "9".to_owned());
        let error = fixture.runtime().create(&spec).await.unwrap_err();
        assert!(
            matches!(error, RuntimeError::Conflict(_)),
            "{label}: {error}"
        );
        spec.labels
            .extend(before.map(|value| (label.to_owned(), value)));
    }
    fixture.run_foreign("coracle-a-taken-1");
    spec.name = "coracle-a-taken-1".to_owned();
    let error = fixture.runtime().create(&spec).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Conflict(_)), "{error}");
    assert!(fixture.foreign_runs("coracle-a-taken-1"));
}

pub(crate) async fn creating_needs_the_image(fixture: &dyn Fixture) {
    let mut spec = spec(fixture, "a", "web");
    spec.image = Digest::of(b"no such image");
    let error = fixture.runtime().create(&spec).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NotFound), "{error}");
    assert!(!error.is_retryable());
}

pub(crate) async fn start_stop_remove_can_be_repeated(fixture: &dyn Fixture) {
    let runtime = fixture.runtime();
    let id = created(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    runtime.stop(&id, 10).await.unwrap();
    let error = runtime.start(&absent()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NotFound), "{error}");
    runtime.start(&id).await.unwrap();
    runtime.start(&id).await.unwrap();
    let there = runtime.inspect(&id.0).await.unwrap().unwrap();
    assert!(matches!(there.state, ContainerState::Running { pid } if pid > 1));
    assert!(there.started_at.is_some_and(|at| at > 1_500_000_000));
    runtime.stop(&id, 10).await.unwrap();
    runtime.stop(&id, 10).await.unwrap();
    let there = runtime.inspect(&id.0).await.unwrap().unwrap();
    assert!(matches!(there.state, ContainerState::Exited(status) if status.code == 0));
    runtime.start(&id).await.unwrap();
    runtime.remove(&id).await.unwrap();
    runtime.remove(&id).await.unwrap();
    runtime.stop(&id, 10).await.unwrap();
    assert_eq!(runtime.inspect(&id.0).await.unwrap(), None);
}

pub(crate) async fn exit_codes_are_told(fixture: &dyn Fixture) {
    for code in [0, 3] {
        let spec = spec(fixture, "a", &format!("exits-{code}"));
        let id = started(fixture, spec, Behaviour::Exits(code)).await;
        let status = fixture.runtime().wait(&id).await.unwrap();
        assert_eq!((status.code, status.oom_killed), (code, false));
        let there = fixture.runtime().inspect(&id.0).await.unwrap().unwrap();
        assert_eq!(there.state, ContainerState::Exited(status));
    }
}

pub(crate) async fn what_ignores_its_stop_signal_is_killed(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::IgnoresStop).await;
    fixture.runtime().stop(&id, 1).await.unwrap();
    let status = fixture.runtime().wait(&id).await.unwrap();
    assert_eq!((status.code, status.oom_killed), (137, false));
}

pub(crate) async fn what_takes_too_much_memory_is_killed(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::TakesMemory).await;
    let status = fixture.runtime().wait(&id).await.unwrap();
    assert_eq!(status.code, 137);
    if fixture.tells_oom() {
        assert!(status.oom_killed);
    }
    let listed = fixture.runtime().containers(None).await.unwrap();
    assert_eq!(listed[0].state, ContainerState::Exited(status));
}

pub(crate) async fn waiting_ends_when_the_container_does(fixture: &dyn Fixture) {
    let runtime = fixture.runtime();
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let mut wait = runtime.wait(&id);
    assert!(poll_once(&mut wait).await.is_none());
    let stop = async {
        runtime.stop(&id, 10).await.unwrap();
        std::future::pending().await
    };
    assert_eq!(wait.or(stop).await.unwrap().code, 0);
}

pub(crate) async fn waiting_needs_a_container_that_ran(fixture: &dyn Fixture) {
    let id = created(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let error = fixture.runtime().wait(&id).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Conflict(_)), "{error}");
    let error = fixture.runtime().wait(&absent()).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NotFound), "{error}");
}

pub(crate) async fn an_exited_container_starts_again(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Exits(3)).await;
    assert_eq!(fixture.runtime().wait(&id).await.unwrap().code, 3);
    fixture.runtime().start(&id).await.unwrap();
    assert_eq!(fixture.runtime().wait(&id).await.unwrap().code, 3);
}

pub(crate) async fn others_containers_are_not_listed(fixture: &dyn Fixture) {
    let runtime = fixture.runtime();
    let a = created(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let ab = started(fixture, spec(fixture, "ab", "web"), Behaviour::Runs).await;
    fixture.run_foreign("theirs");

    let ids = |listed: Vec<runtime_shim::Container>| -> Vec<_> {
        let mut ids: Vec<_> = listed.into_iter().map(|c| c.id).collect();
        ids.sort();
        ids
    };
    let of_a = runtime.containers(Some(&app("a"))).await.unwrap();
    assert_eq!(of_a[0].state, ContainerState::Created);
    assert_eq!(of_a[0].label(labels::SERVICE), Some("web"));
    assert_eq!(ids(of_a), std::slice::from_ref(&a));
    let of_ab = runtime.containers(Some(&app("ab"))).await.unwrap();
    assert!(matches!(of_ab[0].state, ContainerState::Running { pid } if pid > 1));
    assert_eq!(of_ab[0].name, "coracle-ab-web-1");
    assert_eq!(of_ab[0].image, Some(fixture.images()[0].import.id));
    assert_eq!(ids(of_ab), std::slice::from_ref(&ab));
    let mut both = vec![a.clone(), ab.clone()];
    both.sort();
    assert_eq!(ids(runtime.containers(None).await.unwrap()), both);
    assert_eq!(runtime.containers(Some(&app("b"))).await.unwrap(), []);

    runtime.remove(&a).await.unwrap();
    runtime.remove(&ab).await.unwrap();
    assert!(
        fixture.foreign_runs("theirs"),
        "others' containers are never touched"
    );
}

pub(crate) async fn networks_can_be_repeated(fixture: &dyn Fixture) {
    let (runtime, a, b) = (fixture.runtime(), app("a"), app("b"));
    for _ in 0..2 {
        runtime.ensure_network(&a, "coracle_a_net").await.unwrap();
        runtime.ensure_network(&b, "coracle_b_net").await.unwrap();
    }
    assert_eq!(runtime.networks(Some(&a)).await.unwrap(), ["coracle_a_net"]);
    let mut all = runtime.networks(None).await.unwrap();
    all.sort();
    assert_eq!(all, ["coracle_a_net", "coracle_b_net"]);

    let mut spec = spec(fixture, "a", "web");
    spec.service.network = bridge();
    let id = started(fixture, spec, Behaviour::Runs).await;
    let there = runtime.inspect(&id.0).await.unwrap().unwrap();
    assert_eq!(there.addresses.len(), 1);
    let error = runtime.remove_network("coracle_a_net").await.unwrap_err();
    assert!(matches!(error, RuntimeError::Conflict(_)), "{error}");

    runtime.remove(&id).await.unwrap();
    for _ in 0..2 {
        runtime.remove_network("coracle_a_net").await.unwrap();
    }
    assert_eq!(runtime.networks(None).await.unwrap(), ["coracle_b_net"]);
}

pub(crate) async fn volumes_can_be_repeated(fixture: &dyn Fixture) {
    let (runtime, a, b) = (fixture.runtime(), app("a"), app("b"));
    let folder = runtime.ensure_volume(&a, "coracle_a_data").await.unwrap();
    assert!(folder.is_absolute());
    assert_eq!(
        runtime.ensure_volume(&a, "coracle_a_data").await.unwrap(),
        folder
    );
    runtime.ensure_volume(&b, "coracle_b_data").await.unwrap();
    assert_eq!(runtime.volumes(Some(&a)).await.unwrap(), ["coracle_a_data"]);
    let mut all = runtime.volumes(None).await.unwrap();
    all.sort();
    assert_eq!(all, ["coracle_a_data", "coracle_b_data"]);

    let mut spec = spec(fixture, "a", "web");
    spec.service.volumes = vec![VolumeMount {
        volume: VolumeName::new("data").unwrap(),
        target: text("/data"),
        read_only: false,
    }];
    let id = created(fixture, spec, Behaviour::Runs).await;
    let error = runtime.remove_volume("coracle_a_data").await.unwrap_err();
    assert!(matches!(error, RuntimeError::Conflict(_)), "{error}");
    runtime.remove(&id).await.unwrap();
    let kept = runtime.volumes(Some(&a)).await.unwrap();
    assert_eq!(kept, ["coracle_a_data"], "volumes outlive containers");
    for _ in 0..2 {
        runtime.remove_volume("coracle_a_data").await.unwrap();
    }
    assert_eq!(runtime.volumes(None).await.unwrap(), ["coracle_b_data"]);
}

pub(crate) async fn an_image_in_use_is_not_removed(fixture: &dyn Fixture) {
    let (runtime, [one, two]) = (fixture.runtime(), fixture.images());
    let id = created(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    runtime.import_image(&two.import, &|_| ()).await.unwrap();
    let error = runtime.remove_image(&one.import.id).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Conflict(_)), "{error}");
    assert_eq!(runtime.images().await.unwrap().len(), 2, "its names stay");
    runtime.remove(&id).await.unwrap();
    for _ in 0..2 {
        runtime.remove_image(&one.import.id).await.unwrap();
    }
    assert!(!runtime.has_image(&one.import.id).await.unwrap());
    assert_eq!(runtime.images().await.unwrap(), [two.import.id]);
    runtime.remove_image(&two.import.id).await.unwrap();
    assert_eq!(runtime.images().await.unwrap(), []);
}

pub(crate) async fn looking_finds_exactly_what_is_asked(fixture: &dyn Fixture) {
    let runtime = fixture.runtime();
    let id = created(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let by_name = runtime.inspect("coracle-a-web-1").await.unwrap().unwrap();
    assert_eq!(by_name.id, id);
    for other in ["coracle-a-web", &id.0[..12], "nothing"] {
        assert_eq!(runtime.inspect(other).await.unwrap(), None, "{other}");
    }
}

pub(crate) async fn a_taken_port_is_a_conflict(fixture: &dyn Fixture) {
    let runtime = fixture.runtime();
    import(fixture).await;
    runtime
        .ensure_network(&app("a"), "coracle_a_net")
        .await
        .unwrap();
    let on_port = |service: &str| -> ContainerSpec {
        let mut spec = spec(fixture, "a", service);
        spec.service.network = bridge();
        spec.service.ports = vec![Port {
            host_ip: None,
            host: 18_080,
            container: 80,
            protocol: Protocol::Tcp,
        }];
        spec
    };
    assert!(matches!(
        on_port("x").service.network,
        NetworkMode::Bridge(_)
    ));
    let first = started(fixture, on_port("first"), Behaviour::Runs).await;
    let second = created(fixture, on_port("second"), Behaviour::Runs).await;
    let error = runtime.start(&second).await.unwrap_err();
    assert!(matches!(error, RuntimeError::Conflict(_)), "{error}");
    runtime.remove(&first).await.unwrap();
    runtime.start(&second).await.unwrap();
}
