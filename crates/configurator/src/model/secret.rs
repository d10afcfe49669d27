//! What is made by chance.

use api::manifest::{Alphabet, SecretForm};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use types::Secret;

const DIGITS: &[u8] = b"0123456789abcdef";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A secret of that form that nobody can guess.
pub(crate) fn secret(form: SecretForm) -> Secret {
    let text = match form.alphabet() {
        Alphabet::Hex => written(form, DIGITS),
        Alphabet::Letters => written(form, LETTERS),
        Alphabet::Base64 => {
            let bytes: Vec<u8> = (0..form.length()).map(|_| rand::random()).collect();
            BASE64_STANDARD.encode(bytes)
        }
    };
    Secret::new(text)
}

fn written(form: SecretForm, letters: &[u8]) -> String {
    let letter = |_| char::from(letters[rand::random_range(0..letters.len())]);
    (0..form.length()).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_secret_has_its_form_and_is_new_each_time(length in 16..=512_u32) {
            for (word, digits) in [("hex", DIGITS), ("letters", LETTERS)] {
                let form: SecretForm = format!("{length} {word}").parse().unwrap();
                let (one, other) = (secret(form), secret(form));
                prop_assert_eq!(one.reveal().len(), length as usize);
                prop_assert!(one.reveal().bytes().all(|byte| digits.contains(&byte)));
                prop_assert_ne!(one, other);
            }
            let form: SecretForm = format!("{length} base64").parse().unwrap();
            let bytes = BASE64_STANDARD.decode(secret(form).reveal()).unwrap();
            prop_assert_eq!(bytes.len(), length as usize);
        }
    }
}
