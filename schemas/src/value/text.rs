//! Texts of a given shape.

use std::fmt;

/// Why a text is refused: what it should have been, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not valid, expected {expected}")]
pub struct InvalidText {
    pub expected: &'static str,
}

/// A type for texts of one to `max` characters that match `pattern`; `fits` is the pattern in Rust, for a text that is
/// not empty. A text that is not classed `open` doesn't print itself.
macro_rules! text {
    (
        $(#[$doc:meta])*
        $name:ident is $class:literal, max $max:literal, $pattern:literal, $expected:literal, $fits:expr
        $(, known { $($(#[$known_doc:meta])* $known:ident = $word:literal),+ })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(std::borrow::Cow<'static, str>);

        impl $name {
            $($($(#[$known_doc])* pub const $known: Self = Self(std::borrow::Cow::Borrowed($word));)+)?

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::InvalidText;

            fn try_from(text: String) -> Result<Self, $crate::InvalidText> {
                let fits: fn(&str) -> bool = $fits;
                if !text.is_empty() && text.chars().count() <= $max && fits(&text) {
                    Ok(Self(text.into()))
                } else {
                    Err($crate::InvalidText { expected: $expected })
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::InvalidText;

            fn from_str(text: &str) -> Result<Self, $crate::InvalidText> {
                Self::try_from(text.to_owned())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::value::text::show(f, stringify!($name), $class, &self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "maxLength": $max,
                    "x-classification": $class,
                })
            }
        }
    };
}
pub(crate) use text;

pub(crate) fn show(f: &mut fmt::Formatter<'_>, name: &str, class: &str, text: &str) -> fmt::Result {
    match class {
        "open" => write!(f, "{name}({text:?})"),
        _ => write!(f, "{name}([redacted: {class}])"),
    }
}

fn lower_kebab(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

text! {
    /// The name of a service, as deployments and metrics know it.
    ServiceName is "open", max 64, "^[a-z][a-z0-9-]*$",
    "a service's name of at most 64 lower-case letters, digits and hyphens", lower_kebab,
    known { AUTH_SERVICE = "auth-service", PRODUCT_SERVICE = "product-service", USER_SERVICE = "user-service" }
}

text! {
    /// What people are to be called by. Classed `pii`.
    DisplayName is "pii", max 100, r"^[^\u0000-\u001f\u007f-\u009f]+$",
    "1 to 100 characters, none of them a control character", |text| !text.contains(char::is_control)
}

text! {
    /// A language that a person reads, in the narrow form of BCP 47: `de`, `pt-BR`, `zh-Hant-TW`, `es-419`.
    Locale is "open", max 12, "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$",
    "a locale such as `de`, `pt-BR` or `zh-Hant-TW`", is_locale
}

text! {
    /// A token that was sealed for its one reader: base64url without padding, in parts joined by dots. Classed
    /// `secret`.
    SealedToken is "secret", max 4096, r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
    "base64url without padding, of at most 4096 characters, in parts joined by dots",
    |text| text.split('.').all(|part| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    })
}

text! {
    /// The number that a shop keeps an article under.
    Sku is "open", max 64, "^[A-Za-z0-9][A-Za-z0-9._/-]*$",
    "a SKU of at most 64 letters, digits, dots, underscores, slashes and hyphens",
    |text| text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-'))
}

text! {
    /// What a product is called in the shop.
    ProductName is "open", max 200, r"^[^\u0000-\u001f\u007f-\u009f]+$",
    "1 to 200 characters, none of them a control character", |text| !text.contains(char::is_control)
}

text! {
    /// What the shop says of a product: plain text, in lines.
    ProductDescription is "open", max 4000, r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]+$",
    "1 to 4000 characters, none of them a control character but line feeds",
    |text| !text.contains(|c: char| c.is_control() && c != '\n')
}

fn is_locale(text: &str) -> bool {
    let all = |part: &str, fits: fn(&u8) -> bool| part.as_bytes().iter().all(fits);
    let is_script = |part: &str| {
        let (first, rest) = part.split_at_checked(1).unwrap_or_default();
        rest.len() == 3 && all(first, u8::is_ascii_uppercase) && all(rest, u8::is_ascii_lowercase)
    };
    let is_region = |part: &str| match part.len() {
        2 => all(part, u8::is_ascii_uppercase),
        3 => all(part, u8::is_ascii_digit),
        _ => false,
    };
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    let rest: Vec<_> = parts.collect();
    matches!(language.len(), 2 | 3)
        && all(language, u8::is_ascii_lowercase)
        && match *rest {
            [] => true,
            [one] => is_script(one) || is_region(one),
            [script, region] => is_script(script) && is_region(region),
            _ => false,
        }
}
