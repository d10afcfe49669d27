//! What comes from outside, brought into its limits.

use api::jobs::{NewJob, PAYLOAD_BYTES_MAX, Until};

const YEAR_SECONDS: u32 = 366 * 86_400;
const KEY_LENGTH_MAX: usize = 200;
const AFTER_MAX: usize = 100;
const WORDS_MAX: usize = 100;
const WORD_BYTES_MAX: usize = 4_000;

/// What is wrong with a job that is to be queued, whatever its command is; its payload as text.
pub(crate) fn problem_of(job: &NewJob, payload: &str) -> Option<String> {
    let seconds = |unique: &api::jobs::Unique| match unique.until {
        Until::Seconds(seconds) => seconds,
        Until::Started | Until::Ended => 1,
    };
    let problem = if payload.len() > PAYLOAD_BYTES_MAX {
        let length = payload.len();
        return Some(format!(
            "its payload has {length} bytes as JSON, and the limit is {PAYLOAD_BYTES_MAX}: store \
             larger data elsewhere and send a reference to it"
        ));
    } else if job.version == Some(0) {
        "its version is 0: versions begin with 1"
    } else if job.priority.is_some_and(|priority| !(-1_000..=1_000).contains(&priority)) {
        "its priority is not between -1,000 and 1,000"
    } else if job.delay_seconds.is_some() && job.not_before.is_some() {
        "it has both `delay_seconds` and `not_before`: send one of them"
    } else if job.delay_seconds.is_some_and(|seconds| seconds > YEAR_SECONDS) {
        "its delay is longer than a year"
    } else if job.unique.as_ref().is_some_and(|unique| !is_key(&unique.key)) {
        "its key does not have 1 to 200 characters"
    } else if job.unique.as_ref().is_some_and(|u| !(1..=YEAR_SECONDS).contains(&seconds(u))) {
        "its key must be kept for 1 second to a year"
    } else if job.after.len() > AFTER_MAX {
        "it depends on more than 100 jobs"
    } else if job.attempts.is_some_and(|attempts| !(1..=100).contains(&attempts)) {
        "it must be tried 1 to 100 times"
    } else if job.timeout_seconds.is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
        "it may not run for 1 second to a day"
    } else {
        return None;
    };
    Some(problem.to_owned())
}

/// Whether words can be a command.
pub(crate) fn is_command(words: &[String]) -> bool {
    let fits = |word: &String| word.len() <= WORD_BYTES_MAX && !word.contains('\0');
    (1..=WORDS_MAX).contains(&words.len()) && words.iter().all(fits)
}

fn is_key(key: &str) -> bool {
    (1..=KEY_LENGTH_MAX).contains(&key.chars().count()) && !key.contains('\0')
}

/// The end of a text, at most so many bytes.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> String {
    let mut start = text.len().saturating_sub(bytes_max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    // PostgreSQL's text cannot hold a NUL.
    text[start..].replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_output_is_kept() {
        let long = "é".repeat(8 << 10);
        let kept = shortened(&long, 8 << 10);
        assert!(kept.len() <= 8 << 10 && kept.len() > (8 << 10) - 4);
        assert_eq!(shortened("a\0b", 10), "ab");
    }
}
