//! A real registry that speaks HTTPS with a certificate of a private authority, at an address
//! that is not this machine's loopback.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::Sandbox;

use crate::image::{Encoding, image};
use crate::run::{Place, said};

const ADDRESS: &str = "10.213.0.1:5443";

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(folder: &Path, line: &str) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    said(command.args(words).current_dir(folder)).ok();
}

/// An authority, and a certificate by it for the registry's address.
fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(folder.join("san"), "subjectAltName=IP:10.213.0.1\n").unwrap();
    for line in [
        format!("openssl req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority -days 2"),
        format!("openssl req {key} -keyout tls.key -out tls.csr -subj /CN=registry"),
        "openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -out tls.pem -days 2 -extfile san"
            .to_string(),
    ] {
        run(folder, &line);
    }
}

#[test]
fn a_registry_over_https_with_a_private_authority() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("not run: openssl is not installed");
        return;
    }
    let sandbox = Sandbox::new().unwrap();
    let folder = sandbox.folder("tls").unwrap();
    certificates(&folder);
    run(&folder, "ip address add 10.213.0.1/32 dev lo");
    std::fs::write(
        folder.join("config.yml"),
        format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: data}}}}\n\
             http: {{addr: \"{ADDRESS}\", tls: {{certificate: tls.pem, key: tls.key}}}}\n"
        ),
    )
    .unwrap();
    let mut registry = Command::new("docker-registry");
    registry.args(["serve", "config.yml"]).current_dir(&folder);
    let child = registry.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _registry = Running(child.unwrap());
    e2e::wait_until("the registry", Duration::from_secs(30), || {
        Ok(TcpStream::connect(ADDRESS).ok())
    })
    .unwrap();

    let place = Place::new();
    let want = image("over https").encoded(Encoding::Gzip);
    place.archive("web.tar", &want);
    let (tag, digest_file) = (
        format!("docker://{ADDRESS}/team/web:1"),
        folder.join("digest"),
    );
    run(
        &place.path(""),
        &format!(
            "skopeo --insecure-policy copy --quiet --dest-tls-verify=false --digestfile {} oci-archive:web.tar {tag}",
            digest_file.display()
        ),
    );
    let digest = std::fs::read_to_string(&digest_file).unwrap();
    let source = format!("web=registry:{ADDRESS}/team/web@{}", digest.trim());

    let error = place.pack(&["--image", &source]).fails(1);
    assert!(error.contains("UnknownIssuer"), "{error}");
    let mut command = place.pack_command(&["--image", &source]);
    said(command.env("SSL_CERT_FILE", folder.join("ca.pem"))).ok();
    assert_eq!(place.inspect()["images"][0]["image_id"], want.id());
}
