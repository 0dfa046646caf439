//! The keys that tokens are signed and checked with, and the set that is published (RFC 7517, RFC 8037).

use std::{fmt, sync::Arc};

use axum::body::Bytes;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::DecodingKey;
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{
    claims::Claims,
    verifier::{ALGORITHM, TYPE},
};

/// Why a key is no good. Says what it should be, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("should be an Ed25519 key in PKCS#8, as `openssl genpkey -algorithm ed25519` writes it")]
pub struct UnfitKey;

/// A private key. Its debug form is its id.
#[derive(Clone)]
pub struct SigningKey {
    public: PublicKey,
    private: Arc<Ed25519KeyPair>,
    /// Of all its tokens, in base64url.
    header: Arc<str>,
}

/// A public key with its id: the thumbprint of RFC 7638, so that one key has one id wherever it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: Arc<str>,
    x: [u8; 32],
}

/// A key as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Jwk {
    #[schema(example = "OKP")]
    pub kty: String,
    #[schema(example = "Ed25519")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The public key, in base64url.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    #[schema(example = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    #[schema(example = "EdDSA")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    #[schema(example = "sig")]
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
}

/// The keys that an issuer publishes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct JwkSet {
    pub keys: Vec<Jwk>,
}

/// The keys that tokens are checked with: a handful, so they are looked through.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<PublicKey>);

impl SigningKey {
    /// A new key, and the text by which [`parse`](Self::parse) finds it again.
    pub fn generate() -> Result<(Self, SecretString), UnfitKey> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| UnfitKey)?;
        let text = SecretString::from(STANDARD.encode(document.as_ref()));
        let pem = format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", text.expose_secret());
        Ok((Self::from_der(document.as_ref())?, SecretString::from(pem)))
    }

    /// From a PEM file's text, or its base64 alone.
    pub fn parse(text: &SecretString) -> Result<Self, UnfitKey> {
        let text = text.expose_secret().trim();
        let body = match text.strip_prefix(PEM_BEGIN) {
            Some(rest) => rest.trim_end().strip_suffix(PEM_END).ok_or(UnfitKey)?,
            None => text,
        };
        let base64 = SecretString::from(body.split_ascii_whitespace().collect::<String>());
        let der = STANDARD.decode(base64.expose_secret()).map_err(|_| UnfitKey)?;
        Self::from_der(&der)
    }

    fn from_der(der: &[u8]) -> Result<Self, UnfitKey> {
        // Unchecked is what ring calls a file without the public key, as OpenSSL writes it.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| UnfitKey)?;
        let public = PublicKey::new(pair.public_key().as_ref().try_into().map_err(|_| UnfitKey)?);
        let header = format!(r#"{{"typ":"{TYPE}","alg":"{ALGORITHM}","kid":"{}"}}"#, public.id);
        Ok(Self { public, private: Arc::new(pair), header: URL_SAFE_NO_PAD.encode(header).into() })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub fn id(&self) -> &str {
        &self.public.id
    }

    /// The token that says these claims (RFC 7515, 7.1).
    pub fn sign(&self, claims: &Claims) -> Result<SecretString, serde_json::Error> {
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?));
        let signature = self.private.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(SecretString::from(token))
    }
}

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

impl PublicKey {
    fn new(x: [u8; 32]) -> Self {
        let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(x));
        Self { id: URL_SAFE_NO_PAD.encode(Sha256::digest(thumbprint)).into(), x }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn to_jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(URL_SAFE_NO_PAD.encode(self.x)),
            kid: Some(self.id().to_owned()),
            alg: Some("EdDSA".to_owned()),
            usage: Some("sig".to_owned()),
        }
    }

    pub(super) fn decoding(&self) -> DecodingKey {
        DecodingKey::from_ed_der(&self.x)
    }
}

impl KeySet {
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> Self {
        Self(keys.into_iter().cloned().collect())
    }

    /// Those of a published set that tokens of ours can be signed with, under the ids it gives them. Others are left out:
    /// an issuer may have keys for other purposes.
    pub fn read(published: &JwkSet) -> Self {
        let fits = |value: &Option<String>, wanted: &str| value.as_deref().is_none_or(|value| value == wanted);
        let read = |jwk: &Jwk| {
            let usable = jwk.kty == "OKP" && fits(&jwk.alg, "EdDSA") && fits(&jwk.usage, "sig");
            let x = jwk.x.as_deref().filter(|_| usable && jwk.crv.as_deref() == Some("Ed25519"))?;
            let x = URL_SAFE_NO_PAD.decode(x).ok()?.try_into().ok()?;
            Some(PublicKey { id: jwk.kid.as_deref()?.into(), x })
        };
        Self(published.keys.iter().filter_map(read).collect())
    }

    pub fn get(&self, id: &str) -> Option<&PublicKey> {
        self.0.iter().find(|key| &*key.id == id)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The set as it is published.
    pub fn to_document(&self) -> Bytes {
        serde_json::to_vec(&self.to_jwk_set()).expect("texts are JSON").into()
    }

    pub fn to_jwk_set(&self) -> JwkSet {
        JwkSet { keys: self.0.iter().map(PublicKey::to_jwk).collect() }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, [redacted: secret])", self.public.id)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_again_by_its_text_and_shows_nothing_of_it() {
        let (key, text) = SigningKey::generate().unwrap();
        let again = SigningKey::parse(&text).unwrap();
        assert_eq!(again.public(), key.public());
        let base64 = text.expose_secret().lines().nth(1).unwrap();
        assert_eq!(SigningKey::parse(&SecretString::from(base64)).unwrap().id(), key.id());
        assert!(!format!("{key:?}").contains(&base64[30..50]), "{key:?}");
        assert_ne!(SigningKey::generate().unwrap().0.id(), key.id());
    }

    /// RFC 8037, appendix A: the key as OpenSSL writes it, its public part and its thumbprint.
    #[test]
    fn the_key_of_rfc_8037_has_the_id_that_is_told_there() {
        let openssl = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
        let key = SigningKey::parse(&SecretString::from(openssl)).unwrap();
        assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key.public().to_jwk().x.as_deref(), Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
    }

    #[test]
    fn what_is_no_ed25519_key_is_refused() {
        let public = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        for text in ["", "x", PEM_BEGIN, public, &format!("{PEM_BEGIN}\n{PEM_END}")] {
            assert!(SigningKey::parse(&SecretString::from(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn of_a_published_set_only_ed25519_signing_keys_are_used() {
        let (key, _) = SigningKey::generate().unwrap();
        let ours = key.public().to_jwk();
        let other = |change: fn(&mut Jwk)| {
            let mut jwk = ours.clone();
            change(&mut jwk);
            jwk
        };
        let others = vec![
            other(|jwk| jwk.kty = "oct".to_owned()),
            other(|jwk| jwk.crv = Some("X25519".to_owned())),
            other(|jwk| jwk.crv = None),
            other(|jwk| jwk.alg = Some("HS256".to_owned())),
            other(|jwk| jwk.usage = Some("enc".to_owned())),
            other(|jwk| jwk.kid = None),
            other(|jwk| jwk.x = Some("AAAA".to_owned())),
        ];
        assert!(KeySet::read(&JwkSet { keys: others.clone() }).is_empty());
        let all = JwkSet { keys: others.into_iter().chain([ours]).collect() };
        assert_eq!(KeySet::read(&all).get(key.id()), Some(key.public()));
        assert_eq!(KeySet::read(&all).len(), 1);
    }
}
