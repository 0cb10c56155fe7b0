//! Relative links in Markdown lead to files that exist.

use std::path::{Component, Path, PathBuf};

use super::Problem;

/// Checks one document; `exists` answers for paths from the top folder.
pub(super) fn check(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut is_code = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for link in links(&without_code(line)) {
            let file = link.split('#').next().unwrap_or_default();
            let is_elsewhere = file.contains("://") || file.starts_with("mailto:");
            if file.is_empty() || is_elsewhere {
                continue;
            }
            match resolve(path, file) {
                Some(target) if exists(&target) => {}
                _ => problems.push(Problem::new(path, number, format!("dead link: {link}"))),
            }
        }
    }
    problems
}

/// The line without its `inline code`.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of `[text](target)` and `[name]: target`.
fn links(line: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for (at, _) in line.match_indices("](") {
        let rest = &line[at + 2..];
        if let Some(end) = rest.find(')') {
            found.push(rest[..end].split_whitespace().next().unwrap_or_default());
        }
    }
    if let Some((_, target)) = line
        .split_once("]: ")
        .filter(|(name, _)| name.starts_with('['))
    {
        found.push(target.split_whitespace().next().unwrap_or_default());
    }
    found
}

/// The target of a link in `document`, from the top folder; `None` if it leads out of it.
fn resolve(document: &str, link: &str) -> Option<PathBuf> {
    let mut path = match link.strip_prefix('/') {
        Some(_) => PathBuf::new(),
        None => Path::new(document).parent()?.to_path_buf(),
    };
    for component in Path::new(link.trim_start_matches('/')).components() {
        match component {
            Component::ParentDir if !path.pop() => return None,
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found() {
        let dead = |text: &str| -> Vec<String> {
            let there = ["README.md", "docs/a.md", "docs/decisions/0001.md"];
            let exists = |path: &Path| there.iter().any(|known| Path::new(known) == path);
            check("docs/a.md", text, exists)
                .into_iter()
                .map(|problem| problem.text)
                .collect()
        };
        assert!(dead("[r](../README.md) and [d](decisions/0001.md#why) [s](#here)").is_empty());
        assert!(dead("[w](https://example.com/a.md) [m](mailto:a@example.com)").is_empty());
        assert!(dead("`[x](gone.md)`\n```\n[x](gone.md)\n```\n").is_empty());
        assert_eq!(dead("[a](a.md) [x](gone.md)"), ["dead link: gone.md"]);
        assert_eq!(dead("[ref]: gone.md \"title\""), ["dead link: gone.md"]);
        assert_eq!(
            dead("[out](../../etc/passwd)"),
            ["dead link: ../../etc/passwd"]
        );
    }
}
