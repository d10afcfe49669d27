//! What travels and is kept as a text.

/// Makes a type that is read from a text (`FromStr`) and shown as one (`Display`) fit for
/// `#[serde(try_from = "String", into = "String")]`, and gives it its schema: a text, of this
/// pattern if one is named.
#[macro_export]
macro_rules! as_text {
    ($type:ident, $error:ty $(, $pattern:literal)?) => {
        impl TryFrom<String> for $type {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
        impl ::schemars::JsonSchema for $type {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({ "type": "string" $(, "pattern": $pattern)? })
            }
        }
    };
}
