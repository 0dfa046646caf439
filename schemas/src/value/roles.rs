use std::{borrow::Cow, collections::BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::text;

text! {
    /// The name of a role. Open: auth-service keeps the list of roles, and it grows.
    Role is "open", max 64, "^[a-z][a-z_]*$", "a role's name of at most 64 lower-case letters and underscores",
    |text| !text.starts_with('_') && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'_')),
    known {
        /// Every account has it when it is made.
        USER = "user",
        /// May manage accounts and roles.
        ADMIN = "admin"
    }
}

/// All roles of an account: at most 32, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Role>")]
pub struct Roles(BTreeSet<Role>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not valid, expected at most 32 roles, each once")]
pub struct InvalidRoles;

const MAX_ROLES: usize = 32;

impl Roles {
    /// What an account has when it is made.
    pub fn of_a_new_account() -> Self {
        Self(BTreeSet::from([Role::USER]))
    }

    pub fn contains(&self, role: &Role) -> bool {
        self.0.contains(role)
    }

    /// In the order of the alphabet.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.0.iter()
    }
}

impl TryFrom<Vec<Role>> for Roles {
    type Error = InvalidRoles;

    fn try_from(roles: Vec<Role>) -> Result<Self, InvalidRoles> {
        let count = roles.len();
        let roles: BTreeSet<_> = roles.into_iter().collect();
        if count <= MAX_ROLES && roles.len() == count { Ok(Self(roles)) } else { Err(InvalidRoles) }
    }
}

impl JsonSchema for Roles {
    fn schema_name() -> Cow<'static, str> {
        "Roles".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": generator.subschema_for::<Role>(),
            "maxItems": MAX_ROLES,
            "uniqueItems": true,
        })
    }
}
