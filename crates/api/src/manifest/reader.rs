//! Reads TOML by hand, since a derived reader stops at the first fault and this one finds them all.
//!
//! A reading function asks for every key first, each question leaving its own faults, and only then
//! puts the value together; `None` means that a fault has been left.

use std::{cell::RefCell, fmt::Display, ops::RangeInclusive, str::FromStr};

use toml::de::{DeTable, DeValue};
use types::Amount;

use super::faults::{Fault, Faults, shown, suggestion};

/// The most bytes a file may have.
const MAX_BYTES: usize = 256 * 1024;
/// The most entries a table or a list may have.
const MAX_ENTRIES: usize = 200;
/// The most faults that are told: who has more has the wrong file.
const MAX_FAULTS: usize = 100;
/// The most characters a text may have.
const MAX_TEXT: usize = 1000;

/// A file being read, and what was found wrong in it so far.
pub(crate) struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    faults: RefCell<Vec<Fault>>,
}

impl Reader<'_> {
    /// Reads a whole file; the faults of TOML itself are told before any other.
    pub(crate) fn read<T>(
        file: &str,
        text: &str,
        read: impl FnOnce(&Table<'_>) -> Option<T>,
    ) -> Result<T, Faults> {
        let reader = Reader { file, text, faults: RefCell::default() };
        if text.len() > MAX_BYTES {
            let problem = format!("the file has {} bytes", text.len());
            reader.fault(0, "", problem, format!("write at most {MAX_BYTES}"));
            return Err(reader.into_faults());
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let problem = format!("this is not TOML: {}", shown(error.message()));
            reader.fault(at, "", problem, "correct this line (text stands in quotes)");
        }
        let entries = document.get_ref();
        let root = Table { reader: &reader, key: String::new(), at: 0, entries };
        let value = if errors.is_empty() { read(&root) } else { None };
        match value {
            Some(value) if reader.faults.borrow().is_empty() => Ok(value),
            _ => Err(reader.into_faults()),
        }
    }

    fn into_faults(self) -> Faults {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        Faults(faults)
    }

    fn fault(&self, at: usize, key: &str, problem: impl Into<String>, mend: impl Into<String>) {
        let mut faults = self.faults.borrow_mut();
        if faults.len() >= MAX_FAULTS {
            return;
        }
        let breaks = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let fault = Fault {
            file: self.file.to_owned(),
            line: u32::try_from(breaks + 1).unwrap_or(u32::MAX),
            key: key.to_owned(),
            problem: problem.into(),
            mend: mend.into(),
        };
        // Two questions about one value find the same fault.
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
}

/// A table of the file.
pub(crate) struct Table<'t> {
    reader: &'t Reader<'t>,
    key: String,
    at: usize,
    entries: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    /// Every key must be one of `known`.
    pub(crate) fn only(&self, known: &[&str]) {
        let unknown = self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        for key in unknown.take(MAX_FAULTS) {
            let name = key.get_ref().as_ref();
            let (at, mend) = (key.span().start, suggestion(name, known));
            self.reader.fault(at, &self.path(name), "there is no such key", mend);
        }
    }

    /// What a key has, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<Node<'t>> {
        let (key, value) = self.entries.get_key_value(name)?;
        Some(self.node(name, key.span().start, value.get_ref()))
    }

    /// What a key has; that it is missing is a fault, mended by `example`.
    pub(crate) fn need(&self, name: &str, example: &str) -> Option<Node<'t>> {
        self.get(name).or_else(|| {
            self.reader.fault(
                self.at,
                &self.path(name),
                "is missing",
                format!("write `{example}`"),
            );
            None
        })
    }

    /// A whole sub-table, if it is there.
    pub(crate) fn table(&self, name: &str) -> Option<Self> {
        self.get(name)?.table()
    }

    /// The entries of a table whose keys the author chose, in the order of the file.
    pub(crate) fn named(&self, rule: &NameRule) -> Vec<(String, Node<'t>)> {
        let mut keys: Vec<_> = self.entries.iter().collect();
        if keys.len() > MAX_ENTRIES {
            let problem = format!("has {} entries", keys.len());
            self.reader.fault(self.at, &self.key, problem, format!("write at most {MAX_ENTRIES}"));
            keys.truncate(MAX_ENTRIES);
        }
        keys.sort_by_key(|(key, _)| key.span().start);
        let nodes = keys.into_iter().map(|(key, value)| {
            let node = self.node(key.get_ref(), key.span().start, value.get_ref());
            (key.get_ref().to_string(), node)
        });
        let is_good = |(name, node): &(String, Node<'t>)| {
            let holds = (rule.holds)(name);
            if !holds {
                node.fault("is not a name", rule.mend);
            }
            holds
        };
        nodes.filter(is_good).collect()
    }

    /// Whether it has no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The good names among its keys, also of what is wrong otherwise.
    pub(crate) fn names(&self, rule: &NameRule) -> Vec<&'t str> {
        let keys = self.entries.keys().map(|key| key.get_ref().as_ref());
        keys.filter(|name| (rule.holds)(name)).collect()
    }

    /// Leaves a fault about the table itself.
    pub(crate) fn fault(&self, problem: impl Into<String>, mend: impl Into<String>) {
        self.reader.fault(self.at, &self.key, problem, mend);
    }

    /// Whether anything was wrong in the file so far.
    pub(crate) fn has_faults(&self) -> bool {
        !self.reader.faults.borrow().is_empty()
    }

    /// What is at a dotted path, or the last thing on the way to it: for telling where in a file
    /// something is missing.
    pub(crate) fn fault_near(&self, path: &[&str], problem: &str, mend: String) {
        let (mut entries, mut at) = (self.entries, self.at);
        for name in path {
            let Some((key, value)) = entries.get_key_value(*name) else { break };
            at = key.span().start;
            let Some(inner) = value.get_ref().as_table() else { break };
            entries = inner;
        }
        self.reader.fault(at, &path.join("."), problem, mend);
    }

    fn node(&self, name: &str, at: usize, value: &'t DeValue<'t>) -> Node<'t> {
        Node { reader: self.reader, key: self.path(name), at, value }
    }

    fn path(&self, name: &str) -> String {
        let name = shown(name);
        if self.key.is_empty() { name } else { format!("{}.{name}", self.key) }
    }
}

/// How the names in a table must look.
pub(crate) struct NameRule {
    /// Whether a text is such a name.
    pub(crate) holds: fn(&str) -> bool,
    /// How to mend one that is not.
    pub(crate) mend: &'static str,
}

/// Names of modules, meters, sizes, jobs and plans.
pub(crate) const NAMES: NameRule = NameRule {
    holds: |name| is_name(name, b"_-"),
    mend: "use 1 to 40 of a-z, 0-9, `-` and `_`, beginning with a letter",
};

/// Names of set-up fields: they become environment variables, where `-` cannot stand.
pub(crate) const FIELD_NAMES: NameRule = NameRule {
    holds: |name| is_name(name, b"_"),
    mend: "use 1 to 40 of a-z, 0-9 and `_`, beginning with a letter",
};

/// Names of permissions.
pub(crate) const VERBS: NameRule = NameRule {
    holds: |name| {
        name.len() <= 40
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    },
    mend: "write a verb in camel case such as `addUsers`, of at most 40 letters and digits",
};

/// Names of variables of the environment.
pub(crate) const VARIABLE_NAMES: NameRule = NameRule {
    holds: |name| is_variable(name, u8::is_ascii_alphabetic),
    mend: "use 1 to 64 of A-Z, a-z, 0-9 and `_`, not beginning with a digit",
};

/// Names of secrets: those of variables, in capitals.
pub(crate) const SECRET_NAMES: NameRule = NameRule {
    holds: |name| is_variable(name, u8::is_ascii_uppercase),
    mend: "use 1 to 64 of A-Z, 0-9 and `_`, not beginning with a digit",
};

fn is_variable(name: &str, is_letter: fn(&u8) -> bool) -> bool {
    let plain = |byte: u8| is_letter(&byte) || byte.is_ascii_digit() || byte == b'_';
    (1..=64).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(plain)
}

/// Names of labels.
pub(crate) const LABELS: NameRule = NameRule {
    holds: crate::labels::is_label,
    mend: "use 1 to 60 letters, digits, `-`, `_`, `.` and `/`",
};

fn is_name(name: &str, joints: &[u8]) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || joints.contains(&b);
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(plain)
}

/// A value of the file, and where it stands.
pub(crate) struct Node<'t> {
    reader: &'t Reader<'t>,
    key: String,
    at: usize,
    value: &'t DeValue<'t>,
}

impl<'t> Node<'t> {
    /// Leaves a fault here.
    pub(crate) fn fault(&self, problem: impl Into<String>, mend: impl Into<String>) {
        self.reader.fault(self.at, &self.key, problem, mend);
    }

    /// Leaves a fault here, in place of a value.
    pub(crate) fn fail<T>(&self, problem: impl Into<String>, mend: impl Into<String>) -> Option<T> {
        self.fault(problem, mend);
        None
    }

    fn wrong<T>(&self, mend: &str) -> Option<T> {
        let article = if self.value.type_str().starts_with(['a', 'i']) { "an" } else { "a" };
        self.fail(format!("{article} {} cannot stand here", self.value.type_str()), mend)
    }

    /// Whether a text stands here, whatever it says.
    pub(crate) fn is_text(&self) -> bool {
        self.value.as_str().is_some()
    }

    /// A text, perhaps empty.
    pub(crate) fn text(&self) -> Option<&'t str> {
        self.text_of(|letter| !letter.is_control())
    }

    /// A text of several lines, perhaps: what a program is told, or finds in its environment.
    fn lines(&self) -> Option<&'t str> {
        self.text_of(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'))
    }

    fn text_of(&self, is_allowed: impl FnMut(char) -> bool) -> Option<&'t str> {
        let Some(text) = self.value.as_str() else { return self.wrong("write text in quotes") };
        if text.chars().count() > MAX_TEXT {
            return self.fail("is too long", format!("write at most {MAX_TEXT} characters"));
        }
        if !text.chars().all(is_allowed) {
            return self.fail("has a control character", "remove it");
        }
        Some(text)
    }

    /// A text that says something.
    pub(crate) fn words(&self) -> Option<String> {
        let text = self.text()?.trim();
        if text.is_empty() {
            self.fail("is empty", "write something")
        } else {
            Some(text.to_owned())
        }
    }

    /// What a text stands for. The error's part after the last `: ` is the mend.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.parsed(self.text()?)
    }

    /// The same for a text of several lines, perhaps.
    pub(crate) fn parse_lines<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.parsed(self.lines()?)
    }

    fn parsed<T: FromStr<Err: Display>>(&self, text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.refuse(&error.to_string())).ok()
    }

    /// Leaves a fault whose sentence is `problem: mend`.
    pub(crate) fn refuse(&self, sentence: &str) {
        let (problem, mend) = sentence.rsplit_once(": ").unwrap_or((sentence, "correct it"));
        self.fault(shown_all(problem), mend);
    }

    /// One of some words.
    pub(crate) fn one_of<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let known: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Some(value.clone()),
            None => {
                self.fail(format!("`{}` is not known here", shown(text)), suggestion(text, &known))
            }
        }
    }

    /// Yes or no.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(truth) => Some(*truth),
            _ => self.wrong("write `true` or `false`"),
        }
    }

    /// A whole number.
    pub(crate) fn number<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        let mend = || format!("write a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = self.value else { return self.wrong(&mend()) };
        let read = i128::from_str_radix(number.as_str(), number.radix());
        match read.ok().and_then(|number| T::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Some(number),
            _ => self.fail(format!("`{}` is out of range", shown(number.as_str())), mend()),
        }
    }

    /// The text of a number, whole or with a point: what is read exactly is never a float.
    pub(crate) fn digits(&self, mend: &str) -> Option<&str> {
        match self.value {
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
            DeValue::Float(number) => Some(number.as_str()),
            _ => self.wrong(mend),
        }
    }

    /// An exact amount, written as a decimal in quotes: at most 9 digits before the point and 12
    /// after it, so that it can be multiplied by a quantity without leaving 128 bits.
    pub(crate) fn amount(&self) -> Option<Amount> {
        let text = match self.value {
            DeValue::String(text) => text.as_ref(),
            DeValue::Float(number) => return self.unquoted(number.as_str()),
            DeValue::Integer(number) if number.radix() == 10 => {
                return self.unquoted(number.as_str());
            }
            _ => return self.wrong("write a decimal in quotes such as `\"0.0125\"`"),
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let amount = text.parse::<Amount>().ok().filter(|_| !text.contains('/'));
        match amount {
            Some(amount) if amount.is_negative() => {
                self.fail(format!("`{}` is below zero", shown(text)), "write zero or more")
            }
            Some(amount) if whole.len() <= 9 && decimals.len() <= 12 => Some(amount),
            Some(_) => self.fail(
                format!("`{}` has too many digits", shown(text)),
                "write at most 9 before the point and 12 after it",
            ),
            None => self.fail(
                format!("`{}` is not an amount", shown(text)),
                "write a decimal in quotes such as `\"0.0125\"`",
            ),
        }
    }

    fn unquoted<T>(&self, number: &str) -> Option<T> {
        let number = shown(number);
        self.fail("an amount without quotes would not be exact", format!("write `\"{number}\"`"))
    }

    /// A moment with its offset from UTC.
    pub(crate) fn moment<T: FromStr>(&self) -> Option<T> {
        let mend = "write a moment without quotes such as `2026-12-01T00:00:00Z`";
        let Some(moment) = self.value.as_datetime() else { return self.wrong(mend) };
        let wrong = || self.fail(format!("`{moment}` is not a moment"), mend);
        moment.to_string().parse().ok().or_else(wrong)
    }

    /// Whether it is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// A table.
    pub(crate) fn table(&self) -> Option<Table<'t>> {
        let Some(entries) = self.value.as_table() else {
            return self.wrong(&format!("write a table such as `[{}]`", self.key));
        };
        Some(Table { reader: self.reader, key: self.key.clone(), at: self.at, entries })
    }

    /// A list, of which each part knows its own place.
    pub(crate) fn list(&self, mend: &str) -> Option<Vec<Self>> {
        let Some(list) = self.value.as_array() else { return self.wrong(mend) };
        if list.len() > MAX_ENTRIES {
            let problem = format!("has {} entries", list.len());
            return self.fail(problem, format!("write at most {MAX_ENTRIES}"));
        }
        let nodes = list.iter().enumerate().map(|(position, part)| {
            let number = position + 1;
            let inside = part.get_ref().is_table();
            let key = if inside { format!("{}[{number}]", self.key) } else { self.key.clone() };
            Self { reader: self.reader, key, at: part.span().start, value: part.get_ref() }
        });
        Some(nodes.collect())
    }

    /// A command: a program and its arguments.
    pub(crate) fn command(&self) -> Option<Vec<String>> {
        let mend = "write a list of the program and its arguments such as `[\"./app\", \"serve\"]`";
        let list = self.list(mend)?;
        let words: Option<Vec<String>> =
            list.iter().map(|word| word.lines().map(str::to_owned)).collect();
        let words = words?;
        if words.first().is_none_or(|program| program.trim().is_empty()) {
            return self.fail("names no program", mend);
        }
        Some(words)
    }
}

fn shown_all(problem: &str) -> String {
    problem.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
