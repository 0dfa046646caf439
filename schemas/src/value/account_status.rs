use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether an account may be used. Closed: a reader that let an unknown status pass would let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, extend("x-classification" = "open"))]
pub enum AccountStatus {
    Active,
    Deactivated,
}

impl AccountStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated => "deactivated",
        }
    }
}
