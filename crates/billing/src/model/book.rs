//! What things on bills may be called, and what is alike.

use api::billing::Words;

use super::Terms;
use crate::Error;

const WORDS_MAX: usize = 2_000;
const WORD_LENGTH_MAX: usize = 200;

/// Whether what things are called is short enough to be shown and kept.
pub(crate) fn check_words(words: &Words) -> Result<(), Error> {
    let Words { sizes, modules, meters, units } = words;
    let all = [sizes, modules, meters, units];
    let texts = all.iter().copied().flatten().flat_map(|(name, text)| [name, text]);
    let (mut count, mut longest) = (0, 0);
    for text in texts {
        (count, longest) = (count + 1, longest.max(text.chars().count()));
    }
    if count <= WORDS_MAX && longest <= WORD_LENGTH_MAX {
        return Ok(());
    }
    Err(Error::Book(format!(
        "what things are called must be at most {WORDS_MAX} texts of {WORD_LENGTH_MAX} characters"
    )))
}

impl Terms {
    /// Whether it is the same that is taken, from whatever moment on.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.plan, &self.size, &self.modules) == (&other.plan, &other.size, &other.modules)
    }
}
