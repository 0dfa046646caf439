use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use super::Unfit;

/// A currency that somebody pays with, by ISO 4217.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CurrencyInUse(String);

/// Those of countries, as of 2025: neither funds nor metals, nor what is for tests.
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF \
                     CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD \
                     HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
                     LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP \
                     PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT \
                     TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

impl CurrencyInUse {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CurrencyInUse {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        let is_one = CODES.split(' ').any(|code| code == text);
        if is_one { Ok(Self(text)) } else { Err(Unfit("a currency's code in ISO 4217, such as EUR")) }
    }
}

impl PartialSchema for CurrencyInUse {
    #[expect(deprecated, reason = "what is derived has its examples so, too")]
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A currency that somebody pays with, by ISO 4217"))
            .enum_values(Some(CODES.split(' ')))
            .example(Some("EUR".into()))
            .into()
    }
}

impl ToSchema for CurrencyInUse {
    fn name() -> Cow<'static, str> {
        "Currency".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_codes_of_iso_4217_in_order() {
        let codes: Vec<_> = CODES.split(' ').collect();
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
        assert!(codes.iter().all(|code| code.len() == 3));
        for code in ["", "eur", "XXX", "XAU", "EURO", "ABC"] {
            assert!(CurrencyInUse::try_from(code.to_owned()).is_err(), "{code}");
        }
    }
}
