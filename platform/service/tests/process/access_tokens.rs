//! Access tokens through the verifier that every API uses: what is signed passes, and nothing else does.

use std::{path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::Ed25519KeyPair;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use service::access_token::{Claims, JwkSet, KeySet, SigningKey, TokenError, Verifier};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

pub const NOON: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);

pub fn claims() -> Claims {
    let now = NOON.unix_timestamp();
    Claims {
        iss: "https://auth.example.com".to_owned(),
        aud: "waypost".to_owned(),
        sub: Uuid::from_u128(1),
        exp: now + 600,
        nbf: now,
        iat: now,
        jti: Uuid::from_u128(2),
        client_id: "waypost".to_owned(),
        sid: Uuid::from_u128(3),
        roles: vec!["user".to_owned()],
        ver: 7,
        auth_time: now,
    }
}

pub fn verifier() -> Verifier {
    Verifier::new("https://auth.example.com", "waypost")
}

/// Signs what a test says, whatever it is.
struct Forge {
    key: SigningKey,
    pair: Ed25519KeyPair,
    keys: KeySet,
    /// One that has seen every token before.
    knowing: Verifier,
}

impl Forge {
    fn new() -> Self {
        let (key, text) = SigningKey::generate().unwrap();
        let base64 = text.expose_secret().lines().nth(1).unwrap();
        let der = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
        let keys = KeySet::of([key.public()]);
        Self { key, pair, keys, knowing: verifier() }
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.key.id()})
    }

    /// Two segments as they are, with a signature of them.
    fn sign(&self, header: &str, payload: &str) -> String {
        let message = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn token(&self, header: &Value, payload: &Value) -> String {
        self.sign(&URL_SAFE_NO_PAD.encode(header.to_string()), &URL_SAFE_NO_PAD.encode(payload.to_string()))
    }

    fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let answer = verifier().verify(token, &self.keys, NOON);
        // What a verifier knows by then makes no difference.
        for _ in 0..2 {
            assert_eq!(self.knowing.verify(token, &self.keys, NOON), answer);
        }
        answer.map(Arc::unwrap_or_clone)
    }
}

#[test]
fn a_signed_token_says_what_was_signed_and_its_header_has_three_fields() {
    let forge = Forge::new();
    let token = forge.key.sign(&claims()).unwrap();
    assert_eq!(forge.verify(token.expose_secret()), Ok(claims()));
    let header = token.expose_secret().split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header, forge.header());
    // And so does one that was put together by hand: what is refused below is refused for its fault.
    let by_hand = forge.token(&forge.header(), &serde_json::to_value(claims()).unwrap());
    assert_eq!(forge.verify(&by_hand), Ok(claims()));
}

#[test]
fn a_header_with_anything_else_in_it_is_refused_though_the_signature_is_right() {
    let forge = Forge::new();
    let payload = serde_json::to_value(claims()).unwrap();
    let jwk = serde_json::to_value(forge.key.public().to_jwk()).unwrap();
    for (change, want) in [
        (json!({"alg": "none"}), TokenError::Algorithm),
        (json!({"alg": "HS256"}), TokenError::Algorithm),
        (json!({"alg": "RS256"}), TokenError::Algorithm),
        (json!({"alg": "Ed25519"}), TokenError::Algorithm),
        (json!({"alg": null}), TokenError::Header),
        (json!({"typ": "JWT"}), TokenError::Type),
        (json!({"kid": "another"}), TokenError::UnknownKey),
        (json!({"kid": 1}), TokenError::Header),
        (json!({"crit": ["exp"]}), TokenError::Header),
        (json!({"crit": []}), TokenError::Header),
        (json!({"jwk": jwk}), TokenError::Header),
        (json!({"jku": "https://evil.example.com/keys"}), TokenError::Header),
        (json!({"x5u": "https://evil.example.com/keys"}), TokenError::Header),
        (json!({"x5c": ["MIIB"]}), TokenError::Header),
        (json!({"b64": false}), TokenError::Header),
        (json!({"zip": "DEF"}), TokenError::Header),
    ] {
        let mut header = forge.header();
        header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(forge.verify(&forge.token(&header, &payload)), Err(want), "{change}");
    }
    for missing in ["alg", "typ", "kid"] {
        let mut header = forge.header();
        header.as_object_mut().unwrap().remove(missing);
        assert_eq!(forge.verify(&forge.token(&header, &payload)), Err(TokenError::Header), "{missing}");
    }
    let twice = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{0}","kid":"{0}"}}"#, forge.key.id());
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    let twice = forge.sign(&URL_SAFE_NO_PAD.encode(twice), &payload);
    assert_eq!(forge.verify(&twice), Err(TokenError::Header));
}

#[test]
fn a_claim_that_is_missing_wrong_or_out_of_time_is_refused() {
    let forge = Forge::new();
    let now = NOON.unix_timestamp();
    for (change, want) in [
        (json!({"iss": "https://evil.example.com"}), Err(TokenError::Invalid)),
        (json!({"aud": "another"}), Err(TokenError::Invalid)),
        (json!({"aud": ["waypost", "another"]}), Err(TokenError::Invalid)),
        (json!({"sub": "ada"}), Err(TokenError::Invalid)),
        (json!({"ver": "7"}), Err(TokenError::Invalid)),
        (json!({"exp": "9999999999"}), Err(TokenError::Invalid)),
        (json!({"exp": now - 30}), Err(TokenError::Expired)),
        (json!({"exp": now - 29}), Ok(())),
        (json!({"exp": i64::MIN}), Err(TokenError::Invalid)),
        (json!({"exp": 0}), Err(TokenError::Expired)),
        (json!({"nbf": now + 31}), Err(TokenError::NotYet)),
        (json!({"iat": now + 31}), Err(TokenError::NotYet)),
        (json!({"nbf": now + 30, "iat": now + 30}), Ok(())),
    ] {
        let mut payload = serde_json::to_value(claims()).unwrap();
        payload.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(forge.verify(&forge.token(&forge.header(), &payload)).map(drop), want, "{change}");
    }
    for missing in serde_json::to_value(claims()).unwrap().as_object().unwrap().keys() {
        let mut payload = serde_json::to_value(claims()).unwrap();
        payload.as_object_mut().unwrap().remove(missing);
        let refused = forge.verify(&forge.token(&forge.header(), &payload));
        assert_eq!(refused, Err(TokenError::Invalid), "{missing}");
    }
}

#[test]
fn a_token_of_another_shape_or_with_one_bit_changed_is_refused() {
    let forge = Forge::new();
    let token = forge.key.sign(&claims()).unwrap().expose_secret().to_owned();
    let parts: Vec<_> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!("{header}=.{payload}.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}.{payload} .{signature}"),
        format!("{header}.{payload}.{signature}{}", "A".repeat(4_096)),
    ] {
        assert!(forge.verify(&text).is_err(), "{text}");
    }
    for (at, before) in token.bytes().enumerate().filter(|(_, b)| *b != b'.') {
        // The last letter of a segment may hold bits that mean nothing, which a strict decoder refuses too.
        let other = if before == b'A' { b'B' } else { b'A' };
        let mut bytes = token.clone().into_bytes();
        bytes[at] = other;
        assert!(forge.verify(std::str::from_utf8(&bytes).unwrap()).is_err(), "at {at}");
    }
    let (other, _) = SigningKey::generate().unwrap();
    assert_eq!(forge.verify(other.sign(&claims()).unwrap().expose_secret()), Err(TokenError::UnknownKey));
}

#[test]
fn a_token_that_was_let_in_is_refused_out_of_its_time_and_without_its_key() {
    let forge = Forge::new();
    let token = forge.key.sign(&claims()).unwrap().expose_secret().to_owned();
    for verifier in [&verifier(), &forge.knowing] {
        assert_eq!(forge.verify(&token), Ok(claims()));
        let at = |minutes| verifier.verify(&token, &forge.keys, NOON + Duration::minutes(minutes)).map(drop);
        assert_eq!((at(10), at(11)), (Ok(()), Err(TokenError::Expired)));
        assert_eq!(at(-1), Err(TokenError::NotYet));
        assert_eq!(verifier.verify(&token, &KeySet::default(), NOON), Err(TokenError::UnknownKey));
    }
}

/// Wycheproof's vectors of JSON Web Signature, from where they are kept beside this repository; skipped where they are not.
///
/// None is signed with Ed25519, so none may pass: neither with the keys of its group, nor where a key of ours has the
/// name that it asks for, nor where its header and payload, however odd, are signed by us with that key.
#[test]
fn no_vector_of_wycheproof_is_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/wycheproof");
    let file = folder.join("json_web_signature_test.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: there is no {}", file.display());
        return;
    };
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let forge = Forge::new();
    let (mut tried, mut resigned) = (0, 0);
    for group in vectors["testGroups"].as_array().unwrap() {
        let key = if group["public"].is_object() { &group["public"] } else { &group["private"] };
        let published: JwkSet = serde_json::from_value(json!({"keys": [key]})).unwrap();
        let theirs = KeySet::read(&published);
        assert!(theirs.is_empty(), "no key of theirs is for Ed25519: {key}");
        // A key of ours, under the name of theirs.
        let mut ours = forge.key.public().to_jwk();
        ours.kid = key["kid"].as_str().map(str::to_owned).or(ours.kid);
        let confused = KeySet::read(&JwkSet { keys: vec![ours] });
        for test in group["tests"].as_array().unwrap() {
            let token = test["jws"].as_str().unwrap();
            tried += 1;
            for keys in [&theirs, &confused, &forge.keys] {
                assert!(verifier().verify(token, keys, NOON).is_err(), "{test}");
            }
            let mut parts = token.split('.');
            let (Some(header), Some(payload)) = (parts.next(), parts.next()) else { continue };
            resigned += 1;
            for keys in [&confused, &forge.keys] {
                assert!(verifier().verify(&forge.sign(header, payload), keys, NOON).is_err(), "signed by us: {test}");
            }
        }
    }
    assert_eq!(Some(tried), vectors["numberOfTests"].as_u64());
    assert!(resigned > 300, "{resigned}");
}
