//! Imports between crates run one way, from the shells down to the types.

use super::{Package, Problem};

/// What a crate of ours may and may not depend on, tests aside.
struct Rule {
    package: &'static str,
    /// The only crates of ours that it may use.
    ours: &'static [&'static str],
    /// Crates that it never uses, ours or not.
    never: &'static [&'static str],
    /// Whether it may use bundle's feature `build`, which is for hosts only.
    builds_bundles: bool,
}

/// Everything with sockets, clocks, randomness or tasks that a pure crate might reach for.
const IMPURE: &[&str] = &[
    "async-io",
    "async-trait",
    "futures",
    "getrandom",
    "hyper",
    "log",
    "nix",
    "rand",
    "rustix",
    "smol",
    "socket2",
    "time",
    "tokio",
    "tracing",
    "ureq",
];

/// Host tools: they may use everything.
const TOOLS: &[&str] = &["e2e", "relay-bench", "test-images", "xtask"];

/// The table of `ARCHITECTURE.md`; a new crate needs its row here.
const RULES: &[Rule] = &[
    Rule {
        package: "bundle",
        ours: &[],
        never: IMPURE,
        builds_bundles: false,
    },
    Rule {
        package: "agent-core",
        ours: &["bundle"],
        never: IMPURE,
        builds_bundles: false,
    },
    Rule {
        package: "runtime-shim",
        ours: &["bundle"],
        never: &["tokio"],
        builds_bundles: false,
    },
    Rule {
        package: "agent",
        ours: &["agent-core", "bundle", "relay-api", "runtime-shim"],
        never: &["tokio", "relay"],
        builds_bundles: false,
    },
    Rule {
        package: "relay-api",
        ours: &["bundle"],
        never: IMPURE,
        builds_bundles: false,
    },
    Rule {
        package: "relay",
        ours: &["bundle", "relay-api"],
        never: &["agent", "agent-core", "runtime-shim", "smol"],
        builds_bundles: true,
    },
];

/// Checks all packages of the workspace.
pub(super) fn check(packages: &[Package]) -> Vec<Problem> {
    packages
        .iter()
        .flat_map(|package| check_one(package, packages))
        .collect()
}

fn check_one(package: &Package, all: &[Package]) -> Vec<Problem> {
    if TOOLS.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let name = &package.name;
    let Some(rule) = RULES.iter().find(|rule| rule.package == name) else {
        let text = "has no row in xtask/src/tidy/imports.rs: say there what it may import";
        return vec![Problem::new(name, 0, text)];
    };
    let mut problems = Vec::new();
    let shipped = package
        .dependencies
        .iter()
        .filter(|dep| dep.kind.as_deref() != Some("dev"));
    for dependency in shipped {
        let used = dependency.name.as_str();
        let is_ours = all.iter().any(|package| package.name == used);
        if rule.never.contains(&used) || (is_ours && !rule.ours.contains(&used)) {
            problems.push(Problem::new(name, 0, format!("must not depend on {used}")));
        }
        let builds = dependency.features.iter().any(|feature| feature == "build");
        if used == "bundle" && builds && !rule.builds_bundles {
            problems.push(Problem::new(name, 0, "must not use bundle's feature build"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::Dependency;
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>, &[&str])]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind, features)| Dependency {
                name: (*name).to_owned(),
                kind: kind.map(str::to_owned),
                features: features
                    .iter()
                    .map(|feature| (*feature).to_owned())
                    .collect(),
            });
        Package {
            name: name.to_owned(),
            manifest_path: String::new(),
            dependencies: dependencies.collect(),
        }
    }

    #[test]
    fn imports_run_one_way() {
        let ours = [
            "bundle",
            "agent",
            "agent-core",
            "runtime-shim",
            "relay",
            "e2e",
        ];
        let check = |name: &str, dependency: (&str, Option<&str>, &[&str]), wanted: &str| {
            let mut all: Vec<Package> = ours.iter().map(|name| package(name, &[])).collect();
            all.push(package(name, &[dependency]));
            let problems: Vec<String> = check(&all).iter().map(ToString::to_string).collect();
            assert_eq!(problems.join("; "), wanted, "{name} on {dependency:?}");
        };
        check("agent", ("runtime-shim", None, &[]), "");
        check(
            "agent",
            ("relay", None, &[]),
            "agent: must not depend on relay",
        );
        check("agent", ("bundle", None, &["std"]), "");
        check(
            "agent",
            ("bundle", None, &["build"]),
            "agent: must not use bundle's feature build",
        );
        check("agent", ("bundle", Some("dev"), &["build"]), "");
        check("agent", ("e2e", None, &[]), "agent: must not depend on e2e");
        check(
            "agent-core",
            ("smol", None, &[]),
            "agent-core: must not depend on smol",
        );
        check(
            "agent-core",
            ("log", Some("build"), &[]),
            "agent-core: must not depend on log",
        );
        check(
            "agent-core",
            ("runtime-shim", None, &[]),
            "agent-core: must not depend on runtime-shim",
        );
        check(
            "runtime-shim",
            ("agent", None, &[]),
            "runtime-shim: must not depend on agent",
        );
        check(
            "relay",
            ("runtime-shim", None, &[]),
            "relay: must not depend on runtime-shim",
        );
        check("relay", ("bundle", None, &["build"]), "");
        check("e2e", ("agent", None, &[]), "");
    }

    #[test]
    fn a_crate_without_a_rule_is_refused() {
        assert_eq!(check(&[package("newcomer", &[])]).len(), 1);
    }
}
