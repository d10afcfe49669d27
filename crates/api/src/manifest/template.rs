//! Text with placeholders, `postgresql://{database.user}@{database.host}`, that is filled in where
//! the values are known. `{{` and `}}` stand for braces.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use types::Secret;

/// What placeholders stand for, by their names: `database.host`.
pub type Values = BTreeMap<String, Secret>;

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Text as it is, without doubled braces; not empty, and never two of them in a row.
    Text(String),
    /// The name between the braces.
    Placeholder(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder has no end.
    #[error(
        "a `{{` is not closed: write a name and a closing brace, or `{{{{` for the brace itself"
    )]
    Open,
    /// It ends where none has begun.
    #[error("a `}}` closes nothing: write `}}}}` for the brace itself")]
    Close,
}

impl Template {
    /// The names of its placeholders, in their order.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with what its placeholders stand for; `None` if a value is missing. What a value
    /// contains is never read as a placeholder.
    pub fn fill(&self, values: &Values) -> Option<Secret> {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match part {
                Part::Text(text) => text,
                Part::Placeholder(name) => values.get(name)?.reveal(),
            });
        }
        Some(Secret::new(text))
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text.chars();
        while let Some(letter) = rest.next() {
            let doubled = rest.as_str().starts_with(letter);
            match letter {
                '{' | '}' if doubled => {
                    rest.next();
                    plain.push(letter);
                }
                '{' => {
                    let (name, after) = rest.as_str().split_once('}').ok_or(TemplateError::Open)?;
                    if name.contains('{') {
                        return Err(TemplateError::Open);
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Placeholder(name.to_owned()));
                    rest = after.chars();
                }
                '}' => return Err(TemplateError::Close),
                letter => plain.push(letter),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Placeholder(name) => write!(f, "{{{name}}}")?,
                Part::Text(text) => text.chars().try_for_each(|letter| match letter {
                    '{' => f.write_str("{{"),
                    '}' => f.write_str("}}"),
                    letter => f.write_char(letter),
                })?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

impl JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test ends where it fails")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(text: &str, pairs: &[(&str, &str)]) -> Option<String> {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        let filled = text.parse::<Template>().unwrap().fill(&values.collect())?;
        Some(filled.reveal().to_owned())
    }

    #[test]
    fn placeholders_are_filled_in_and_doubled_braces_are_braces() {
        let pairs = [("database.user", "ada"), ("host", "{port}"), ("empty", "")];
        let text = "pg://{database.user}@{host}/{{{database.user}}}{empty}";
        assert_eq!(filled(text, &pairs).unwrap(), "pg://ada@{port}/{ada}");
        assert_eq!(filled("{host}{port}", &pairs), None);
    }

    #[test]
    fn a_lonely_brace_is_told() {
        for (text, why) in [
            ("a{b", TemplateError::Open),
            ("{a{b}", TemplateError::Open),
            ("a}b", TemplateError::Close),
            ("{a}}", TemplateError::Close),
        ] {
            assert_eq!(text.parse::<Template>(), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_template_is_written_as_it_is_read(text in "[a{}.]{0,12}") {
            if let Ok(template) = text.parse::<Template>() {
                let again: Template = template.to_string().parse().unwrap();
                prop_assert_eq!(again, template);
            }
        }

        /// Whatever a text or a value has in it, it arrives as it is.
        #[test]
        fn nothing_that_is_filled_in_is_read_again(before in "[a{} ]{0,8}", value in "[a{}. ]{0,8}") {
            let escaped = before.replace('{', "{{").replace('}', "}}");
            let filled = filled(&format!("{escaped}{{a}}{escaped}"), &[("a", &value)]);
            prop_assert_eq!(filled.unwrap(), format!("{before}{value}{before}"));
        }
    }
}
