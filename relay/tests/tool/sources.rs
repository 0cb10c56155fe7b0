//! Every form of image that lies in files gives the same image; broken ones are refused.

use std::fs;

use crate::image::{self, Encoding, Image, image};
use crate::run::Place;

#[test]
fn every_form_and_encoding_gives_the_same_image() {
    let place = Place::new();
    let want = image("hello");
    let mut bundles = Vec::new();
    for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd] {
        let made = want.clone().encoded(encoding);
        image::write_layout(&place.path("layout"), &[&made]);
        image::write_archive(&place.path("oci.tar"), &[&made]);
        made.write_docker_archive(&place.path("docker.tar"));
        let gz = {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &place.read("docker.tar")).unwrap();
            encoder.finish().unwrap()
        };
        place.write("docker.tar.gz", gz);
        for source in [
            "oci:layout",
            "oci-archive:oci.tar",
            "docker-archive:docker.tar",
            "docker-archive:docker.tar.gz",
        ] {
            assert_eq!(
                place.packed_image_id(source),
                want.id(),
                "{source} {encoding:?}"
            );
            bundles.push(place.read("out.bin"));
        }
        fs::remove_dir_all(place.path("layout")).unwrap();
    }
    // The image is normalised, so even the bundles are the same.
    assert!(bundles.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn layers_that_are_the_same_are_stored_once() {
    let place = Place::new();
    let mut twice = image("x");
    twice.layers.push(twice.layers[0].clone());
    twice.write_docker_archive(&place.path("docker.tar"));
    assert_eq!(
        place.packed_image_id("docker-archive:docker.tar"),
        twice.id()
    );
    let shown = place.inspect();
    let layers = &shown["manifest"]["images"][0]["layers"];
    assert_eq!(layers[0], layers[2]);
    assert_eq!(shown["manifest"]["blobs"].as_array().unwrap().len(), 3);
}

#[test]
fn an_index_gives_the_image_for_the_architecture() {
    let place = Place::new();
    let amd64 = image("amd64");
    let arm64 = image("arm64").architecture("arm64", Some("v8"));
    let armv7 = image("armv7").architecture("arm", Some("v7"));
    image::write_layout(&place.path("layout"), &[&arm64, &amd64, &armv7]);
    for (arch, want) in [("amd64", &amd64), ("arm64", &arm64), ("arm/v7", &armv7)] {
        let mut command = place.command(&["pack", "compose.yaml", "--app", "kiosk"]);
        command.args([
            "--version",
            "1",
            "--seq",
            "1",
            "--arch",
            arch,
            "--key",
            "release.key",
        ]);
        command.args([
            "-o",
            "out.bin",
            "--image",
            "web=oci:layout",
            "--compression",
            "1",
        ]);
        crate::run::said(&mut command).ok();
        assert_eq!(
            place.inspect()["images"][0]["image_id"],
            want.id(),
            "{arch}"
        );
    }
    image::write_archive(&place.path("two.tar"), &[&arm64, &armv7]);
    let error = place.pack(&["--image", "web=oci-archive:two.tar"]).fails(1);
    assert!(
        error.contains("the image is for linux/arm64/v8, linux/arm/v7, not amd64"),
        "{error}"
    );
    assert!(
        error.contains("hint: build the image for that architecture"),
        "{error}"
    );
}

#[test]
fn what_is_broken_is_refused_and_nothing_is_written() {
    let place = Place::new();
    let wrong_arch = image("x").architecture("arm64", None);
    place.archive("arm64.tar", &wrong_arch);
    place.archive(
        "lie.tar",
        &Image {
            lie: true,
            ..image("x")
        },
    );
    place.archive("gzip.tar", &image("x").encoded(Encoding::Gzip));
    place.archive("good.tar", &image("x"));
    let mut cut = place.read("good.tar");
    cut.truncate(cut.len() / 2);
    place.write("cut.tar", cut);
    place.write("text.tar", "this is no archive");
    // A blob that is not what its name promises.
    image::write_layout(&place.path("changed"), &[&image("x")]);
    let config = image("x").id().replace("sha256:", "");
    place.write(
        &format!("changed/blobs/sha256/{config}"),
        r#"{"architecture":"amd64","os":"linux","rootfs":{}}"#,
    );
    // A manifest that points out of the layout.
    image::write_layout(&place.path("escape"), &[&image("x")]);
    place.write(
        "escape/index.json",
        r#"{"manifests":[{"digest":"../../etc/passwd","size":1}]}"#,
    );
    image::write_layout(&place.path("many"), &[&image("x"), &image("y")]);
    image::write_layout(&place.path("none"), &[]);

    for (source, want) in [
        ("oci-archive:missing.tar", "missing.tar: No such file"),
        ("oci-archive:text.tar", "error: oci-archive:text.tar: "),
        ("oci-archive:cut.tar", "error: oci-archive:cut.tar: "),
        ("oci:missing", "index.json is missing"),
        ("docker-archive:good.tar", "manifest.json is missing"),
        (
            "oci-archive:arm64.tar",
            "the image is for linux/arm64, not amd64",
        ),
        ("oci-archive:lie.tar", "layer 1 of 2 should have the digest"),
        (
            "oci:changed",
            "the image's configuration should have the digest",
        ),
        ("oci:escape", "is no SHA-256 digest"),
        ("oci:many", "there are 2 images in it"),
        ("oci:none", "there is no image in it"),
    ] {
        let error = place.pack(&["--image", &format!("web={source}")]).fails(1);
        assert!(error.contains(want), "{source}: {error}");
        assert!(!place.path("out.bin").exists(), "{source}");
        assert_eq!(place.left_over(), Vec::<String>::new(), "{source}");
    }
}

#[test]
fn sources_that_cannot_be_are_usage_errors() {
    let place = Place::new();
    for (source, want) in [
        ("web", "expected SERVICE=SOURCE"),
        (
            "web=app.tar",
            "is not an image source: use oci-archive:PATH",
        ),
        ("web=oci:", "is not an image source"),
        ("web=ftp:x", "is not an image source"),
        ("web=registry:ghcr.io/a/b:1", "is not pinned by digest"),
        ("web=registry:ghcr.io/a/b@sha256:12", "is not"),
    ] {
        let error = place.pack(&["--image", source]).fails(2);
        assert!(error.contains(want), "{source}: {error}");
    }
}

#[test]
fn times_of_the_build_are_warned_about_once_per_image() {
    let place = Place::new();
    let mut rebuilt = image("x");
    rebuilt.layers[1] = image::layer("app/main.js", b"x", image::CREATED - 30);
    rebuilt
        .layers
        .push(image::layer("app/more.js", b"x", image::CREATED + 30));
    let source = place.archive("rebuilt.tar", &rebuilt);
    let said = place.pack(&["--quiet", "--image", &format!("web={source}")]);
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    for part in [
        "warning: web: 2 files carry the time of the build",
        "app/main.js",
        "SOURCE_DATE_EPOCH",
        "--rewrite-timestamp",
    ] {
        assert!(said.err.contains(part), "{}", said.err);
    }
    let source = place.archive("clamped.tar", &image("x"));
    let said = place.pack(&["--quiet", "--image", &format!("web={source}")]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}
