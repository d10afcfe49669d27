//! What people may write, and what they are told when they may not.

use crate::error::Error;

/// One line from `min` to `max` letters; `what` names it in the message.
pub(crate) fn line(text: &str, what: &str, min: usize, max: usize) -> Result<String, Error> {
    let text = text.trim();
    let length = text.chars().count();
    if length < min {
        return Err(Error::Invalid(match min {
            1 => format!("Please enter {what}."),
            _ => format!("Please enter {what} of at least {min} characters."),
        }));
    }
    if length > max {
        return Err(Error::Invalid(format!(
            "Please shorten {what}: it has {length} characters, {max} fit."
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("Please enter {what} on one line.")));
    }
    Ok(text.to_owned())
}

/// The longest text of a post, in characters.
pub(crate) const BODY_MAX: usize = 10_000;

/// The text of a post: lines and paragraphs.
pub(crate) fn body(text: &str) -> Result<String, Error> {
    let text = text.replace("\r\n", "\n");
    let text: String =
        text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let text = text.trim();
    match text.chars().count() {
        0 => Err(Error::Invalid("Please write something first.".into())),
        1..=BODY_MAX => Ok(text.to_owned()),
        length => Err(Error::Invalid(format!(
            "Please shorten your text: it has {length} characters, {BODY_MAX} fit."
        ))),
    }
}

/// A member's name: it stands in addresses, so its letters are few.
pub(crate) fn name(text: &str) -> Result<String, Error> {
    let text = line(text, "a name", 2, 32)?;
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.chars().all(fits) && text.chars().any(char::is_alphanumeric) {
        Ok(text)
    } else {
        Err(Error::Invalid(
            "Please use letters, digits, hyphens, dots and underscores in the name.".into(),
        ))
    }
}

/// An e-mail address, as far as one can tell without writing to it.
pub(crate) fn email(text: &str) -> Result<String, Error> {
    let text = line(text, "an e-mail address", 3, 254)?;
    let whole = text.split_once('@').is_some_and(|(who, at)| {
        !who.is_empty()
            && !at.is_empty()
            && !at.contains('@')
            && !text.contains(char::is_whitespace)
    });
    if whole {
        Ok(text)
    } else {
        Err(Error::Invalid("Please enter an e-mail address such as ada@example.com.".into()))
    }
}

/// A password to be.
pub(crate) fn password(text: &str) -> Result<String, Error> {
    match text.chars().count() {
        8..=200 => Ok(text.to_owned()),
        _ => Err(Error::Invalid("Please choose a password of 8 to 200 characters.".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["ada", " Ada ", "Zoë", "a.b-c_d", "李明"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "a b", "..", "a/b", "<b>", &"a".repeat(33), "a\0b"] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_have_one_at() {
        assert!(email("ada@example.com").is_ok());
        for bad in ["", "ada", "@x", "a@", "a@b@c", "a b@c"] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bodies_keep_their_lines_and_lose_what_no_database_takes() {
        assert_eq!(body(" a\r\nb\0\u{8}c \n").unwrap(), "a\nbc");
        assert!(body(" \n ").is_err());
        assert!(body(&"ä".repeat(BODY_MAX)).is_ok());
        assert!(body(&"ä".repeat(BODY_MAX + 1)).is_err());
    }
}
