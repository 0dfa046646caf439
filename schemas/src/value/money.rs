use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{text, whole_number};

text! {
    /// A currency's code in ISO 4217. Open: which codes are in use is ISO's to say, and it changes.
    Currency is "open", max 3, "^[A-Z]{3}$", "a currency's code of three capital letters",
    |text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

whole_number! {
    /// An amount of money in the smallest unit of its currency: 1999 is 19.99 EUR, and 1999 JPY.
    MinorUnits
}

/// What a product costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Price {
    /// The amount in the currency's smallest unit.
    pub amount_minor: MinorUnits,
    /// The currency's code in ISO 4217.
    pub currency: Currency,
}
