//! How many passed and failed, read from what test programs print.

use std::fmt;

/// How many passed, failed and were not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) ignored: u32,
}

impl Tally {
    /// One check, such as the format's.
    pub(crate) const fn check(passed: bool) -> Self {
        Self { passed: passed as u32, failed: !passed as u32, ignored: 0 }
    }

    /// Both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }

    /// A program that failed although no test did, such as one that does not compile, is a
    /// failure too.
    const fn of_program(self, succeeded: bool) -> Self {
        if succeeded || self.failed > 0 { self } else { self.and(Self::check(false)) }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 { write!(f, ", {} ignored", self.ignored) } else { Ok(()) }
    }
}

/// So many lines are kept of why a test failed.
const WHY_LINES_MAX: usize = 12;

/// Reads what a test program prints on standard output.
#[derive(Default)]
pub(crate) struct Libtest {
    sum: Tally,
    /// A test program has begun, and has not said how it went.
    open: bool,
    /// What each test that failed is called, and why it did.
    failures: Vec<Vec<String>>,
    reading: Reading,
}

/// Which part of a failed test's output is read.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// None.
    #[default]
    Nothing,
    /// What it printed before it panicked.
    Output,
    /// Why it panicked.
    Why,
}

impl Libtest {
    /// Takes note of a line.
    pub(crate) fn read(&mut self, line: &str) {
        self.read_failure(line);
        if is_beginning(line) {
            self.close();
            self.open = true;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.open = false;
            let number = |what| number_before(result, what);
            self.sum = self.sum.and(Tally {
                passed: number("passed"),
                failed: number("failed"),
                ignored: number("ignored"),
            });
        }
    }

    /// Keeps `---- NAME stdout ----`, and what follows a `panicked at`.
    fn read_failure(&mut self, line: &str) {
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = name {
            self.failures.push(vec![name.to_owned()]);
            self.reading = Reading::Output;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.reading = Reading::Nothing;
        } else if self.reading == Reading::Output && line.contains(" panicked at ") {
            self.reading = Reading::Why;
        }
        let failure = self.failures.last_mut().filter(|_| self.reading == Reading::Why);
        if let Some(failure) = failure.filter(|lines| lines.len() <= WHY_LINES_MAX) {
            failure.push(format!("  {line}"));
        }
    }

    /// Which tests failed, and why: to be read at the end, where it is looked for.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().flatten().map(String::as_str).filter(|line| !line.trim().is_empty())
    }

    /// A program that never said how it went has crashed.
    fn close(&mut self) {
        if self.open {
            self.sum = self.sum.and(Tally::check(false));
        }
    }

    /// The sum, once the output has ended.
    pub(crate) fn tally(mut self, succeeded: bool) -> Tally {
        self.close();
        self.sum.of_program(succeeded)
    }
}

/// `running 12 tests`
fn is_beginning(line: &str) -> bool {
    let mut words = line.split(' ');
    words.next() == Some("running")
        && words.next().is_some_and(|number| number.parse::<u32>().is_ok())
        && matches!(words.next(), Some("test" | "tests"))
        && words.next().is_none()
}

/// 12, in `ok. 12 passed; 0 failed` before `passed`.
fn number_before(text: &str, what: &str) -> u32 {
    let part = text.split(['.', ';']).find_map(|part| part.trim().strip_suffix(what));
    part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Reads the last line that `pytest` prints: `1 failed, 5 passed, 2 skipped in 11.56s`.
#[derive(Default)]
pub(crate) struct Pytest(Tally);

impl Pytest {
    /// Takes note of a line.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((counts, _)) = line.trim_matches(['=', ' ']).rsplit_once(" in ") else { return };
        let mut sum = Tally::default();
        for part in counts.split(", ") {
            let count = part.split_once(' ');
            let count = count.and_then(|(number, what)| Some((number.parse().ok()?, what)));
            match count {
                Some((number, "passed")) => sum.passed = number,
                Some((number, "failed" | "error" | "errors")) => sum.failed += number,
                Some((number, "skipped" | "xfailed")) => sum.ignored += number,
                Some((_, "warning" | "warnings")) => {}
                _ => return,
            }
        }
        self.0 = sum;
    }

    /// The sum, once the output has ended.
    pub(crate) fn tally(self, succeeded: bool) -> Tally {
        self.0.of_program(succeeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libtest(text: &str, succeeded: bool) -> Tally {
        let mut libtest = Libtest::default();
        text.lines().for_each(|line| libtest.read(line));
        libtest.tally(succeeded)
    }

    fn pytest(text: &str, succeeded: bool) -> Tally {
        let mut pytest = Pytest::default();
        text.lines().for_each(|line| pytest.read(line));
        pytest.tally(succeeded)
    }

    const GOOD: &str = "running 12 tests\ntest a ... ok\n\n\
        test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out\n";

    #[test]
    fn results_of_all_programs_are_added() {
        let bad = GOOD.replace("ok. 12 passed; 0 failed", "FAILED. 10 passed; 2 failed");
        let sum = Tally { passed: 22, failed: 2, ignored: 2 };
        assert_eq!(libtest(&format!("{GOOD}{bad}"), false), sum);
    }

    #[test]
    fn a_program_that_crashes_has_failed() {
        let crashed = "running 2 tests\ntest a ... ok\n";
        assert_eq!(libtest(&format!("{crashed}{GOOD}"), false).failed, 1);
        assert_eq!(libtest(&format!("{GOOD}{crashed}"), false).failed, 1);
    }

    #[test]
    fn what_does_not_compile_has_failed() {
        assert_eq!(libtest("", false), Tally { passed: 0, failed: 1, ignored: 0 });
        assert_eq!(libtest(GOOD, false), Tally { passed: 12, failed: 1, ignored: 1 });
    }

    #[test]
    fn why_a_test_failed_is_kept() {
        let mut libtest = Libtest::default();
        let printed = "running 2 tests\ntest a ... FAILED\n\nfailures:\n\n---- a stdout ----\n\
            chatter\n\nthread 'a' (7) panicked at src/lib.rs:3:9:\nleft: 1\n right: 2\n\n\
            failures:\n    a\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored\n";
        printed.lines().for_each(|line| libtest.read(line));
        let kept: Vec<&str> = libtest.failures().collect();
        assert_eq!(
            kept,
            ["a", "  thread 'a' (7) panicked at src/lib.rs:3:9:", "  left: 1", "   right: 2"]
        );
    }

    #[test]
    fn what_a_test_prints_is_no_beginning() {
        let chatty = GOOD.replace("test a", "running late today\nrunning 3 tests of speed\ntest a");
        assert_eq!(libtest(&chatty, true), Tally { passed: 12, failed: 0, ignored: 1 });
    }

    #[test]
    fn pytest_is_read() {
        let sum = |passed, failed, ignored| Tally { passed, failed, ignored };
        assert_eq!(pytest("..F\n40 passed in 12.10s (0:00:12)\n", true), sum(40, 0, 0));
        let bad = "== 3 failed, 34 passed, 2 skipped, 1 warning, 1 error in 1.2s ==\n";
        assert_eq!(pytest(bad, false), sum(34, 4, 2));
        let chatty = "2 passed in 0.1s\nFAILED test_a.py::test - what came in late\n";
        assert_eq!(pytest(chatty, true), sum(2, 0, 0));
        assert_eq!(pytest("ImportError\n", false), sum(0, 1, 0));
    }
}
