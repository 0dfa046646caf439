//! An e-mail address as events carry it: personal data, so it never prints itself.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Something of the shape `local@domain`, at most 254 bytes (RFC 5321, errata 1690). Classed `pii`.
///
/// Its JSON Schema can count characters only, so it accepts a few addresses beyond ASCII that are refused here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an e-mail address, expected local@domain of at most 254 bytes")]
pub struct InvalidEmail;

const MAX_LENGTH: usize = 254;

impl Email {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As `\s` is in a JSON Schema's pattern, where the byte order mark is white space too; and control characters, of which
/// PostgreSQL can't hold U+0000.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '\u{feff}'
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        let shaped = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !text.contains(is_blank)
        });
        if shaped && text.len() <= MAX_LENGTH { Ok(Self(text)) } else { Err(InvalidEmail) }
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email([redacted: pii])")
    }
}

impl JsonSchema for Email {
    fn schema_name() -> Cow<'static, str> {
        "Email".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "email",
            "pattern": r"^[^@\s\u0000-\u001f\u007f-\u009f]+@[^@\s\u0000-\u001f\u007f-\u009f]+$",
            "maxLength": MAX_LENGTH,
            "x-classification": "pii",
        })
    }
}
