//! YAML text → a tree of nodes that know their line and column.
//!
//! Scalars stay text: what a value means (a number, a mode, a version "1.10") is decided by the
//! key it stands under, so nothing is lost to YAML's guesses. Aliases are expanded (bounded), `<<`
//! merged, duplicate keys and unknown tags refused. Knows nothing of Compose.

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::Parser;

use super::problem::Position;

/// Most nodes that aliases may expand to: "billion laughs" ends here.
const ALIAS_NODES_MAX: usize = 10_000;

/// A YAML node with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A scalar as written, without quotes.
    Scalar(String),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping in the order of the file.
    Map(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Position,
    pub(crate) key: String,
    pub(crate) value: Node,
}

/// Why a text is no YAML document that we take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub(crate) at: Position,
    pub(crate) message: String,
}

/// Parses the one document of a file; an empty file is [`Value::Null`].
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
    loader.early_parse(false);
    loader.alias_limit(ALIAS_NODES_MAX);
    let loaded = Parser::new_from_str(text).load(&mut loader, true);
    if let Some(error) = loaded.err().or_else(|| loader.error().cloned()) {
        return Err(YamlError {
            at: position(*error.marker()),
            message: error.info().to_string(),
        });
    }
    let mut documents = loader.into_documents();
    let Some(document) = documents.pop() else {
        return Ok(Node {
            at: Position::START,
            value: Value::Null,
        });
    };
    let node = convert(&document)?;
    if documents.is_empty() {
        Ok(node)
    } else {
        Err(YamlError {
            at: node.at,
            message: "only one YAML document per file is supported".to_string(),
        })
    }
}

fn position(marker: saphyr::Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn convert(yaml: &MarkedYaml<'_>) -> Result<Node, YamlError> {
    let at = position(yaml.span.start);
    let error = |message: String| YamlError { at, message };
    let value = match &yaml.data {
        YamlData::Representation(text, style, tag) => match tag {
            Some(tag) if !tag.is_yaml_core_schema() => {
                return Err(error(format!("the YAML tag {tag} is not supported")));
            }
            Some(_) => Value::Scalar(text.to_string()),
            None if *style == ScalarStyle::Plain && is_null(text) => Value::Null,
            None => Value::Scalar(text.to_string()),
        },
        YamlData::Sequence(items) => {
            Value::Seq(items.iter().map(convert).collect::<Result<_, _>>()?)
        }
        YamlData::Mapping(map) => {
            let mut own: Vec<Entry> = Vec::with_capacity(map.len());
            let mut merged: Vec<Entry> = Vec::new();
            for (key, value) in map {
                let key_at = position(key.span.start);
                let YamlData::Representation(name, ..) = &key.data else {
                    return Err(YamlError {
                        at: key_at,
                        message: "a key must be a text".to_string(),
                    });
                };
                let value = convert(value)?;
                if name == "<<" {
                    merge(value, &mut merged)?;
                } else if own.iter().any(|entry| entry.key == **name) {
                    return Err(YamlError {
                        at: key_at,
                        message: format!("the key {name} is there twice"),
                    });
                } else {
                    own.push(Entry {
                        at: key_at,
                        key: name.to_string(),
                        value,
                    });
                }
            }
            for entry in merged {
                if own.iter().all(|known| known.key != entry.key) {
                    own.push(entry);
                }
            }
            Value::Map(own)
        }
        YamlData::Tagged(tag, _) => {
            return Err(error(format!("the YAML tag {tag} is not supported")));
        }
        YamlData::BadValue | YamlData::Alias(_) | YamlData::Value(_) => {
            if yaml.data.is_badvalue() && yaml.span.is_empty() {
                Value::Null
            } else {
                return Err(error("not a value that YAML allows here".to_string()));
            }
        }
    };
    Ok(Node { at, value })
}

/// YAML merge keys: a mapping, or a list of mappings of which the earlier wins.
fn merge(value: Node, into: &mut Vec<Entry>) -> Result<(), YamlError> {
    match value.value {
        Value::Map(entries) => {
            into.extend(entries);
            Ok(())
        }
        Value::Seq(items) => items.into_iter().try_for_each(|item| match item.value {
            Value::Map(_) => merge(item, into),
            _ => Err(not_mergeable(item.at)),
        }),
        Value::Null | Value::Scalar(_) => Err(not_mergeable(value.at)),
    }
}

fn not_mergeable(at: Position) -> YamlError {
    YamlError {
        at,
        message: "<< merges mappings only".to_string(),
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<Entry> {
        match parse(text).unwrap().value {
            Value::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        let entries = map("a: 1.10\nb:\n  c: 0444\nd: \"null\"\ne:\n");
        assert!(matches!(&entries[0].value.value, Value::Scalar(text) if text == "1.10"));
        let Value::Map(inner) = &entries[1].value.value else {
            panic!()
        };
        assert_eq!((inner[0].at.line, inner[0].at.column), (3, 3));
        assert!(matches!(&inner[0].value.value, Value::Scalar(text) if text == "0444"));
        assert!(matches!(&entries[2].value.value, Value::Scalar(text) if text == "null"));
        assert!(matches!(entries[3].value.value, Value::Null));
    }

    #[test]
    fn anchors_and_merges() {
        let entries = map("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n  c: 4\n");
        let Value::Map(inner) = &entries[1].value.value else {
            panic!()
        };
        let keys: Vec<_> = inner.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["b", "c", "a"]);
        assert!(matches!(&inner[0].value.value, Value::Scalar(text) if text == "3"));
    }

    #[test]
    fn what_is_refused() {
        for (text, line) in [
            ("a: 1\na: 2\n", 2),
            ("a: 1\n'a': 2\n", 2),
            ("a: !reset null\n", 1),
            ("a: [1\n", 2),
            ("<<: 3\n", 1),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.at.line, line, "{text}: {error:?}");
        }
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", "));
        }
        assert!(parse(&bomb).is_err());
    }
}
