//! Every crate takes the workspace's lints, and those forbid unsafe code.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Problem;

#[derive(Debug, Deserialize)]
struct Manifest {
    /// Only its presence matters.
    package: Option<IgnoredAny>,
    workspace: Option<Workspace>,
    lints: Option<Inherit>,
}

#[derive(Debug, Deserialize)]
struct Workspace {
    lints: Option<Lints>,
}

#[derive(Debug, Deserialize)]
struct Lints {
    rust: RustLints,
}

#[derive(Debug, Deserialize)]
struct RustLints {
    unsafe_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Inherit {
    workspace: Option<bool>,
}

/// Checks one `Cargo.toml`.
pub(super) fn check(path: &str, text: &str) -> Option<Problem> {
    let manifest: Manifest = match basic_toml::from_str(text) {
        Ok(manifest) => manifest,
        Err(error) => return Some(Problem::new(path, 0, error.to_string())),
    };
    if let Some(workspace) = manifest.workspace {
        let level = workspace.lints.and_then(|lints| lints.rust.unsafe_code);
        if level.as_deref() != Some("forbid") {
            let text = "[workspace.lints.rust] does not say unsafe_code = \"forbid\"";
            return Some(Problem::new(path, 0, text));
        }
    }
    let inherits = manifest.lints.and_then(|lints| lints.workspace) == Some(true);
    if manifest.package.is_some() && !inherits {
        return Some(Problem::new(
            path,
            0,
            "does not say [lints] workspace = true",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn unsafe_code_is_forbidden_everywhere() {
        let refused = |text: &str| check("Cargo.toml", text).is_some();
        assert!(refused("[workspace]\nmembers = []\n"));
        assert!(refused(
            "[workspace]\n[workspace.lints.rust]\nunsafe_code = \"deny\"\n"
        ));
        assert!(!refused(
            "[workspace]\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"
        ));
        assert!(refused("[package]\nname = \"a\"\n"));
        assert!(refused(
            "[package]\nname = \"a\"\n[lints]\nworkspace = false\n"
        ));
        assert!(!refused(
            "[package]\nname = \"a\"\n[lints]\nworkspace = true\n"
        ));
    }
}
