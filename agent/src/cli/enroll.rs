//! `agent enroll`: finds the token and the certificates, and makes a request of them.
//!
//! They are read here and not by the daemon, whose folder and rights are others. Never shows a
//! token.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::args::Token;
use crate::api::{Failure, Request, Secret};
use crate::config::Config;
use crate::exit;

/// The environment variable with the token.
const TOKEN_VARIABLE: &str = "CORACLE_ENROLL_TOKEN";
/// Most bytes of a file with a token or with certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The request to enrol at a relay.
///
/// # Errors
/// [`Failure`]: there is no token, or a file cannot be read.
pub(super) fn request(config: &Config, url: String, token: Token) -> Result<Request, Failure> {
    let token = match token {
        Token::Given(token) => token,
        Token::File(path) if path == Path::new("-") => {
            Secret(read(io::stdin().lock()).map_err(|e| unreadable("standard input", &e))?)
        }
        Token::File(path) => Secret(read_file(&path)?),
        Token::Environment => match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.is_empty() => Secret(token),
            _ => return Err(no_token()),
        },
    };
    let ca = config.relay_ca.as_deref().map(read_file).transpose()?;
    Ok(Request::Enroll { url, token, ca })
}

fn read(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let text = File::open(path).and_then(read);
    text.map_err(|e| unreadable(&path.display().to_string(), &e))
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure {
        code: exit::USAGE,
        message: format!("{name} cannot be read: {error}"),
        hint: String::new(),
    }
}

fn no_token() -> Failure {
    Failure {
        code: exit::USAGE,
        message: "`agent enroll` needs a token".into(),
        hint: format!(
            "Pass --token, --token-file, or {TOKEN_VARIABLE}: `relay token enroll` prints one."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(config: &Config, token: Token) -> String {
        let request = request(config, "https://relay.example".into(), token);
        request.unwrap_err().message
    }

    #[test]
    fn token_and_certificates_are_read_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("token"), "cet_1\n").unwrap();
        std::fs::write(path("ca.pem"), "PEM").unwrap();
        let config = Config {
            relay_ca: Some(path("ca.pem")),
            ..Config::default()
        };
        let url = String::from("https://relay.example");
        let request = request(&config, url.clone(), Token::File(path("token"))).unwrap();
        let wanted = Request::Enroll {
            url,
            token: Secret("cet_1\n".into()),
            ca: Some("PEM".into()),
        };
        assert_eq!(request, wanted);
        assert!(!format!("{request:?}").contains("cet_1"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let absent = || Token::File("/nonexistent/token".into());
        let words = message(&Config::default(), absent());
        assert!(
            words.starts_with("/nonexistent/token cannot be read"),
            "{words}"
        );
        let config = Config {
            relay_ca: Some("/nonexistent/ca.pem".into()),
            ..Config::default()
        };
        let words = message(&config, Token::Given(Secret("t".into())));
        assert!(
            words.starts_with("/nonexistent/ca.pem cannot be read"),
            "{words}"
        );
    }
}
