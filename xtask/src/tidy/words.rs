//! Nothing that we commit names one machine's paths or a package registry's host.

use super::Problem;

/// Where sessions and tool chains keep files. Split, so that this file passes. People's homes as
/// such are no leak: tests of bind mounts name them.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/.cargo"),
    concat!("/ro", "ot/.rustup"),
];

/// Hosts that package managers ask; which mirror is asked is the machine's own matter.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("static.", "rust-lang.org"),
];

/// Files that package managers write, hosts included.
const WRITTEN_BY_TOOLS: &[&str] = &["Cargo.lock", "package-lock.json"];

/// Checks one file.
pub(super) fn check(path: &str, text: &str) -> Vec<Problem> {
    if WRITTEN_BY_TOOLS.iter().any(|name| path.ends_with(name)) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        for word in MACHINE_PATHS
            .iter()
            .filter(|word| starts_a_path(line, word))
        {
            problems.push(Problem::new(
                path,
                number,
                format!("names a machine's path: {word}"),
            ));
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(*host)) {
            problems.push(Problem::new(
                path,
                number,
                format!("names a package registry: {host}"),
            ));
        }
    }
    problems
}

/// Whether `path` stands in `line` as the start of an absolute path.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-/}".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_paths_and_registries_are_refused() {
        let lines = |text: &str| -> Vec<usize> {
            check("docs/a.md", text)
                .iter()
                .map(|problem| problem.line)
                .collect()
        };
        let path = MACHINE_PATHS[0];
        assert_eq!(lines(&format!("fine\nsee {path}notes\n")), [2]);
        assert_eq!(lines(&format!("`{path}notes`")), [1]);
        assert_eq!(lines(&format!("agent{path}x and ${{DIR}}{path}x")), [0; 0]);
        assert_eq!(lines(&format!("https://{}/x", REGISTRY_HOSTS[1])), [1]);
        assert!(check("Cargo.lock", REGISTRY_HOSTS[0]).is_empty());
    }
}
