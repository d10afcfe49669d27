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

/// Reads what `cargo test` prints on standard output.
#[derive(Default)]
pub(crate) struct Cargo {
    sum: Tally,
    /// A test program has begun, and has not said how it went.
    open: bool,
}

impl Cargo {
    /// Takes note of a line.
    pub(crate) fn read(&mut self, line: &str) {
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

/// Reads what Python's `unittest` prints on standard error.
#[derive(Default)]
pub(crate) struct Unittest {
    ran: u32,
    failed: u32,
    ignored: u32,
}

impl Unittest {
    /// Takes note of a line.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix("Ran ").and_then(|line| line.split(' ').next()) {
            self.ran = number.parse().unwrap_or(0);
        } else if line.starts_with("OK") || line.starts_with("FAILED (") {
            let details = line.split_once('(').map_or("", |(_, details)| details);
            for detail in details.trim_end_matches(')').split(", ") {
                let Some((what, number)) = detail.split_once('=') else { continue };
                let number = number.parse().unwrap_or(0);
                match what {
                    "failures" | "errors" | "unexpected successes" => self.failed += number,
                    "skipped" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }

    /// The sum, once the output has ended.
    pub(crate) fn tally(self, succeeded: bool) -> Tally {
        let passed = self.ran.saturating_sub(self.failed + self.ignored);
        let sum = Tally { passed, failed: self.failed, ignored: self.ignored };
        sum.of_program(succeeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cargo(text: &str, succeeded: bool) -> Tally {
        let mut cargo = Cargo::default();
        text.lines().for_each(|line| cargo.read(line));
        cargo.tally(succeeded)
    }

    fn unittest(text: &str, succeeded: bool) -> Tally {
        let mut unittest = Unittest::default();
        text.lines().for_each(|line| unittest.read(line));
        unittest.tally(succeeded)
    }

    const GOOD: &str = "running 12 tests\ntest a ... ok\n\n\
        test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out\n";

    #[test]
    fn results_of_all_programs_are_added() {
        let bad = GOOD.replace("ok. 12 passed; 0 failed", "FAILED. 10 passed; 2 failed");
        let sum = Tally { passed: 22, failed: 2, ignored: 2 };
        assert_eq!(cargo(&format!("{GOOD}{bad}"), false), sum);
    }

    #[test]
    fn a_program_that_crashes_has_failed() {
        let crashed = "running 2 tests\ntest a ... ok\n";
        assert_eq!(cargo(&format!("{crashed}{GOOD}"), false).failed, 1);
        assert_eq!(cargo(&format!("{GOOD}{crashed}"), false).failed, 1);
    }

    #[test]
    fn what_does_not_compile_has_failed() {
        assert_eq!(cargo("", false), Tally { passed: 0, failed: 1, ignored: 0 });
        assert_eq!(cargo(GOOD, false), Tally { passed: 12, failed: 1, ignored: 1 });
    }

    #[test]
    fn what_a_test_prints_is_no_beginning() {
        let chatty = GOOD.replace("test a", "running late today\nrunning 3 tests of speed\ntest a");
        assert_eq!(cargo(&chatty, true), Tally { passed: 12, failed: 0, ignored: 1 });
    }

    #[test]
    fn unittest_is_read() {
        let sum = |passed, failed, ignored| Tally { passed, failed, ignored };
        assert_eq!(unittest("...\nRan 40 tests in 12.1s\n\nOK\n", true), sum(40, 0, 0));
        assert_eq!(unittest("Ran 40 tests in 1s\n\nOK (skipped=2)\n", true), sum(38, 0, 2));
        let bad = "Ran 40 tests in 1s\n\nFAILED (failures=1, errors=2, skipped=3)\n";
        assert_eq!(unittest(bad, false), sum(34, 3, 3));
        assert_eq!(unittest("Traceback …\n", false), sum(0, 1, 0));
    }
}
