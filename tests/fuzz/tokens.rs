//! Text that may be a token: nothing is taken but what was printed or signed, letter for letter.
//!
//! The format of opaque tokens is written here once more, and so are the rules for claims. Access tokens are signed by a
//! key that is made here, so what is altered is otherwise real.

use std::sync::LazyLock;

use auth_service::read_and_printed_again;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use service::access_token::{Claims, Jwk, JwkSet, KeySet, LEEWAY, SigningKey, Verifier, bearer_token};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-01-02 3:04:05 UTC);
const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "waypost";
/// The private key of RFC 8037, appendix A: with it, each run signs the same.
const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";

struct Signed {
    key: SigningKey,
    known: KeySet,
    /// Another key under the same id.
    other: KeySet,
    verifier: Verifier,
    token: String,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let key = SigningKey::parse(&SecretString::from(KEY)).expect("the RFC's key is one");
    let (other, _) = SigningKey::generate().expect("there are random bytes");
    let jwk = Jwk { kid: Some(key.id().to_owned()), ..other.public().to_jwk() };
    let token = key.sign(&claims()).expect("claims are signed").expose_secret().to_owned();
    let (known, other) = (KeySet::of([key.public()]), KeySet::read(&JwkSet { keys: vec![jwk] }));
    let verifier = Verifier::new(ISSUER, AUDIENCE);
    assert_eq!(verifier.verify(&token, &known, NOW).as_deref(), Ok(&claims()), "a token that was signed is refused");
    Signed { key, known, other, verifier, token }
});

fn claims() -> Claims {
    let now = NOW.unix_timestamp();
    Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: Uuid::from_u128(1),
        exp: now + 600,
        nbf: now,
        iat: now,
        jti: Uuid::from_u128(2),
        client_id: "web".to_owned(),
        sid: Uuid::from_u128(3),
        roles: vec!["admin".to_owned()],
        ver: 1,
        auth_time: now,
    }
}

/// Panics where the bytes show a mistake.
pub fn check(bytes: &[u8]) {
    check_bearer(bytes);
    check_altered_opaque(bytes);
    check_altered_access_token(bytes);
    check_put_together(bytes);
    check_claims(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_opaque(text);
        check_access_token(text);
    }
}

/// Whoever takes a token of one purpose takes no other, and takes it in one spelling.
fn check_opaque(text: &str) {
    let readings = read_and_printed_again(&SecretString::from(text));
    for (prefix, printed) in &readings {
        if let Some(printed) = printed {
            assert_eq!(printed.expose_secret(), text, "a token has two spellings");
            assert!(text.starts_with(prefix), "{text} is taken for a token that begins with {prefix}");
        }
    }
    assert!(readings.iter().filter(|(_, printed)| printed.is_some()).count() <= 1, "{text} is taken for two tokens");
}

/// Of the first bytes a token, which is read; by the last ones a letter is changed, and it is no more.
fn check_altered_opaque(bytes: &[u8]) {
    let Some((secret, [kind, at, letter, ..])) = bytes.split_first_chunk::<32>() else { return };
    let prefix = ["rt_", "evt_", "prt_"][usize::from(*kind) % 3];
    let token = opaque(prefix, *secret);
    check_opaque(&token);
    let readings = read_and_printed_again(&SecretString::from(token.as_str()));
    let read = readings.iter().find(|(_, printed)| printed.is_some());
    assert_eq!(read.map(|(prefix, _)| *prefix), Some(prefix), "{token} is not taken");

    let mut altered = token.clone().into_bytes();
    let at = usize::from(*at) % altered.len();
    altered[at] = *letter;
    if let Ok(altered) = String::from_utf8(altered)
        && altered != token
    {
        let readings = read_and_printed_again(&SecretString::from(altered.as_str()));
        assert!(readings.iter().all(|(_, printed)| printed.is_none()), "{token} is taken as {altered}");
    }
}

fn opaque(prefix: &str, secret: [u8; 32]) -> String {
    let body = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(secret));
    let letters: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let sum = crc32fast::hash(body.as_bytes());
    let digit = |place: u32| letters[(sum / 62u32.pow(place) % 62) as usize];
    format!("{body}_{}", (0..6).rev().map(digit).collect::<String>())
}

fn accepts(token: &str, keys: &KeySet) -> bool {
    SIGNED.verifier.verify(token, keys, NOW).is_ok()
}

/// Only what was signed is accepted, and only by who has the key.
fn check_access_token(token: &str) {
    assert_eq!(accepts(token, &SIGNED.known), token == SIGNED.token, "{token} against {}", SIGNED.token);
    assert!(!accepts(token, &SIGNED.other) && !accepts(token, &KeySet::default()), "{token} brings its key");
}

/// Each four bytes change one: where, how, and to what.
fn check_altered_access_token(bytes: &[u8]) {
    let mut altered = SIGNED.token.clone().into_bytes();
    for edit in bytes.chunks_exact(4).take(16) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % (altered.len() + 1);
        match edit[2] % 5 {
            0 => altered.insert(at, edit[3]),
            1 if at < altered.len() => drop(altered.remove(at)),
            2 if at < altered.len() => altered[at] ^= 1 << (edit[3] % 8),
            3 if at < altered.len() => altered[at] = edit[3],
            _ => altered.truncate(at),
        }
    }
    if let Ok(altered) = std::str::from_utf8(&altered) {
        check_access_token(altered);
    }
}

/// Header, claims and signature, one to a line, each in base64; the real one for a line that is empty.
fn check_put_together(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let real = SIGNED.token.split('.');
    let parts = real.map(|real| match lines.next().unwrap_or_default() {
        [] => real.to_owned(),
        line => URL_SAFE_NO_PAD.encode(line),
    });
    check_access_token(&parts.collect::<Vec<_>>().join("."));
}

/// Any claims, signed: accepted where they are for here and now.
fn check_claims(bytes: &[u8]) {
    let Ok(claims) = serde_json::from_slice::<Claims>(bytes) else { return };
    let token = SIGNED.key.sign(&claims).expect("claims are signed");
    let verified = SIGNED.verifier.verify(token.expose_secret(), &SIGNED.known, NOW);
    let (now, leeway) = (i128::from(NOW.unix_timestamp()), i128::from(LEEWAY.whole_seconds()));
    let is_for_here = claims.iss == ISSUER && claims.aud == AUDIENCE;
    let is_for_now = i128::from(claims.exp) + leeway > now
        && i128::from(claims.nbf) <= now + leeway
        && i128::from(claims.iat) <= now + leeway;
    if is_for_here && is_for_now && token.expose_secret().len() <= 4_096 {
        assert_eq!(verified.as_deref(), Ok(&claims), "what is good is refused");
    } else {
        assert!(verified.is_err(), "{claims:?} is accepted");
    }
}

/// The header as a whole, and what would follow its scheme.
fn check_bearer(bytes: &[u8]) {
    let read = |values: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).ok()?);
        }
        bearer_token(&headers).map(str::to_owned)
    };
    if let Some(token) = read(&[bytes]) {
        let (scheme, rest) = bytes.split_at(b"Bearer ".len());
        assert!(scheme.eq_ignore_ascii_case(b"Bearer "), "a token of another scheme: {bytes:?}");
        let spaces = rest.len() - token.len();
        assert!(rest.ends_with(token.as_bytes()) && rest[..spaces].iter().all(|byte| *byte == b' '), "{bytes:?}");
        assert!(!token.starts_with(' ') && !token.is_empty(), "{bytes:?}");
        assert!(token.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)), "{bytes:?}");
        assert_eq!(read(&[bytes, bytes]), None, "of two, one is chosen");
    }
    let is_token = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    if is_token {
        let token = read(&[&[b"bEaReR ", bytes].concat()]);
        assert_eq!(token.as_deref().map(str::as_bytes), Some(bytes));
    }
}
