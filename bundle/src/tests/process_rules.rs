//! Clauses B40 to B47: environment, labels, signals, users, limits.

use super::base::*;
use crate::manifest::{Ulimit, VolumeMount};

#[test]
fn environment_that_is_ambiguous_is_refused() {
    refuses(&[
        ("out of order", "B40", |m| {
            m.services[0].environment.swap(0, 1)
        }),
        ("a name twice", "B40", |m| {
            m.services[0].environment[1].0 = text("PRICE");
        }),
        ("an empty name", "B40", |m| {
            m.services[0].environment[0].0 = text("")
        }),
        ("a name with =", "B40", |m| {
            m.services[0].environment[0].0 = text("A=B")
        }),
    ]);
}

#[test]
fn placeholders_of_undeclared_variables_are_refused() {
    refuses(&[
        ("undeclared", "B41", |m| {
            m.services[0].environment[1].1 = text("${OTHER}")
        }),
        ("empty", "B41", |m| {
            m.services[0].environment[1].1 = text("${}")
        }),
        ("a default within", "B41", |m| {
            m.services[0].environment[1].1 = text("${SITE:-home}");
        }),
        ("unclosed", "B41", |m| {
            m.services[0].environment[1].1 = text("${SITE")
        }),
    ]);
    accepts(&[
        ("escaped", |m| {
            m.services[0].environment[1].1 = text("$${OTHER}")
        }),
        ("a lone dollar", |m| {
            m.services[0].environment[1].1 = text("$OTHER $ 5$")
        }),
        ("twice", |m| {
            m.services[0].environment[1].1 = text("${SITE}${COUNT}")
        }),
    ]);
}

#[test]
fn labels_that_pass_for_coracles_own_are_refused() {
    refuses(&[
        ("coracle.app", "B42", |m| {
            m.services[0].labels[0].0 = text("coracle.app")
        }),
        ("coracle.", "B42", |m| {
            m.services[0].labels[0].0 = text("coracle.")
        }),
        ("an empty name", "B42", |m| {
            m.services[0].labels[0].0 = text("")
        }),
        ("a name twice", "B42", |m| {
            let again = m.services[0].labels[0].clone();
            m.services[0].labels.push(again);
        }),
    ]);
    accepts(&[("a similar name", |m| {
        m.services[0].labels[0].0 = text("coracles")
    })]);
}

#[test]
fn signals_that_are_none_are_refused() {
    for bad in [
        "",
        "TERM",
        "sigterm",
        "SIG",
        "SIGterm",
        "15",
        "SIGTERM\n",
        "SIGRTMIN+",
        "SIGRTMIN+x",
        "SIG TERM",
        "SIGRTMIN+111",
    ] {
        let mut m = sample();
        m.services[0].stop_signal = Some(text(bad));
        assert_eq!(check(&m).unwrap_err().clause(), "B43", "{bad:?}");
    }
    for good in ["SIGTERM", "SIGUSR1", "SIGRTMIN+3", "SIGRTMAX-1"] {
        let mut m = sample();
        m.services[0].stop_signal = Some(text(good));
        assert!(check(&m).is_ok(), "{good}");
    }
    refuses(&[("a grace without end", "B43", |m| {
        m.services[0].stop_grace_s = 3601
    })]);
    accepts(&[("the longest grace", |m| m.services[0].stop_grace_s = 3600)]);
}

#[test]
fn users_capabilities_and_diagnostics_that_are_none_are_refused() {
    refuses(&[
        ("an empty user", "B44", |m| {
            m.services[0].user = Some(text(""))
        }),
        ("an empty group", "B44", |m| {
            m.services[0].user = Some(text("a:"))
        }),
        ("three parts", "B44", |m| {
            m.services[0].user = Some(text("a:b:c"))
        }),
        ("a user with a line break", "B44", |m| {
            m.services[0].user = Some(text("a\nroot"))
        }),
        ("CAP_ in front", "B44", |m| {
            m.services[0].cap_add[0] = text("CAP_SYS_ADMIN")
        }),
        ("small letters", "B44", |m| {
            m.services[0].cap_add[0] = text("sys_admin")
        }),
        ("an empty capability", "B44", |m| {
            m.services[0].cap_drop[0] = text("")
        }),
        ("a diagnostic without command", "B44", |m| {
            m.services[0].diagnostics[0].command.clear();
        }),
        ("a diagnostic like an option", "B44", |m| {
            m.services[0].diagnostics[0].name = text("--help");
        }),
        ("a diagnostic twice", "B44", |m| {
            let again = m.services[0].diagnostics[0].clone();
            m.services[0].diagnostics.push(again);
        }),
    ]);
}

#[test]
fn limits_that_are_none_are_refused() {
    refuses(&[
        ("no memory", "B45", |m| {
            m.services[0].limits.memory_bytes = Some(0)
        }),
        ("no CPU", "B45", |m| {
            m.services[0].limits.cpu_milli = Some(0)
        }),
        ("no processes", "B45", |m| {
            m.services[0].limits.pids = Some(0)
        }),
        ("too few shares", "B45", |m| {
            m.services[0].limits.cpu_shares = Some(1)
        }),
        ("too many shares", "B45", |m| {
            m.services[0].limits.cpu_shares = Some(262_145)
        }),
        ("soft above hard", "B45", |m| {
            m.services[0].ulimits[0].soft = 4097
        }),
        ("a ulimit by its C name", "B45", |m| {
            m.services[0].ulimits[0].name = text("RLIMIT_NOFILE");
        }),
        ("a ulimit twice", "B45", |m| {
            m.services[0].ulimits.push(Ulimit {
                name: text("nofile"),
                soft: 1,
                hard: 1,
            });
        }),
        ("a kernel parameter with a line break", "B46", |m| {
            m.services[0].sysctls[0].1 = text("1\nkernel.x=2");
        }),
        ("a kernel parameter without a name", "B46", |m| {
            m.services[0].sysctls[0].0 = text("");
        }),
        ("a kernel parameter twice", "B46", |m| {
            let again = m.services[0].sysctls[0].clone();
            m.services[0].sysctls.push(again);
        }),
        ("a log without room", "B47", |m| {
            m.services[0].logging.bytes_max = 0
        }),
        ("a log without files", "B47", |m| {
            m.services[0].logging.files_max = 0
        }),
        ("a log without end", "B47", |m| {
            m.services[0].logging.bytes_max = u64::MAX
        }),
        ("log files without end", "B47", |m| {
            m.services[0].logging.files_max = u32::MAX
        }),
    ]);
    accepts(&[("unlimited ulimits", |m| {
        m.services[0].ulimits[0].soft = u64::MAX;
        m.services[0].ulimits[0].hard = u64::MAX;
    })]);
}

#[test]
fn one_volume_may_be_mounted_twice() {
    accepts(&[("at two places", |m| {
        m.services[0].volumes.push(VolumeMount {
            volume: volume("data"),
            target: text("/again"),
            read_only: true,
        });
    })]);
}
