use std::{
    collections::HashMap,
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::{Claims, KeySet, PublicKey};

/// Tokens whose signature was found right, so that the next request with one pays a digest and not a signature.
///
/// A token is known by its digest, to the bit, and together with the key that signed it: once that is not among the keys any
/// more, the token is not known either. Whether it is still valid depends on the time, and is asked each time.
pub(super) struct Verified(Mutex<Generations>);

/// What was asked for lately, and before that. What nobody asks for while one generation fills is forgotten with it.
#[derive(Default)]
struct Generations {
    young: HashMap<Digest, Known>,
    old: HashMap<Digest, Known>,
}

pub(super) type Digest = [u8; SHA256_OUTPUT_LEN];

#[derive(Clone)]
struct Known {
    key: PublicKey,
    claims: Arc<Claims>,
}

/// A token and its claims take some 600 bytes.
const MOST_IN_A_GENERATION: usize = 5_000;

impl Verified {
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    pub fn digest(token: &str) -> Digest {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        bytes
    }

    pub fn claims(&self, token: &Digest, keys: &KeySet) -> Option<Arc<Claims>> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = if let Some(known) = generations.young.get(token) {
            known.clone()
        } else {
            let known = generations.old.remove(token)?;
            generations.keep(*token, known.clone());
            known
        };
        (keys.get(known.key.id()) == Some(&known.key)).then_some(known.claims)
    }

    pub fn remember(&self, token: Digest, key: &PublicKey, claims: &Arc<Claims>) {
        let known = Known { key: key.clone(), claims: Arc::clone(claims) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(token, known);
    }
}

impl Generations {
    fn keep(&mut self, token: Digest, known: Known) {
        if self.young.len() >= MOST_IN_A_GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(token, known);
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::access_token::SigningKey;

    fn claims() -> Arc<Claims> {
        Arc::new(Claims {
            iss: String::new(),
            aud: String::new(),
            sub: Uuid::nil(),
            exp: 0,
            nbf: 0,
            iat: 0,
            jti: Uuid::nil(),
            client_id: String::new(),
            sid: Uuid::nil(),
            roles: Vec::new(),
            ver: 0,
            auth_time: 0,
        })
    }

    #[test]
    fn a_token_is_known_as_long_as_its_very_key_is_there() {
        let (key, other) = (SigningKey::generate().unwrap().0, SigningKey::generate().unwrap().0);
        let verified = Verified::new();
        let token = Verified::digest("a.b.c");
        verified.remember(token, key.public(), &claims());
        assert!(verified.claims(&token, &KeySet::of([key.public(), other.public()])).is_some());
        assert!(verified.claims(&Verified::digest("a.b.d"), &KeySet::of([key.public()])).is_none());
        assert!(verified.claims(&token, &KeySet::of([other.public()])).is_none());
        assert!(verified.claims(&token, &KeySet::default()).is_none());
    }

    #[test]
    fn what_is_asked_for_stays_and_what_nobody_asks_for_goes() {
        let key = SigningKey::generate().unwrap().0;
        let keys = KeySet::of([key.public()]);
        let verified = Verified::new();
        let (asked_for, forgotten) = (Verified::digest("asked for"), Verified::digest("forgotten"));
        verified.remember(forgotten, key.public(), &claims());
        verified.remember(asked_for, key.public(), &claims());
        for number in 0..MOST_IN_A_GENERATION * 3 {
            verified.remember(Verified::digest(&number.to_string()), key.public(), &claims());
            assert!(verified.claims(&asked_for, &keys).is_some(), "{number}");
        }
        assert!(verified.claims(&forgotten, &keys).is_none());
        let generations = verified.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * MOST_IN_A_GENERATION);
    }
}
