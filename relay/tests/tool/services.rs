//! Images out of a real registry with a password, and out of a real podman.

use e2e::{LoopbackRegistry, PodmanService, Sandbox};

use crate::image::{self, Encoding, image};
use crate::run::{Place, said};

#[test]
fn a_registry_by_digest_with_credentials() {
    let sandbox = Sandbox::new().unwrap();
    let registry = LoopbackRegistry::start(&sandbox).unwrap();
    let place = Place::new();
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let want = image("from a registry").encoded(encoding);
        place.archive("web.tar", &want);
        let reference = registry.push(&place.path("web.tar"), "team/web").unwrap();
        let source = format!("web=registry:{reference}");

        let auth = registry.auth_file();
        let auth = auth.to_str().unwrap();
        place
            .pack(&["--image", &source, "--registry-auth-file", auth])
            .ok();
        assert_eq!(place.inspect()["images"][0]["image_id"], want.id());
        let by_flag = place.read("out.bin");

        // The same from the environment, from where docker keeps it, and from `image:`.
        let mut command = place.pack_command(&["--image", &source]);
        said(command.env("REGISTRY_AUTH_FILE", auth)).ok();
        std::fs::create_dir_all(place.path(".docker")).unwrap();
        place.write(".docker/config.json", std::fs::read(auth).unwrap());
        place.write(
            "compose.yaml",
            format!("services:\n  web:\n    restart: always\n    image: {reference}\n"),
        );
        place.pack(&[]).ok();
        assert!(by_flag == place.read("out.bin"));
        std::fs::remove_file(place.path(".docker/config.json")).unwrap();

        let error = place.pack(&["--image", &source]).fails(1);
        assert!(
            error.contains("hint: check name, digest and credentials"),
            "{error}"
        );
        let (name, digest) = reference.rsplit_once('@').unwrap();
        let wrong = format!("web=registry:{name}@sha256:{}", "0".repeat(64));
        assert!(!digest.is_empty());
        let error = place
            .pack(&["--image", &wrong, "--registry-auth-file", auth])
            .fails(1);
        assert!(error.contains("registry:"), "{error}");
    }
}

#[test]
fn podman_by_its_own_api_and_by_dockers() {
    let sandbox = Sandbox::new().unwrap();
    let podman = PodmanService::start(&sandbox).unwrap();
    let place = Place::new();
    let want = image("from podman").encoded(Encoding::Gzip);
    image::write_archive(&place.path("web.tar"), &[&want]);
    let id = podman.load(&place.path("web.tar"), "web").unwrap();
    assert_eq!(id, want.id());

    let address = format!("unix://{}", podman.socket().display());
    let pack = |variable: &str, source: &str| {
        let mut command = place.pack_command(&["--image", &format!("web={source}")]);
        said(command.env(variable, &address))
    };
    for (variable, source) in [
        ("CONTAINER_HOST", "podman:localhost/web:latest"),
        ("DOCKER_HOST", "docker:localhost/web:latest"),
    ] {
        pack(variable, source).ok();
        assert_eq!(
            place.inspect()["images"][0]["image_id"],
            want.id(),
            "{source}"
        );
    }
    let error = pack("CONTAINER_HOST", "podman:localhost/nothing:latest").fails(1);
    assert!(error.contains("podman answered 404"), "{error}");
    let error = pack("CONTAINER_HOST", "podman:../../version").fails(1);
    assert!(error.contains("error: podman:"), "{error}");
}

#[test]
fn engines_that_are_not_there() {
    let place = Place::new();
    let mut command = place.pack_command(&["--image", "web=podman:x"]);
    let error = said(command.env("CONTAINER_HOST", "ssh://host")).fails(1);
    assert!(
        error.contains("ssh://host is not a unix:// address"),
        "{error}"
    );
    let mut command = place.pack_command(&["--image", "web=docker:x"]);
    // Nor are root certificates, which a socket does not need.
    command.env("SSL_CERT_FILE", "/nonexistent.pem");
    command.env("SSL_CERT_DIR", "/nonexistent");
    let error = said(command.env("DOCKER_HOST", "unix:///nonexistent.sock")).fails(1);
    assert!(
        error.contains("error: docker:x: docker at /nonexistent.sock: "),
        "{error}"
    );
}
