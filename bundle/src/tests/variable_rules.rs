//! Clauses B61 and B62, and the values that devices and relays set.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::base::*;
use crate::Values;
use crate::manifest::{Variable, VariableKind};
use crate::template::{self, TemplateError};
use crate::values::{Misfit, Source, ValueError, check as fits};

fn pattern(text_: &str) -> VariableKind {
    VariableKind::Text {
        pattern: Some(text(text_)),
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect()
}

#[test]
fn schemas_that_nothing_could_fit_are_refused() {
    refuses(&[
        ("a pattern that does not compile", "B61", |m| {
            m.variables[0].kind = pattern("[a-z")
        }),
        ("a pattern that escapes from its group", "B61", |m| {
            m.variables[0].kind = pattern("home)|(.*");
        }),
        ("a pattern that takes all memory", "B61", |m| {
            m.variables[0].kind = pattern("((a{1000}){1000}){1000}|home");
        }),
        ("a pattern of many bytes", "B61", |m| {
            m.variables[0].kind = pattern(&format!("home|{}", "a".repeat(1024)));
        }),
        ("bounds in the wrong order", "B61", |m| {
            m.variables[1].kind = VariableKind::Integer { min: 1, max: 0 };
        }),
        ("no choices", "B61", |m| {
            m.variables[1].kind = VariableKind::Choice(vec![])
        }),
        ("a choice twice", "B61", |m| {
            m.variables[1].kind = VariableKind::Choice(vec![text("a"), text("a")]);
        }),
        ("a default that does not match", "B62", |m| {
            m.variables[0].default = Some(text("HOME"))
        }),
        ("a default beyond the bounds", "B62", |m| {
            m.variables[1].default = Some(text("10"))
        }),
    ]);
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let cases: [(VariableKind, &[&str], &[&str]); 7] = [
        (
            VariableKind::Text { pattern: None },
            &["", "a b", "é"],
            &["a\nb", "a\r", "\u{1b}[31m", "\0"],
        ),
        (
            pattern("[a-z]{1,3}"),
            &["a", "abc"],
            &["", "abcd", "a\n", "\na", "A"],
        ),
        // A value must match as a whole, whichever branch of the pattern matches first.
        (pattern("a|ab"), &["a", "ab"], &["abc", "xab"]),
        (pattern("(?s).*"), &["", "a\nb"], &["\0"]),
        (
            VariableKind::Integer { min: -5, max: 5 },
            &["-5", "0", "5"],
            &[
                "",
                "6",
                "-6",
                "+1",
                "01",
                "-0",
                " 1",
                "1 ",
                "1.0",
                "0x1",
                "99999999999999999999",
            ],
        ),
        (
            VariableKind::Boolean,
            &["true", "false"],
            &["", "True", "1", "yes"],
        ),
        (
            VariableKind::Choice(vec![text("a"), text("b")]),
            &["a", "b"],
            &["", "c", "ab"],
        ),
    ];
    for (kind, good, bad) in cases {
        let variable = variable("X", kind, None);
        for value in good {
            assert_eq!(fits(&variable, value), Ok(()), "{variable:?} {value:?}");
        }
        for value in bad {
            let misfit = fits(&variable, value).unwrap_err();
            assert!(!misfit.to_string().is_empty());
        }
    }
    let long = "x".repeat(4097);
    let any = variable("X", pattern("(?s).*"), None);
    assert_eq!(fits(&any, &long), Err(Misfit::TooLong));
    assert_eq!(fits(&any, &long[1..]), Ok(()));
}

#[test]
fn a_pattern_with_a_comment_still_binds_the_whole_value() {
    let variable = variable("X", pattern("(?x) [a-z]+ # a word"), None);
    assert_eq!(fits(&variable, "word"), Ok(()));
    assert!(fits(&variable, "two words").is_err());
}

fn schema() -> Vec<Variable> {
    let mut token = variable("TOKEN", VariableKind::Text { pattern: None }, Some("unset"));
    token.secret = true;
    vec![
        variable("SITE", pattern("[a-z]+"), Some("home")),
        variable("COUNT", VariableKind::Integer { min: 0, max: 9 }, None),
        token,
    ]
}

#[test]
fn device_beats_relay_beats_default() {
    let relay = map(&[("SITE", "relay"), ("COUNT", "1")]);
    let values = Values::resolve(&schema(), &map(&[("SITE", "device")]), &relay).unwrap();
    assert_eq!(values.get("SITE"), Some("device"));
    assert_eq!(values.get("COUNT"), Some("1"));
    assert_eq!(values.get("TOKEN"), Some("unset"));
    assert_eq!(values.get("OTHER"), None);
    assert!(values.is_secret("TOKEN") && !values.is_secret("SITE"));
    let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["COUNT", "SITE", "TOKEN"]);
}

#[test]
fn unknown_missing_and_unfit_values_are_refused_by_name() {
    let none = BTreeMap::new();
    let count = map(&[("COUNT", "1")]);
    let error = Values::resolve(&schema(), &none, &none).unwrap_err();
    assert!(matches!(&error, ValueError::Missing { name } if name.as_str() == "COUNT"));
    for (device, relay, from) in [
        (
            map(&[("COUNT", "1"), ("EVIL", "x")]),
            none.clone(),
            Source::Device,
        ),
        (count.clone(), map(&[("EVIL", "x")]), Source::Relay),
    ] {
        let error = Values::resolve(&schema(), &device, &relay).unwrap_err();
        let expected = ValueError::Unknown {
            name: "EVIL".into(),
            source: from,
        };
        assert_eq!(error, expected);
    }
    // Also a value that another one beats.
    let error = Values::resolve(&schema(), &count, &map(&[("COUNT", "many")])).unwrap_err();
    assert!(
        error.to_string().contains("COUNT") && error.to_string().contains("relay"),
        "{error}"
    );
}

#[test]
fn secrets_are_not_shown() {
    let device = map(&[("TOKEN", "hunter2"), ("COUNT", "1")]);
    let values = Values::resolve(&schema(), &device, &BTreeMap::new()).unwrap();
    assert_eq!(values.get("TOKEN"), Some("hunter2"));
    assert!(!format!("{values:?}").contains("hunter2"));
    let bad = map(&[("TOKEN", "hunter2\n"), ("COUNT", "1")]);
    let error = Values::resolve(&schema(), &bad, &BTreeMap::new()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn stored_values_survive_and_damage_is_noticed() {
    let values = Values::resolve(&schema(), &map(&[("COUNT", "1")]), &BTreeMap::new()).unwrap();
    let bytes = values.encode();
    assert_eq!(Values::decode(&bytes), Ok(values.clone()));
    assert_eq!(values.digest(), crate::Digest::of(&bytes));
    for length in 0..bytes.len() {
        assert!(Values::decode(&bytes[..length]).is_err(), "{length}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(Values::decode(&longer).is_err());
    let mut unsorted = schema();
    unsorted.reverse();
    let same = Values::resolve(&unsorted, &map(&[("COUNT", "1")]), &BTreeMap::new()).unwrap();
    assert_eq!(
        same.digest(),
        values.digest(),
        "the order of the schema does not matter"
    );
}

#[test]
fn templates_replace_declared_names_only() {
    let device = map(&[("COUNT", "1"), ("TOKEN", "${SITE}")]);
    let values = Values::resolve(&schema(), &device, &BTreeMap::new()).unwrap();
    for (input, output) in [
        ("", ""),
        ("plain é", "plain é"),
        ("${SITE}", "home"),
        ("${SITE}${COUNT}", "home1"),
        ("é${SITE}é", "éhomeé"),
        ("$${SITE}", "${SITE}"),
        ("$$${SITE}", "$home"),
        ("$SITE $ $", "$SITE $ $"),
        ("${TOKEN}", "${SITE}"),
    ] {
        assert_eq!(
            template::render(input, &values).as_deref(),
            Ok(output),
            "{input}"
        );
    }
    for (input, error) in [
        ("${OTHER}", TemplateError::Undeclared("OTHER".into())),
        ("${}", TemplateError::Undeclared(String::new())),
        ("é${SITE", TemplateError::Unclosed(2)),
    ] {
        assert_eq!(template::render(input, &values), Err(error), "{input}");
    }
}

proptest! {
    #[test]
    fn templates_of_any_text_never_panic(input in ".{0,64}") {
        let values = Values::default();
        let rendered = template::render(&input, &values);
        prop_assert_eq!(rendered.is_ok(), template::check(&input, |_| false).is_ok());
    }

    #[test]
    fn escaped_text_comes_out_as_it_was(input in "[a-z${}]{0,32}") {
        let escaped = input.replace('$', "$$");
        prop_assert_eq!(template::render(&escaped, &Values::default()), Ok(input));
    }

    #[test]
    fn decoding_any_bytes_as_values_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(values) = Values::decode(&bytes) {
            prop_assert_eq!(values.encode(), bytes);
        }
    }
}
