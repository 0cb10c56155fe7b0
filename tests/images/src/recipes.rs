//! What is in each image.
//!
//! Every image runs as a user of its own without capabilities, writes only below `/data` or
//! `/tmp`, and logs to its standard output.

use std::collections::BTreeMap;

use serde_json::json;

use crate::layer::{ImageRecipe, LayerRecipe, Step};
use crate::oci::Config;
use crate::{Image, Version};

/// The busybox programs that get a name in `/usr/bin`.
const APPLETS: &[&str] = &[
    "ash",
    "awk",
    "basename",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "du",
    "echo",
    "env",
    "false",
    "find",
    "free",
    "grep",
    "head",
    "hostname",
    "httpd",
    "id",
    "ip",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "nc",
    "netstat",
    "nslookup",
    "od",
    "ping",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "vi",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "yes",
];

/// The recipe of one image.
pub(crate) fn recipe(image: Image, version: Version) -> ImageRecipe {
    match image {
        Image::Tiny => tiny(version),
        Image::Mosquitto => mosquitto(version),
        Image::Nginx => nginx(version),
        Image::NodeRed => node_red(version),
    }
}

/// Folders, users and busybox.
fn skeleton() -> Vec<Step> {
    let dir = |path, mode, owner| Step::Dir { path, mode, owner };
    let link = |path: &str, target| Step::Link {
        path: path.to_owned(),
        target,
    };
    let file = |path, text: &str| Step::File {
        path,
        mode: 0o644,
        text: text.to_owned(),
    };
    let mut steps = vec![
        dir("dev", 0o755, 0),
        dir("proc", 0o755, 0),
        dir("sys", 0o755, 0),
        dir("run", 0o755, 0),
        dir("root", 0o700, 0),
        dir("tmp", 0o1777, 0),
        dir("var/tmp", 0o1777, 0),
        link("bin", "usr/bin"),
        link("sbin", "usr/sbin"),
        link("lib", "usr/lib"),
        link("lib64", "usr/lib64"),
        dir("usr/sbin", 0o755, 0),
        dir("usr/lib", 0o755, 0),
        dir("usr/lib64", 0o755, 0),
        file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\n\
             www-data:x:33:33:www-data:/var/www:/bin/sh\n\
             app:x:1000:1000:app:/data:/bin/sh\n\
             mosquitto:x:1883:1883:mosquitto:/data:/bin/sh\n\
             nobody:x:65534:65534:nobody:/:/bin/false\n",
        ),
        file(
            "etc/group",
            "root:x:0:\nwww-data:x:33:\napp:x:1000:\nmosquitto:x:1883:\nnogroup:x:65534:\n",
        ),
        file(
            "etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\n",
        ),
        Step::Packages {
            names: &["busybox-static"],
            release: None,
        },
    ];
    steps.extend(APPLETS.iter().map(|applet| Step::Link {
        path: format!("usr/bin/{applet}"),
        target: "busybox",
    }));
    steps
}

/// The layer under all images but `tiny`.
fn base() -> LayerRecipe {
    let mut steps = skeleton();
    let names = &["libc6", "libgcc-s1", "libssl3", "libstdc++6", "zlib1g"];
    steps.push(Step::Packages {
        names,
        release: None,
    });
    LayerRecipe {
        name: "base",
        steps,
    }
}

fn config(image: Image, version: Version, user: &'static str, port: &'static str) -> Config {
    let labels = BTreeMap::from([
        ("org.opencontainers.image.title", image.name().to_owned()),
        (
            "org.opencontainers.image.version",
            version.number().to_string(),
        ),
    ]);
    Config {
        user,
        env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        working_dir: "/",
        exposed_ports: BTreeMap::from([(port, json!({}))]),
        labels,
        stop_signal: "SIGTERM",
    }
}

fn tiny(version: Version) -> ImageRecipe {
    let page = format!("{{\"version\": {}}}\n", version.number());
    let content = vec![
        Step::File {
            path: "www/index.html",
            mode: 0o644,
            text: page,
        },
        Step::File {
            path: "www/health",
            mode: 0o644,
            text: "ok\n".to_owned(),
        },
        Step::Dir {
            path: "data",
            mode: 0o755,
            owner: 1000,
        },
    ];
    let mut config = config(Image::Tiny, version, "1000", "8080/tcp");
    config.env.push("PORT=8080");
    config.cmd = vec!["/bin/sh", "-c", "exec httpd -f -vv -p \"$PORT\" -h /www"];
    // The first process of a container ignores signals that it has no handler for.
    config.stop_signal = "SIGKILL";
    ImageRecipe {
        name: Image::Tiny.name(),
        version,
        layers: vec![
            LayerRecipe {
                name: "busybox",
                steps: skeleton(),
            },
            LayerRecipe {
                name: "tiny content",
                steps: content,
            },
        ],
        config,
    }
}

fn mosquitto(version: Version) -> ImageRecipe {
    let settings = format!(
        "# Release {} of the test image.\n\
         listener 1883 0.0.0.0\n\
         allow_anonymous true\n\
         persistence true\n\
         persistence_location /data/\n\
         autosave_interval 60\n\
         sys_interval {}\n\
         log_dest stderr\n",
        version.number(),
        3 - version.number(),
    );
    let names = &["mosquitto", "libmosquitto1", "mosquitto-clients"];
    let steps = vec![
        Step::Packages {
            names,
            release: Some(version),
        },
        Step::Dir {
            path: "data",
            mode: 0o755,
            owner: 1883,
        },
        Step::File {
            path: "etc/mosquitto/mosquitto.conf",
            mode: 0o644,
            text: settings,
        },
    ];
    let mut config = config(Image::Mosquitto, version, "1883", "1883/tcp");
    config.cmd = vec!["mosquitto", "-c", "/etc/mosquitto/mosquitto.conf"];
    ImageRecipe {
        name: Image::Mosquitto.name(),
        version,
        layers: vec![
            base(),
            LayerRecipe {
                name: "mosquitto",
                steps,
            },
        ],
        config,
    }
}

fn nginx(version: Version) -> ImageRecipe {
    let settings = "worker_processes 1;\n\
        pid /tmp/nginx.pid;\n\
        error_log stderr;\n\
        events { worker_connections 256; }\n\
        http {\n\
        \x20   include /etc/nginx/mime.types;\n\
        \x20   default_type text/plain;\n\
        \x20   access_log /dev/stdout;\n\
        \x20   client_body_temp_path /tmp/body;\n\
        \x20   proxy_temp_path /tmp/proxy;\n\
        \x20   fastcgi_temp_path /tmp/fastcgi;\n\
        \x20   uwsgi_temp_path /tmp/uwsgi;\n\
        \x20   scgi_temp_path /tmp/scgi;\n\
        \x20   include /tmp/resolver*.conf;\n\
        \x20   include /etc/nginx/conf.d/*.conf;\n\
        }\n";
    // nginx looks names up again only through a resolver that its configuration names; IPv6 is off
    // because podman 4 passes that question on to a DNS server that an offline device cannot reach.
    let start = "#!/bin/sh\n\
        server=$(awk '$1 == \"nameserver\" && $2 !~ /:/ { print $2; exit }' /etc/resolv.conf)\n\
        [ -z \"$server\" ] || echo \"resolver $server valid=1s ipv6=off;\" > /tmp/resolver.conf\n\
        exec nginx -e stderr -g 'daemon off;'\n";
    let site = "server {\n    listen 8080;\n    root /var/www/html;\n}\n";
    let page = format!("nginx test image {}\n", version.number());
    let file = |path, text: String| Step::File {
        path,
        mode: 0o644,
        text,
    };
    let steps = vec![
        Step::Packages {
            names: &["nginx", "nginx-common"],
            release: Some(version),
        },
        file("etc/nginx/nginx.conf", settings.to_owned()),
        file("etc/nginx/conf.d/default.conf", site.to_owned()),
        file("var/www/html/index.html", page),
        Step::File {
            path: "usr/bin/nginx-start",
            mode: 0o755,
            text: start.to_owned(),
        },
    ];
    let mut config = config(Image::Nginx, version, "33", "8080/tcp");
    config.cmd = vec!["nginx-start"];
    config.stop_signal = "SIGQUIT";
    ImageRecipe {
        name: Image::Nginx.name(),
        version,
        layers: vec![
            base(),
            LayerRecipe {
                name: "nginx",
                steps,
            },
        ],
        config,
    }
}

fn node_red(version: Version) -> ImageRecipe {
    let (package, release) = match version {
        Version::V1 => ("node-red@4.0.8", "4.0.8"),
        Version::V2 => ("node-red@4.0.9", "4.0.9"),
    };
    // No editor on an appliance, and nothing that writes into the flow's folder.
    let settings = "module.exports = {\n\
        \x20   userDir: '/data',\n\
        \x20   flowFile: process.env.FLOWS || '/data/flows.json',\n\
        \x20   uiPort: Number(process.env.PORT || 1880),\n\
        \x20   readOnly: true,\n\
        \x20   httpAdminRoot: false,\n\
        \x20   disableEditor: true,\n\
        \x20   credentialSecret: false,\n\
        \x20   functionExternalModules: false,\n\
        \x20   logging: { console: { level: 'info', metrics: false, audit: false } },\n\
        };\n";
    let node = vec![Step::Packages {
        names: &["nodejs"],
        release: None,
    }];
    let steps = vec![
        Step::Npm {
            path: "opt/node-red",
            package,
        },
        Step::File {
            path: "etc/node-red/settings.js",
            mode: 0o644,
            text: settings.to_owned(),
        },
        Step::Dir {
            path: "data",
            mode: 0o755,
            owner: 1000,
        },
    ];
    let mut config = config(Image::NodeRed, version, "1000", "1880/tcp");
    config.env.push("NODE_ENV=production");
    config.entrypoint = vec![
        "node",
        "--max-old-space-size=128",
        "/opt/node-red/node_modules/node-red/red.js",
        "--settings",
        "/etc/node-red/settings.js",
    ];
    config.working_dir = "/data";
    config
        .labels
        .insert("org.opencontainers.image.version", release.to_owned());
    config.stop_signal = "SIGINT";
    ImageRecipe {
        name: Image::NodeRed.name(),
        version,
        layers: vec![
            base(),
            LayerRecipe {
                name: "nodejs",
                steps: node,
            },
            LayerRecipe {
                name: "node-red",
                steps,
            },
        ],
        config,
    }
}
