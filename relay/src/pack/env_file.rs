//! Files of `NAME=value` lines: `--env-file` and the services' `env_file`.
//!
//! Values are taken as they are: no `$` in them means anything, so a password may hold one.

use std::fmt;

/// A line that is no assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFileError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub cause: EnvFileCause,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvFileCause {
    /// The name is not one.
    Name,
    /// A quote that never ends.
    Quote,
    /// Text after a closing quote.
    Trailing,
}

impl fmt::Display for EnvFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            EnvFileCause::Name => "expected NAME=value",
            EnvFileCause::Quote => "the quote never ends",
            EnvFileCause::Trailing => "text after the closing quote",
        };
        write!(f, "line {}: {cause}", self.line)
    }
}

impl std::error::Error for EnvFileError {}

/// The assignments of a file in their order; a name alone has no value.
///
/// # Errors
/// [`EnvFileError`] names the line.
pub fn parse(text: &str) -> Result<Vec<(String, Option<String>)>, EnvFileError> {
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let error = |cause| EnvFileError {
            line: index + 1,
            cause,
        };
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, raw) = match line.split_once('=') {
            Some((name, raw)) => (name.trim(), Some(raw.trim())),
            None => (line.trim(), None),
        };
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '$') {
            return Err(error(EnvFileCause::Name));
        }
        let value = raw.map(unquote).transpose().map_err(error)?;
        out.push((name.to_string(), value));
    }
    Ok(out)
}

fn unquote(raw: &str) -> Result<String, EnvFileCause> {
    let Some(quote @ ('\'' | '"')) = raw.chars().next() else {
        let end = raw.find(" #").unwrap_or(raw.len());
        return Ok(raw[..end].trim_end().to_string());
    };
    let mut out = String::new();
    let mut chars = raw.chars().skip(1);
    loop {
        match chars.next().ok_or(EnvFileCause::Quote)? {
            c if c == quote => break,
            '\\' if quote == '"' => match chars.next().ok_or(EnvFileCause::Quote)? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                c @ ('"' | '\\' | '$') => out.push(c),
                c => {
                    out.push('\\');
                    out.push(c);
                }
            },
            c => out.push(c),
        }
    }
    let rest: String = chars.collect();
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(out)
    } else {
        Err(EnvFileCause::Trailing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        let text =
            "# c\nA=1\nexport B = two words # c\nC='$x # y' # c\nD=\"a\\n\\\"b\\$\"\nE=\nF\n";
        let want = [
            ("A", Some("1")),
            ("B", Some("two words")),
            ("C", Some("$x # y")),
            ("D", Some("a\n\"b$")),
            ("E", Some("")),
            ("F", None),
        ];
        let got = parse(text).unwrap();
        let got: Vec<_> = got
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn mistakes_name_the_line() {
        for (text, line, cause) in [
            ("A=1\n=2", 2, EnvFileCause::Name),
            ("A='x", 1, EnvFileCause::Quote),
            ("A='x' y", 1, EnvFileCause::Trailing),
            ("A B=1", 1, EnvFileCause::Name),
        ] {
            assert_eq!(parse(text), Err(EnvFileError { line, cause }), "{text}");
        }
    }
}
