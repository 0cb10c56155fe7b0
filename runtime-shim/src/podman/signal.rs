//! Signal numbers by name, as Linux has them on ARM and x86 (signal(7)).

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The first real-time signal that the C library leaves to programs.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The number of `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
pub(super) fn number(name: &str) -> Option<i32> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    let position = NAMES.iter().position(|known| *known == name);
    let number = match position {
        Some(position) => i32::try_from(position).ok()? + 1,
        None => match name.strip_prefix("RTMIN+") {
            Some(offset) => RTMIN + offset.parse::<u8>().map(i32::from).ok()?,
            None => name.parse().ok()?,
        },
    };
    (1..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_and_numbers() {
        for (name, number) in [
            ("SIGTERM", Some(15)),
            ("KILL", Some(9)),
            ("SIGUSR1", Some(10)),
            ("SIGWINCH", Some(28)),
            ("SIGSYS", Some(31)),
            ("SIGRTMIN+3", Some(37)),
            ("3", Some(3)),
            ("0", None),
            ("65", None),
            ("SIGRTMIN+31", None),
            ("SIGFOO", None),
            ("", None),
        ] {
            assert_eq!(super::number(name), number, "{name}");
        }
    }
}
