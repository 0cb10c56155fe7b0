//! Which devices a selector means, and what its errors say.

use proptest::prelude::*;

use super::*;
use crate::domain::labels;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let texts = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    labels::parse(&texts.collect()).unwrap()
}

#[test]
fn a_selector_means_these_devices() {
    let fleet = [
        ("a", labels(&[("site", "rome"), ("ring", "canary")])),
        ("b", labels(&[("site", "rome")])),
        ("c", labels(&[("site", "oslo"), ("in", "use")])),
        ("d", labels(&[])),
    ];
    for (text, meant, canonical) in [
        ("all", "abcd", "all"),
        (" all ", "abcd", "all"),
        ("site=rome", "ab", "site=rome"),
        ("site==rome", "ab", "site=rome"),
        ("site = rome", "ab", "site=rome"),
        ("site!=rome", "cd", "site!=rome"),
        ("site", "abc", "site"),
        ("!site", "d", "!site"),
        ("! site", "d", "!site"),
        ("site in (rome,oslo)", "abc", "site in (oslo,rome)"),
        ("site in(rome)", "ab", "site=rome"),
        ("site notin ( rome , oslo )", "d", "site notin (oslo,rome)"),
        ("site notin (rome)", "cd", "site!=rome"),
        ("site=rome,ring=canary", "a", "site=rome,ring=canary"),
        ("site=rome, ring!=canary", "b", "site=rome,ring!=canary"),
        ("site=rome,!ring", "b", "site=rome,!ring"),
        ("id=c", "c", "id=c"),
        ("id in (a,d)", "ad", "id in (a,d)"),
        ("id", "abcd", "id"),
        ("id!=a,site=rome", "b", "id!=a,site=rome"),
        ("in=use", "c", "in=use"),
        ("in in (use)", "c", "in=use"),
        ("site=all", "", "site=all"),
        ("site=Rome", "", "site=Rome"),
    ] {
        let selector: Selector = text.parse().unwrap();
        let found: String = fleet
            .iter()
            .filter(|(id, labels)| selector.matches(&DeviceId::new(id).unwrap(), labels))
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(found, meant, "{text}");
        assert_eq!(selector.to_string(), canonical, "{text}");
        assert_eq!(canonical.parse(), Ok(selector), "{text}");
    }
}

#[test]
fn what_is_no_selector_is_refused_with_its_place() {
    for (text, said) in [
        ("", "the selector is empty: write all"),
        ("  ", "the selector is empty"),
        (
            "site=",
            "the selector ends at character 6, where a value should follow",
        ),
        (
            "site=rome,",
            "the selector ends at character 11, where the name of a label",
        ),
        (
            "=rome",
            "the selector has \"=\" at character 1, where the name of a label",
        ),
        (
            "site=rome oslo",
            "the selector has \"oslo\" at character 11, where a comma",
        ),
        (
            "site rome",
            "the selector has \"rome\" at character 6, where a comma or one of =",
        ),
        (
            "site in rome",
            "the selector has \"rome\" at character 9, where ( and a list",
        ),
        (
            "site in (rome",
            "the selector ends at character 14, where a comma or )",
        ),
        (
            "site in ()",
            "the selector has \")\" at character 10, where a value should be",
        ),
        (
            "site in (a b)",
            "the selector has \"b\" at character 12, where a comma or )",
        ),
        (
            "si%te=x",
            "the selector has \"si%te\" at character 1: not a valid label",
        ),
        (
            "größe=-x",
            "the selector has \"größe\" at character 1: not a valid label",
        ),
        (
            "k=-x",
            "the selector has \"-x\" at character 3: not a valid label",
        ),
        ("all,site=rome", "all is every device and stands alone"),
        ("!all", "all is every device and stands alone"),
        ("all=x", "all is every device and stands alone"),
        (
            "!!site",
            "the selector has \"!\" at character 2, where the name of a label",
        ),
        (
            "site===x",
            "the selector has \"=\" at character 7, where a value",
        ),
    ] {
        let error = text.parse::<Selector>().unwrap_err().to_string();
        assert!(error.starts_with(said), "{text:?}: {error}");
    }
    let long = format!("id in (a{})", ",a".repeat(SELECTOR_BYTES));
    assert_eq!(long.parse::<Selector>(), Err(SelectorError::TooLong));
    let many = ["a"; 65].join(",");
    assert_eq!(many.parse::<Selector>(), Err(SelectorError::TooLong));
}

const SELECTOR_BYTES: usize = crate::domain::limits::SELECTOR_BYTES_MAX;

proptest! {
    #[test]
    fn whatever_parses_has_a_canonical_text_that_parses_to_the_same(
        text in "( |a|b|in|notin|all|id|=|==|!=|!|,|\\(|\\)|é){0,12}"
    ) {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string().parse(), Ok(selector));
        }
    }
}
