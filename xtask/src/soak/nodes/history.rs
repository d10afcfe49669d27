//! What the jobs noted themselves, held against what was asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// What the jobs noted: the lines of each, by its id.
pub(super) type Notes = BTreeMap<String, String>;

/// How what was asked for came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Asked for, and had no effect.
    pub(super) missing: Vec<String>,
    /// Had their effect more than once.
    pub(super) twice: Vec<String>,
    /// Two attempts ran at once, or had the same token.
    pub(super) beside: Vec<String>,
    /// Were asked for by requests that got no good answer.
    pub(super) unheard: usize,
    /// Started more often than once, since an attempt was lost.
    pub(super) again: usize,
    /// Attempts that found a later one had begun.
    pub(super) stale: usize,
}

/// Reads what is noted in a folder.
pub(super) fn notes(folder: &Path) -> anyhow::Result<Notes> {
    let mut notes = Notes::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none()
            && let Some(job) = path.file_name().and_then(|name| name.to_str())
        {
            notes.insert(job.to_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(notes)
}

/// Compares.
pub(super) fn compare(asked: &BTreeSet<String>, notes: &Notes) -> Outcome {
    let mut outcome = Outcome::default();
    let had_none = |job: &&String| notes.get(*job).is_none_or(|lines| count(lines, "effect") == 0);
    outcome.missing = asked.iter().filter(had_none).cloned().collect();
    for (job, lines) in notes {
        let begun: Vec<&str> = lines.lines().filter(|line| line.starts_with("begins ")).collect();
        let tokens: BTreeSet<&&str> = begun.iter().collect();
        outcome.unheard += usize::from(!asked.contains(job));
        outcome.again += usize::from(begun.len() > 1);
        outcome.stale += count(lines, "stale");
        if count(lines, "effect") > 1 {
            outcome.twice.push(job.clone());
        }
        if count(lines, "beside") > 0 || tokens.len() < begun.len() {
            outcome.beside.push(job.clone());
        }
    }
    outcome
}

fn count(lines: &str, word: &str) -> usize {
    lines.lines().filter(|line| line.split(' ').next() == Some(word)).count()
}

impl Outcome {
    /// Whether each had its effect once.
    pub(super) fn is_right(&self) -> bool {
        self.missing.is_empty() && self.twice.is_empty() && self.beside.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_done_twice_is_found() {
        let asked: BTreeSet<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        let notes = [
            ("a", "begins 1\neffect 1\n"),
            ("b", "begins 2\nbegins 3\nstale 2\neffect 3\n"),
            ("c", "begins 4\n"),
            ("d", "begins 5\neffect 5\nbegins 6\neffect 6\n"),
            ("e", "begins 7\nbeside 8\nbegins 8\neffect 8\n"),
            ("x", "begins 9\neffect 9\nbegins 9\nagain 9\n"),
        ];
        let notes: Notes =
            notes.into_iter().map(|(job, lines)| (job.to_owned(), lines.to_owned())).collect();
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let outcome = compare(&asked, &notes);
        let expected = Outcome {
            missing: named(&["c"]),
            twice: named(&["d"]),
            beside: named(&["e", "x"]),
            unheard: 1,
            again: 4,
            stale: 1,
        };
        assert_eq!(outcome, expected);
        assert!(!outcome.is_right());
        let right = compare(&["a".to_owned(), "b".to_owned()].into(), &notes);
        assert!(right.missing.is_empty() && right.unheard == 4);
    }
}
