//! The commands and flags as data: parsing, `--help`, the man page, the completions and
//! `docs/agent-cli.md` all come from here. Never does anything.

use crate::exit;

/// A flag.
pub struct Flag {
    /// Its name, without the hyphens.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// What stands for its value in a help text; none if it takes none.
    pub value: Option<&'static str>,
    /// One line about it.
    pub help: &'static str,
}

/// A command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What comes after it, as a help text writes it: `BUNDLE`, `[APP]`; may be empty.
    pub operand: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// What a person must know before using it, in short paragraphs.
    pub about: &'static [&'static str],
    /// Its own flags.
    pub flags: &'static [Flag],
    /// Command lines, each with what it does.
    pub examples: &'static [(&'static str, &'static str)],
    /// The exit codes to expect, beside those of every command.
    pub codes: &'static [u8],
}

impl Command {
    /// Whether its operand must be given.
    pub fn needs_operand(&self) -> bool {
        !self.operand.is_empty() && !self.operand.starts_with('[')
    }

    /// The command with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        COMMANDS.iter().find(|command| command.name == name)
    }
}

/// What every exit code means.
pub static EXIT_CODES: [(u8, &str); 11] = [
    (exit::DONE, "done"),
    (
        exit::FAILURE,
        "failed, for a reason that no other code names",
    ),
    (
        exit::USAGE,
        "the command line or the configuration is wrong",
    ),
    (
        exit::REFUSED,
        "the bundle was refused: signature, target, expiry, sequence",
    ),
    (exit::NO_SPACE, "not enough space on the disk"),
    (
        exit::RUNTIME_UNREACHABLE,
        "the container runtime does not answer",
    ),
    (
        exit::DOWNLOAD_FAILED,
        "the bundle could not be read to its end, or the relay does not answer",
    ),
    (exit::LOCKED, "locked, or outside its window"),
    (exit::ROLLED_BACK, "the update failed and was rolled back"),
    (
        exit::ROLLBACK_FAILED,
        "the update failed, and so did the rollback",
    ),
    (
        exit::ALREADY_CURRENT,
        "this bundle runs already, with these settings",
    ),
];

/// The codes that any command may end with.
pub static COMMON_CODES: [u8; 3] = [exit::DONE, exit::FAILURE, exit::USAGE];

const fn switch(long: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag {
        long,
        short,
        value: None,
        help,
    }
}

const fn option(
    long: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        long,
        short,
        value: Some(value),
        help,
    }
}

/// The flags of every command. The settings (`config::KEYS`) are flags of every command too.
pub static GLOBAL_FLAGS: [Flag; 7] = [
    switch(
        "help",
        Some('h'),
        "Say what the agent, or a command, can do",
    ),
    switch("version", Some('V'), "Print the version"),
    switch(
        "json",
        None,
        "Print JSON on standard output, and nothing else there",
    ),
    switch(
        "quiet",
        Some('q'),
        "Print results and errors only; log warnings and errors only",
    ),
    switch("verbose", Some('v'), "Log more; twice: log everything"),
    switch(
        "no-color",
        None,
        "Print without colours (so does NO_COLOR in the environment)",
    ),
    option(
        "config",
        None,
        "FILE",
        "Configuration, with conf.d next to it (CORACLE_CONFIG)",
    ),
];

/// Every command, in the order of the help text.
pub static COMMANDS: [Command; 12] = [
    Command {
        name: "run",
        operand: "",
        summary: "Run as the daemon: watch the apps, take requests",
        about: &[
            "Starts what the device should run, restarts what crashes, and takes requests from \
             the other commands on its control socket. Under systemd it reports when it is \
             ready, what it does, and that it is alive.",
            "Containers keep running when it ends, and a later one takes them up again. Where the \
             container runtime does not answer, it says so and tries again.",
        ],
        flags: &[],
        examples: &[
            (
                "agent run",
                "with the configuration in /etc/coracle/agent.toml",
            ),
            (
                "agent run --config /tmp/a/agent.toml -v",
                "a second one, beside it, that logs more",
            ),
        ],
        codes: &[],
    },
    Command {
        name: "apply",
        operand: "BUNDLE",
        summary: "Bring a bundle in, switch to it, and keep it if it is well",
        about: &[
            "Checks the bundle, brings its images in, replaces the services that change, and \
             watches them for the trial time. If one fails, the version before comes back by \
             itself. Nothing stops before everything is there.",
            "Works with the daemon and without it. Ctrl-C stops the wait, not the update.",
        ],
        flags: &[],
        examples: &[
            (
                "agent apply /media/usb/kiosk.bin",
                "update from a USB stick",
            ),
            ("agent apply kiosk.bin --json --quiet", "for a script"),
        ],
        codes: &[
            exit::REFUSED,
            exit::NO_SPACE,
            exit::RUNTIME_UNREACHABLE,
            exit::DOWNLOAD_FAILED,
            exit::LOCKED,
            exit::ROLLED_BACK,
            exit::ROLLBACK_FAILED,
            exit::ALREADY_CURRENT,
        ],
    },
    Command {
        name: "plan",
        operand: "BUNDLE",
        summary: "Say what applying a bundle would change; change nothing",
        about: &[
            "Names the services that would be kept, created, replaced or removed, how much would \
             be read, how much disk it would take, and what stands against it.",
        ],
        flags: &[],
        examples: &[(
            "agent plan /media/usb/kiosk.bin",
            "what would this stick do?",
        )],
        codes: &[
            exit::REFUSED,
            exit::RUNTIME_UNREACHABLE,
            exit::DOWNLOAD_FAILED,
        ],
    },
    Command {
        name: "verify",
        operand: "BUNDLE",
        summary: "Check a bundle's signature, target and every byte",
        about: &[
            "Needs the release keys, but neither the daemon nor a container runtime, and changes \
             nothing. Says who signed it and what it is for.",
        ],
        flags: &[switch(
            "any-target",
            None,
            "Accept a bundle for other devices too",
        )],
        examples: &[
            ("agent verify kiosk.bin", "would this device take it?"),
            (
                "agent verify --any-target --keys-dir keys kiosk.bin",
                "on another machine",
            ),
        ],
        codes: &[exit::REFUSED, exit::DOWNLOAD_FAILED],
    },
    Command {
        name: "status",
        operand: "",
        summary: "Show this device, its apps and their services",
        about: &[
            "Shows each app's version and state, how its last update ended, and its services.",
        ],
        flags: &[],
        examples: &[
            ("agent status", "for a person"),
            ("agent status --json", "for a script"),
        ],
        codes: &[],
    },
    Command {
        name: "ps",
        operand: "",
        summary: "List the containers that the agent runs",
        about: &["Lists the containers of all apps. Containers of others are not shown."],
        flags: &[],
        examples: &[("agent ps", "all of them")],
        codes: &[exit::RUNTIME_UNREACHABLE],
    },
    Command {
        name: "logs",
        operand: "[APP[/SERVICE]]",
        summary: "Show what the services wrote",
        about: &[
            "Shows the lines of one service, or of all services of an app. The app may be left \
             out where there is only one. Control characters are shown, never sent to the \
             terminal. With --json, each line is a JSON object.",
        ],
        flags: &[
            switch("follow", Some('f'), "Wait for further lines, until Ctrl-C"),
            option(
                "tail",
                Some('n'),
                "N",
                "At most the last N lines of each service",
            ),
            option(
                "since",
                None,
                "TIME",
                "None older: 10m, 2h, 7d, or 2026-11-22T05:30:00Z",
            ),
        ],
        examples: &[
            ("agent logs", "all lines of the only app"),
            (
                "agent logs kiosk/nginx --follow --tail 20",
                "watch one service",
            ),
            ("agent logs kiosk --since 10m", "the last ten minutes"),
        ],
        codes: &[exit::RUNTIME_UNREACHABLE],
    },
    Command {
        name: "history",
        operand: "[APP]",
        summary: "Show how updates ended, newest first",
        about: &["Shows each update with its version, its result, and why it did not go well."],
        flags: &[],
        examples: &[("agent history kiosk", "of one app")],
        codes: &[],
    },
    Command {
        name: "rollback",
        operand: "[APP]",
        summary: "Return an app to the version before",
        about: &[
            "Returns to the version that ran before the last update. The app may be left out \
             where there is only one. Ctrl-C stops the wait, not the rollback.",
        ],
        flags: &[],
        examples: &[("agent rollback kiosk", "undo the last update")],
        codes: &[
            exit::REFUSED,
            exit::NO_SPACE,
            exit::RUNTIME_UNREACHABLE,
            exit::LOCKED,
            exit::ROLLED_BACK,
            exit::ROLLBACK_FAILED,
        ],
    },
    Command {
        name: "remove",
        operand: "APP",
        summary: "Stop an app and remove its containers; volumes stay",
        about: &["Its volumes stay, so that applying a bundle again finds its data."],
        flags: &[],
        examples: &[("agent remove kiosk", "stop the app for good")],
        codes: &[exit::RUNTIME_UNREACHABLE, exit::LOCKED],
    },
    Command {
        name: "doctor",
        operand: "",
        summary: "Check that this device is fit, and say what to do",
        about: &["Ends with 1 if a check failed; warnings alone end with 0."],
        flags: &[],
        examples: &[("agent doctor", "before the first update")],
        codes: &[],
    },
    Command {
        name: "enroll",
        operand: "URL",
        summary: "Make this device known to a relay, with a one-time token",
        about: &[
            "The device makes a key of its own, which never leaves it, and says what it is. From \
             then on the running agent checks in with the relay by itself; what runs on the \
             device does not change.",
            "The token comes from `relay token enroll`: pass it with --token, in \
             CORACLE_ENROLL_TOKEN, or in a file. If the relay has a certificate authority of its \
             own, pass its certificate with --relay-ca. Enrolling again, also at another relay, \
             takes the place of what was before.",
        ],
        flags: &[
            option(
                "token",
                None,
                "TOKEN",
                "The one-time token (CORACLE_ENROLL_TOKEN)",
            ),
            option(
                "token-file",
                None,
                "FILE",
                "Read the token from a file; - is standard input",
            ),
        ],
        examples: &[
            (
                "agent enroll https://relay.example --token cet_...",
                "the system trusts the relay's certificate",
            ),
            (
                "agent enroll https://10.0.0.5:8443 --relay-ca ca.pem --token-file -",
                "a relay with an authority of its own; the token from standard input",
            ),
        ],
        codes: &[exit::DOWNLOAD_FAILED],
    },
];
