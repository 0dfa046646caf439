//! Every value is held against its own JSON Schema: what the one takes, the other takes.

use std::fmt::Debug;

use jsonschema::Validator;
use proptest::{prelude::*, sample::select};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "read, not used")]
struct OfId(#[serde(with = "Id")] Uuid);

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "read, not used")]
struct OfInstant(#[serde(with = "Instant")] OffsetDateTime);

struct Judges {
    name: String,
    schema: Value,
    validator: Validator,
    read: fn(&Value) -> Result<(), String>,
}

fn judges<T: JsonSchema + DeserializeOwned>() -> Judges {
    let schema = schema_for!(T).to_value();
    let options = jsonschema::options().should_validate_formats(true).with_format("email", |_: &str| true);
    Judges {
        name: T::schema_name().into_owned(),
        validator: options.build(&schema).unwrap(),
        schema,
        read: |value| T::deserialize(value).map(drop).map_err(|error| error.to_string()),
    }
}

fn all() -> Vec<Judges> {
    vec![
        judges::<AccountStatus>(),
        judges::<Currency>(),
        judges::<DeactivationReason>(),
        judges::<DisplayName>(),
        judges::<Email>(),
        judges::<Locale>(),
        judges::<MinorUnits>(),
        judges::<Price>(),
        judges::<ProductDescription>(),
        judges::<ProductName>(),
        judges::<ReasonCode>(),
        judges::<Role>(),
        judges::<Roles>(),
        judges::<SealedToken>(),
        judges::<ServiceName>(),
        judges::<Sku>(),
        judges::<TokenVersion>(),
        judges::<OfId>(),
        judges::<OfInstant>(),
    ]
}

impl Judges {
    fn agreed(&self, value: &Value) -> bool {
        let read = (self.read)(value);
        assert_eq!(read.is_ok(), self.validator.is_valid(value), "{} of {value}: {read:?}", self.name);
        read.is_ok()
    }
}

#[test]
fn the_longest_is_taken_and_nothing_longer() {
    for judges in all() {
        let Some(max) = judges.schema["maxLength"].as_u64() else { continue };
        let of_length = |length: usize| match judges.name.as_str() {
            "Email" => format!("a@{}", "b".repeat(length - 2)),
            "Currency" => "E".repeat(length),
            "DisplayName" | "ProductName" | "ProductDescription" => "😀".repeat(length),
            _ => "a".repeat(length),
        };
        let longest = json!(of_length(max as usize));
        let has_one_length = ["Locale", "OfId", "OfInstant"].contains(&judges.name.as_str());
        assert!(judges.agreed(&longest) || has_one_length, "{}", judges.name);
        assert!(!judges.agreed(&json!(of_length(max as usize + 1))), "{}", judges.name);
        assert!(!judges.agreed(&json!("")), "{}", judges.name);
    }
}

fn assert_takes<T: JsonSchema + DeserializeOwned>(good: &Value, bad: &Value) {
    let judges = judges::<T>();
    for (values, want) in [(good, true), (bad, false)] {
        for value in values.as_array().unwrap() {
            assert_eq!(judges.agreed(value), want, "{} of {value}", judges.name);
        }
    }
}

#[test]
fn each_text_has_its_shape() {
    assert_takes::<Locale>(
        &json!(["de", "yue", "pt-BR", "zh-Hant", "zh-Hant-TW", "es-419"]),
        &json!(["d", "DE", "de-", "de_DE", "de-de", "de-DE-DE", "de-TW-Hant", "de-é", "zh-éant", "i-klingon"]),
    );
    assert_takes::<SealedToken>(
        &json!(["a", "k1.QUJD-_", "a.b.c"]),
        &json!([".", "a.", ".a", "a..b", "a=", "a+b", "a b", "é"]),
    );
    assert_takes::<Role>(&json!(["user", "shop_keeper", "a_"]), &json!(["_", "_a", "User", "shop-keeper", "r2"]));
    assert_takes::<ServiceName>(&json!(["auth-service", "a2"]), &json!(["2a", "-a", "Auth", "a b", "a_b"]));
    assert_takes::<DeactivationReason>(&json!(["own-request", "x"]), &json!(["-", "a-", "a--b", "Own", "a1", "a b"]));
    assert_takes::<Sku>(&json!(["A", "0", "EX-1/2.b_c"]), &json!(["-A", "/", "A B", "Ä", "A\n"]));
    assert_takes::<DisplayName>(
        &json!(["Alice", " ", "Çarol «例»", "O'Example\u{ad}"]),
        &json!(["a\nb", "\u{0}", "\u{7f}", "\u{9f}"]),
    );
    assert_takes::<ProductDescription>(
        &json!(["a\nb", "\u{a0}"]),
        &json!(["a\tb", "a\r\nb", "\u{0}", "\u{b}", "\u{85}"]),
    );
    assert_takes::<Email>(
        &json!(["a@b", "é@例.example"]),
        &json!(["a@b\u{0}", "\u{1}@b", "a\u{85}@b", "a\u{feff}@b", "a\u{2003}@b", "a@b@c", "a @b", "@b", "a@"]),
    );
}

#[test]
fn a_number_is_whole_and_safe_to_read_anywhere() {
    assert_takes::<TokenVersion>(
        &json!([0, 2.0, -0.0, 9_007_199_254_740_991_u64]),
        &json!([-1, 0.5, 9_007_199_254_740_992_u64, u64::MAX, 1e300, "1", true, null]),
    );
}

#[test]
fn lists_and_objects_are_judged_part_by_part() {
    assert_takes::<Roles>(
        &json!([[], ["user"], ["user", "admin"]]),
        &json!([["user", "user"], "user", ["User"], [null], {}]),
    );
    assert_takes::<Price>(
        &json!([{"amountMinor": 0, "currency": "JPY", "more": 1}]),
        &json!([
            {"amountMinor": 0},
            {"amountMinor": "0", "currency": "JPY"},
            {"amountMinor": 0, "currency": "jpy"},
            "0 JPY",
        ]),
    );
}

#[test]
fn an_id_has_one_spelling_but_for_case() {
    let id = "019ab6a1-3c00-7000-8000-00000000a11c";
    assert_takes::<OfId>(
        &json!([id, id.to_uppercase()]),
        &json!([id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}"), "0".repeat(36), 5]),
    );
}

#[test]
fn a_moment_is_told_in_utc() {
    assert_takes::<OfInstant>(
        &json!(["2026-01-02T03:04:05Z", "2024-02-29T23:59:59.123456789Z", "0000-01-01T00:00:00.0Z"]),
        &json!([
            "2026-01-02t03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05+00:00",
            "2026-02-29T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05.1234567890Z",
            "+026-01-02T03:04:05Z",
            "2026-01-02",
            "é026-01-02T03:04:05",
        ]),
    );
}

#[test]
fn the_roles_of_an_account_are_at_most_32() {
    let roles = |count: usize| (1..=count).map(|length| "r".repeat(length)).collect::<Vec<_>>();
    let judges = judges::<Roles>();
    assert!(judges.agreed(&json!(roles(32))));
    assert!(!judges.agreed(&json!(roles(33))));
}

/// Texts near the edge: of the letters that the patterns name, and of those just beyond.
fn texts() -> impl Strategy<Value = String> {
    let letters: Vec<char> = "aZz09@._/-: TEUR\n\t\0\u{1f}\u{7f}\u{85}\u{a0}\u{feff}é\u{1f600}".chars().collect();
    let near = prop::collection::vec(select(letters), 0..14).prop_map(String::from_iter);
    let locale = "[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?";
    let moment = "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?Z";
    prop_oneof![near, any::<String>(), locale, moment, "[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}", "[A-Z]{3}"]
}

proptest! {
    #[test]
    fn the_schema_and_the_type_agree_on_any_text(text in texts(), number in any::<f64>(), whole in any::<i64>()) {
        for judges in all() {
            judges.agreed(&json!(text));
            judges.agreed(&json!(number));
            judges.agreed(&json!(whole));
        }
    }
}

#[test]
fn words_that_are_known_here_have_the_right_shape() {
    assert_eq!("auth-service".parse(), Ok(ServiceName::AUTH_SERVICE));
    assert_eq!("product-service".parse(), Ok(ServiceName::PRODUCT_SERVICE));
    assert_eq!("user-service".parse(), Ok(ServiceName::USER_SERVICE));
    assert_eq!("user".parse(), Ok(Role::USER));
    assert_eq!("admin".parse(), Ok(Role::ADMIN));
    assert_eq!("own-request".parse(), Ok(DeactivationReason::OwnRequest));
    assert_eq!("admin-decision".parse(), Ok(DeactivationReason::AdminDecision));
    let later: DeactivationReason = "suspected-takeover".parse().unwrap();
    assert!(matches!(later, DeactivationReason::Other(_)));
    assert_eq!(serde_json::to_value(&later).unwrap(), "suspected-takeover");
    for status in [AccountStatus::Active, AccountStatus::Deactivated] {
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
    }
}

#[test]
fn what_is_not_open_does_not_print_itself() {
    fn print<T: TryFrom<String, Error: Debug> + Debug>(text: &str) -> String {
        format!("{:?}", T::try_from(text.to_owned()).unwrap())
    }
    assert_eq!(print::<SealedToken>("RkFLRQ"), "SealedToken([redacted: secret])");
    assert_eq!(print::<DisplayName>("Alice Example"), "DisplayName([redacted: pii])");
    assert_eq!(print::<Email>("alice@example.com"), "Email([redacted: pii])");
    assert_eq!(print::<Sku>("EX-1"), r#"Sku("EX-1")"#);
}
