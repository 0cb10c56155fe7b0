//! What a real container finds: its network, files, limits and privileges.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;

use bundle::VolumeName;
use bundle::manifest::{
    BindMount, Device, FileId, FileMount, Port, Protocol, Tmpfs, Ulimit, VolumeMount,
};
use runtime_shim::{ContainerId, ContainerSpec, EXEC_OUTPUT_BYTES_MAX, RuntimeError};

use crate::fixture::{Behaviour, Fixture, app, bridge, import, spec, started, text, texts};

/// What a shell script in the container writes; it must succeed.
async fn sh(fixture: &dyn Fixture, id: &ContainerId, script: &str) -> String {
    let command = ["/bin/sh", "-c", script];
    let output = fixture.runtime().exec(id, &command, 60_000).await.unwrap();
    let text = String::from_utf8_lossy(&output.output).trim().to_owned();
    assert_eq!(output.code, 0, "{script}: {text}");
    text
}

async fn on_bridge(fixture: &dyn Fixture, service: &str) -> ContainerSpec {
    let network = "coracle_a_net";
    fixture
        .runtime()
        .ensure_network(&app("a"), network)
        .await
        .unwrap();
    let mut spec = spec(fixture, "a", service);
    spec.service.network = bridge();
    spec
}

pub(crate) async fn names_resolve_on_a_network(fixture: &dyn Fixture) {
    let mut web = on_bridge(fixture, "web").await;
    if let bundle::manifest::NetworkMode::Bridge(networks) = &mut web.service.network {
        networks[0].aliases = texts(&["www"]);
    }
    import(fixture).await;
    web.service.environment = vec![(text("PORT"), text("8081"))];
    let web = fixture.runtime().create(&web).await.unwrap();
    fixture.runtime().start(&web).await.unwrap();
    let client = on_bridge(fixture, "client").await;
    let client = started(fixture, client, Behaviour::Runs).await;
    for name in ["web", "www"] {
        let script = format!(
            "for n in 1 2 3 4 5 6 7 8 9; do wget -qO- http://{name}:8081/ && exit; sleep 1; done; exit 1"
        );
        let answer = sh(fixture, &client, &script).await;
        assert!(answer.ends_with("{\"version\": 1}"), "{answer}");
    }
    assert_eq!(sh(fixture, &client, "hostname").await, "client");
    let there = fixture.runtime().inspect(&client.0).await.unwrap().unwrap();
    let addresses = sh(fixture, &client, "ip -4 addr show eth0").await;
    assert!(
        addresses.contains(&there.addresses[0].to_string()),
        "{addresses}"
    );
}

pub(crate) async fn a_published_port_answers(fixture: &dyn Fixture) {
    let mut spec = on_bridge(fixture, "web").await;
    spec.service.ports = vec![Port {
        host_ip: Some(text("127.0.0.1")),
        host: 18_080,
        container: 8080,
        protocol: Protocol::Tcp,
    }];
    import(fixture).await;
    let id = fixture.runtime().create(&spec).await.unwrap();
    fixture.runtime().start(&id).await.unwrap();
    let answer = e2e::wait_until(
        "the port to answer",
        std::time::Duration::from_secs(30),
        || {
            let Ok(mut stream) = std::net::TcpStream::connect("127.0.0.1:18080") else {
                return Ok(None);
            };
            stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer);
            Ok(read
                .is_ok()
                .then_some(answer)
                .filter(|answer| !answer.is_empty()))
        },
    );
    assert!(answer.unwrap().ends_with("ok\n"));
}

pub(crate) async fn a_volume_keeps_its_content(fixture: &dyn Fixture) {
    let runtime = fixture.runtime();
    let folder = runtime
        .ensure_volume(&app("a"), "coracle_a_data")
        .await
        .unwrap();
    let with_volume = |service: &str, read_only| {
        let mut spec = spec(fixture, "a", service);
        spec.service.volumes = vec![VolumeMount {
            volume: VolumeName::new("data").unwrap(),
            target: text("/data"),
            read_only,
        }];
        spec
    };
    let writer = started(fixture, with_volume("writer", false), Behaviour::Runs).await;
    sh(fixture, &writer, "echo kept > /data/file").await;
    runtime.remove(&writer).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.join("file")).unwrap(),
        "kept\n"
    );
    let reader = started(fixture, with_volume("reader", true), Behaviour::Runs).await;
    assert_eq!(sh(fixture, &reader, "cat /data/file").await, "kept");
    sh(fixture, &reader, "! echo changed > /data/file").await;
}

pub(crate) async fn files_are_read_only_with_their_mode(fixture: &dyn Fixture) {
    let dir = tempfile::tempdir().unwrap();
    let (source, socket) = (dir.path().join("f"), dir.path().join("app.sock"));
    std::fs::write(&source, "key=value\n").unwrap();
    std::fs::set_permissions(&source, PermissionsExt::from_mode(0o440)).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut spec = spec(fixture, "a", "web");
    spec.service.files = vec![FileMount {
        file: FileId(0),
        target: text("/etc/app/app.conf"),
        mode: 0o440,
        uid: 0,
        gid: 0,
    }];
    spec.api_socket = Some(socket);
    let refused = fixture.runtime().create(&spec).await.unwrap_err();
    assert!(
        matches!(refused, RuntimeError::Refused { .. }),
        "no source: {refused}"
    );
    spec.file_sources = vec![source];
    let id = started(fixture, spec, Behaviour::Runs).await;
    let seen = sh(
        fixture,
        &id,
        "stat -c %a:%u:%g /etc/app/app.conf; cat /etc/app/app.conf",
    )
    .await;
    assert_eq!(seen, "440:0:0\nkey=value");
    sh(fixture, &id, "! echo x >> /etc/app/app.conf").await;
    sh(fixture, &id, "test -S /run/coracle/app.sock").await;
}

pub(crate) async fn the_process_is_as_described(fixture: &dyn Fixture) {
    let mut spec = on_bridge(fixture, "web").await;
    let service = &mut spec.service;
    service.environment = vec![
        (text("GREETING"), text("a \"b\" $HOME\nc")),
        (text("PORT"), text("99")),
    ];
    service.user = Some(text("1000:33"));
    service.working_dir = Some(text("/www"));
    service.hostname = Some(text("kiosk"));
    service.extra_hosts = vec![(text("broker"), text("10.1.2.3"))];
    service.labels = Vec::new();
    let id = started(fixture, spec, Behaviour::Runs).await;
    assert_eq!(
        sh(fixture, &id, "echo \"$GREETING\"").await,
        "a \"b\" $HOME\nc"
    );
    assert_eq!(
        sh(fixture, &id, "echo $PORT; env | grep -ci proxy || true").await,
        "99\n0"
    );
    assert_eq!(
        sh(fixture, &id, "id -u; id -g; pwd; hostname").await,
        "1000\n33\n/www\nkiosk"
    );
    assert_eq!(
        sh(fixture, &id, "grep -c '^10.1.2.3.broker$' /etc/hosts").await,
        "1"
    );
}

pub(crate) async fn the_file_system_is_as_described(fixture: &dyn Fixture) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("there"), "x").unwrap();
    let mut spec = spec(fixture, "a", "web");
    spec.service.read_only = true;
    spec.service.tmpfs = vec![Tmpfs {
        target: text("/scratch"),
        bytes_max: Some(1 << 20),
    }];
    let bind = |target: &str, read_only| BindMount {
        source: text(dir.path().to_str().unwrap()),
        target: text(target),
        read_only,
    };
    spec.service.binds = vec![bind("/bind-ro", true), bind("/bind-rw", false)];
    spec.service.devices = vec![Device {
        source: text("/dev/null"),
        target: text("/dev/nothing"),
        permissions: text("rw"),
    }];
    let id = started(fixture, spec, Behaviour::Runs).await;
    sh(fixture, &id, "! touch /data/file").await;
    sh(
        fixture,
        &id,
        "cat /bind-ro/there && ! touch /bind-ro/new && touch /bind-rw/new",
    )
    .await;
    assert!(dir.path().join("new").exists());
    let script = "echo x > /scratch/small && ! head -c 2000000 /dev/zero > /scratch/big";
    sh(fixture, &id, script).await;
    sh(
        fixture,
        &id,
        "test -c /dev/nothing && echo x > /dev/nothing",
    )
    .await;
}

pub(crate) async fn limits_hold(fixture: &dyn Fixture) {
    let mut spec = on_bridge(fixture, "web").await;
    let service = &mut spec.service;
    service.limits.memory_bytes = Some(64 << 20);
    service.limits.pids = Some(20);
    service.limits.cpu_milli = Some(500);
    service.limits.cpu_shares = Some(512);
    let ulimit = |name: &str, soft, hard| Ulimit {
        name: text(name),
        soft,
        hard,
    };
    // podman raises the other of these two to its own maximum once one is given, which machines
    // without CAP_SYS_RESOURCE refuse.
    service.ulimits = vec![ulimit("nofile", 100, 200), ulimit("nproc", 4000, 4096)];
    service.sysctls = vec![(text("net.ipv4.ip_unprivileged_port_start"), text("70"))];
    let id = started(fixture, spec, Behaviour::Runs).await;
    // The first of each pair is of cgroup v2, the second of v1.
    let cgroup =
        |v2: &str, v1: &str| format!("cd /sys/fs/cgroup; cat {v2} 2>/dev/null || cat {v1}");
    let memory = cgroup("memory.max", "memory/memory.limit_in_bytes");
    assert_eq!(sh(fixture, &id, &memory).await, (64 << 20).to_string());
    assert_eq!(
        sh(fixture, &id, &cgroup("pids.max", "pids/pids.max")).await,
        "20"
    );
    let cpu = sh(fixture, &id, &cgroup("cpu.max", "cpu/cpu.cfs_quota_us")).await;
    assert_eq!(cpu.split(' ').next(), Some("50000"));
    // busybox's `ulimit -S` shows the hard limit.
    let ulimits = "grep '^Max open files' /proc/1/limits | tr -s ' '";
    assert_eq!(
        sh(fixture, &id, ulimits).await,
        "Max open files 100 200 files"
    );
    let ports = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(sh(fixture, &id, ports).await, "70");
}

pub(crate) async fn privileges_are_as_described(fixture: &dyn Fixture) {
    let status = "grep -E 'CapEff|NoNewPrivs' /proc/1/status | tr -s '\\t' ' '";
    let mut few = spec(fixture, "a", "few");
    few.service.cap_drop = texts(&["ALL"]);
    few.service.cap_add = texts(&["NET_BIND_SERVICE"]);
    few.service.no_new_privileges = true;
    few.service.init = false;
    let few = started(fixture, few, Behaviour::Runs).await;
    // CAP_NET_BIND_SERVICE is bit 10 (capabilities(7)).
    let seen = sh(fixture, &few, status).await;
    assert_eq!(seen, "CapEff: 0000000000000400\nNoNewPrivs: 1");
    let mut all = spec(fixture, "a", "all");
    all.service.privileged = true;
    let all = started(fixture, all, Behaviour::Runs).await;
    let seen = sh(fixture, &all, status).await;
    let caps = seen.split_whitespace().nth(1).unwrap();
    let caps = u64::from_str_radix(caps, 16).unwrap();
    assert!(
        caps.count_ones() > 20 && seen.ends_with("NoNewPrivs: 0"),
        "{seen}"
    );
}

pub(crate) async fn output_of_commands_is_bounded(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let command = ["head", "-c", "5000000", "/dev/zero"];
    let output = fixture.runtime().exec(&id, &command, 60_000).await.unwrap();
    assert_eq!(
        (output.code, output.output.len()),
        (0, EXEC_OUTPUT_BYTES_MAX)
    );
}

pub(crate) async fn a_command_that_takes_too_long_is_killed(fixture: &dyn Fixture) {
    let id = started(fixture, spec(fixture, "a", "web"), Behaviour::Runs).await;
    let command = ["sleep", "7777"];
    let error = fixture
        .runtime()
        .exec(&id, &command, 700)
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::TimedOut), "{error}");
    // The kill is not waited for.
    let script =
        "for n in 1 2 3 4 5 6 7 8 9; do pgrep -f 'sleep 777[7]' || exit 0; sleep 1; done; exit 1";
    sh(fixture, &id, script).await;
}

pub(crate) async fn what_the_image_says_holds_unless_replaced(fixture: &dyn Fixture) {
    import(fixture).await;
    let mut plain = spec(fixture, "a", "plain");
    plain.service.user = None;
    plain.service.environment = vec![(text("PORT"), text("8082"))];
    let plain = fixture.runtime().create(&plain).await.unwrap();
    fixture.runtime().start(&plain).await.unwrap();
    let seen = sh(fixture, &plain, "id -u; tr '\\0' ' ' < /proc/1/cmdline").await;
    assert_eq!(seen, "1000\nhttpd -f -vv -p 8082 -h /www");
    let mut replaced = spec(fixture, "a", "replaced");
    replaced.service.entrypoint = Some(texts(&["/bin/sleep"]));
    replaced.service.command = Some(texts(&["1000"]));
    let replaced = fixture.runtime().create(&replaced).await.unwrap();
    fixture.runtime().start(&replaced).await.unwrap();
    let seen = sh(fixture, &replaced, "tr '\\0' ' ' < /proc/1/cmdline").await;
    assert_eq!(seen, "/bin/sleep 1000");
}
