//! Tables of what is read, and of what is refused and where.

use std::collections::BTreeMap;
use std::path::Path;

use bundle::manifest::{Service, Text};

use super::{ComposeError, Composed, read};

mod reads;
mod refused;

fn read_in(folder: &Path, text: &str) -> Result<Composed, ComposeError> {
    let env = BTreeMap::from([
        ("TAG".to_string(), "7".to_string()),
        ("PRICE".to_string(), "$5".to_string()),
    ]);
    read(text, "compose.yaml", folder, &"kiosk".parse().unwrap(), env)
}

fn good(text: &str) -> Composed {
    read_in(Path::new("/nonexistent"), text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The one service of a file whose service has these lines.
fn service(lines: &str) -> Service {
    let mut composed = good(&file(lines));
    composed.services.remove(0).service
}

fn file(lines: &str) -> String {
    let mut text = String::from("services:\n  web:\n");
    for line in lines.lines() {
        text += &format!("    {line}\n");
    }
    text + "volumes:\n  data:\nnetworks:\n  back: {}\nconfigs:\n  c: {content: \"a $$ b\"}\nx-coracle:\n  variables:\n    SITE: north\n"
}

fn refused(text: &str) -> Vec<String> {
    match read_in(Path::new("/nonexistent"), text) {
        Ok(_) => panic!("was accepted:\n{text}"),
        Err(error) => error.to_string().lines().map(str::to_string).collect(),
    }
}

fn texts(texts: &[Text]) -> Vec<&str> {
    texts.iter().map(Text::as_str).collect()
}

fn pairs(pairs: &[(Text, Text)]) -> Vec<(&str, &str)> {
    pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
