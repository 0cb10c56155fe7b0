//! The specification and the code name the same clauses, and every clause has a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every `B` with digits after it that comes right after `before`.
fn clauses(text: &str, before: &str) -> BTreeSet<String> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| {
            let digits = rest.strip_prefix('B')?;
            let end = digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len());
            (end > 0).then(|| format!("B{}", &digits[..end]))
        })
        .collect()
}

/// All source files in a folder and below.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &sources(&path);
        } else {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    all
}

#[test]
fn the_specification_and_the_code_name_the_same_clauses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let specified = fs::read_to_string(root.join("../docs/bundle-format.md")).unwrap();
    let specified = clauses(&specified, "- **");
    let mut enforced = clauses(&sources(&root.join("src/verify/rules")), "clause: \"");
    enforced.extend(clauses(
        &fs::read_to_string(root.join("src/error.rs")).unwrap(),
        "=> \"",
    ));
    assert!(enforced.len() > 50);
    assert_eq!(specified, enforced);
    // Clauses on the payload and the framing are tested by their errors' names, too.
    let tested = clauses(&sources(&root.join("src/tests")), "\"");
    let rules = clauses(&sources(&root.join("src/verify/rules")), "clause: \"");
    let untested: Vec<_> = rules.difference(&tested).collect();
    assert!(untested.is_empty(), "no test expects {untested:?}");
}
