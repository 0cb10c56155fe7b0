//! The known word that somebody may have meant.

/// The candidate with the smallest edit distance, if it is near enough: at most a third of the
/// letters differ, or one of them is the beginning of the other.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const WORD_MAX: usize = 64;
    if word.len() < 2 || word.len() > WORD_MAX {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= candidate.len().max(word.len()).div_ceil(3) || candidate.starts_with(word)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance: letters inserted, removed and replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, wanted) in [("", "abc", 3), ("kitten", "sitting", 3), ("ps", "ps", 0)] {
            assert_eq!(distance(a, b), wanted, "{a} {b}");
        }
    }

    #[test]
    fn only_near_words_are_named() {
        let commands = ["apply", "plan", "status", "ps", "rollback"];
        for (word, wanted) in [
            ("aply", Some("apply")),
            ("stauts", Some("status")),
            ("roll", Some("rollback")),
            ("pls", Some("ps")),
            ("xyzzy", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, commands), wanted, "{word}");
        }
    }
}
