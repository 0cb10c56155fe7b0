//! Which relay, and who asks: flags before the environment before what `relay login` stored.
//!
//! The stored token and CA belong to the stored relay: they never go to another one.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ClientError;
use super::stored::Stored;
use super::url::RelayUrl;

const URL_VARIABLE: &str = "CORACLE_RELAY_URL";
/// The environment variable that names the CA.
pub(crate) const CA_VARIABLE: &str = "CORACLE_RELAY_CA";
const TOKEN_VARIABLE: &str = "CORACLE_TOKEN";
const TOKEN_FILE_VARIABLE: &str = "CORACLE_TOKEN_FILE";

/// What the command line says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The relay's address.
    pub(crate) relay: Option<String>,
    /// A file with the CA of its certificate.
    pub(crate) ca: Option<PathBuf>,
    /// A file with a token.
    pub(crate) token_file: Option<PathBuf>,
}

/// All that a request needs.
#[derive(PartialEq, Eq)]
pub(crate) struct Access {
    /// The relay.
    pub(crate) url: RelayUrl,
    /// The CA of its certificate, in PEM; none: those that the system trusts.
    pub(crate) authority: Option<String>,
    /// The token.
    pub(crate) token: String,
}

/// Puts flags, environment and what is stored together.
///
/// # Errors
/// [`ClientError::NoRelay`], [`ClientError::NoToken`], and what is wrong with files and addresses.
pub(crate) fn resolve(
    wishes: &Wishes,
    environment: &dyn Fn(&str) -> Option<String>,
    stored: Option<Stored>,
) -> Result<Access, ClientError> {
    let environment = |name| environment(name).filter(|value: &String| !value.is_empty());
    let parse = |place, text: &str| {
        let url = text.parse::<RelayUrl>();
        url.map_err(|error| ClientError::Url(place, error))
    };
    let url = match (&wishes.relay, environment(URL_VARIABLE), &stored) {
        (Some(text), _, _) => parse("--relay", text)?,
        (None, Some(text), _) => parse(URL_VARIABLE, &text)?,
        (None, None, Some(stored)) => parse("the stored login", &stored.url)?,
        (None, None, None) => return Err(ClientError::NoRelay),
    };
    let stored = stored.filter(|stored| stored.url.parse().ok().as_ref() == Some(&url));
    let files = |flag: &Option<PathBuf>, variable| {
        let given = environment(variable).map(PathBuf::from);
        flag.clone().or(given)
    };
    let authority = match files(&wishes.ca, CA_VARIABLE) {
        Some(path) => Some(authority_file(&path)?),
        None => stored.as_ref().and_then(|stored| stored.ca.clone()),
    };
    let token = if let Some(path) = &wishes.token_file {
        token_file(path)?
    } else if let Some(token) = environment(TOKEN_VARIABLE) {
        self::token(&token)?
    } else if let Some(path) = environment(TOKEN_FILE_VARIABLE) {
        token_file(Path::new(&path))?
    } else if let Some(stored) = stored {
        stored.token
    } else {
        return Err(ClientError::NoToken(url));
    };
    Ok(Access {
        url,
        authority,
        token,
    })
}

/// The CA in a file.
///
/// # Errors
/// [`ClientError::File`].
pub(crate) fn authority_file(path: &Path) -> Result<String, ClientError> {
    read(path)
}

/// The token in a file.
///
/// # Errors
/// [`ClientError::File`] and [`ClientError::Token`].
pub(crate) fn token_file(path: &Path) -> Result<String, ClientError> {
    token(&read(path)?)
}

/// A token as somebody typed or stored it, without the blanks around it.
///
/// # Errors
/// [`ClientError::Token`].
pub(crate) fn token(text: &str) -> Result<String, ClientError> {
    let token = text.trim();
    if !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(token.to_string())
    } else {
        Err(ClientError::Token)
    }
}

fn read(path: &Path) -> Result<String, ClientError> {
    fs::read_to_string(path).map_err(|error| ClientError::File(path.to_path_buf(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        Stored {
            url: "https://stored".into(),
            token: "stored-token".into(),
            ca: Some("stored-ca".into()),
        }
    }

    fn resolved(
        wishes: &Wishes,
        environment: &[(&str, &str)],
        stored: Option<Stored>,
    ) -> Result<(String, Option<String>, String), ClientError> {
        let environment = |name: &str| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_string())
        };
        let access = resolve(wishes, &environment, stored)?;
        Ok((access.url.to_string(), access.authority, access.token))
    }

    #[test]
    fn flags_beat_the_environment_and_that_beats_what_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let none = Wishes::default();
        let all = Wishes {
            relay: Some("https://flag".into()),
            ca: Some(file("ca", "flag-ca")),
            token_file: Some(file("token", " flag-token\n")),
        };
        let ca = file("env-ca", "env-ca");
        let environment = [
            (URL_VARIABLE, "https://env/"),
            (CA_VARIABLE, ca.to_str().unwrap()),
            (TOKEN_VARIABLE, "env-token"),
            (TOKEN_FILE_VARIABLE, "/nowhere"),
        ];
        let is = |found: Result<(String, Option<String>, String), _>, word: &str| {
            let wanted = (
                format!("https://{word}"),
                Some(format!("{word}-ca")),
                format!("{word}-token"),
            );
            assert_eq!(found.unwrap(), wanted);
        };
        is(resolved(&all, &environment, Some(stored())), "flag");
        is(resolved(&none, &environment, Some(stored())), "env");
        is(resolved(&none, &[], Some(stored())), "stored");
        is(
            resolved(&none, &[(TOKEN_VARIABLE, "")], Some(stored())),
            "stored",
        );
    }

    #[test]
    fn a_stored_token_does_not_go_to_another_relay() {
        for name in [
            "https://other",
            "https://stored:8443",
            "https://stored/below",
        ] {
            let wishes = Wishes {
                relay: Some(name.into()),
                ..Wishes::default()
            };
            let error = resolved(&wishes, &[], Some(stored())).unwrap_err();
            assert!(matches!(error, ClientError::NoToken(_)), "{error}");
        }
        // Nor does the stored CA vouch for another one.
        let environment = [(URL_VARIABLE, "https://other"), (TOKEN_VARIABLE, "t")];
        let (_, ca, _) = resolved(&Wishes::default(), &environment, Some(stored())).unwrap();
        assert_eq!(ca, None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let none = Wishes::default();
        let error = resolved(&none, &[], None).unwrap_err();
        assert!(error.hint().unwrap().contains("relay login URL"), "{error}");
        let error = resolved(&none, &[(URL_VARIABLE, "https://r")], None).unwrap_err();
        assert!(error.hint().unwrap().contains("relay login https://r"));
        let error = resolved(&none, &[(URL_VARIABLE, "http://r.example")], None).unwrap_err();
        assert!(error.to_string().starts_with(URL_VARIABLE), "{error}");
    }

    #[test]
    fn a_token_is_one_visible_line() {
        assert_eq!(token(" abc\r\n").unwrap(), "abc");
        for text in ["", "\n", "a b", "a\nb", "ä", "\x1b[m"] {
            assert!(token(text).is_err(), "{text:?}");
        }
    }
}
