use base64::{Engine, engine::general_purpose::STANDARD};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretSlice};

use crate::settings::{Env, SettingError};

/// What the keys of limits in Redis are made with.
#[derive(Debug, Clone)]
pub struct LimitKey(SecretSlice<u8>);

const SHORTEST: usize = 32;

impl LimitKey {
    /// `RATE_LIMIT_KEY`: the same for all instances, so it has to be said where they count in one Redis. Where they don't,
    /// one that no other process has does as well.
    pub fn from_env(env: &Env, counts_in_redis: bool) -> Result<Self, SettingError> {
        const NAME: &str = "RATE_LIMIT_KEY";
        let should_be = "at least 32 random bytes in base64, as `openssl rand -base64 32` prints them, the same for all \
                         instances that count in one Redis";
        match env.optional(NAME)? {
            Some(text) => {
                let key = STANDARD.decode(text).ok().filter(|key| key.len() >= SHORTEST);
                key.map(|key| Self(key.into())).ok_or_else(|| SettingError::hidden(NAME, should_be))
            }
            None if counts_in_redis => Err(SettingError::unset(NAME, should_be)),
            None => {
                let mut key = [0; SHORTEST];
                let filled = SystemRandom::new().fill(&mut key);
                filled.map_err(|_| SettingError::unset(NAME, "set: the system has no random bytes"))?;
                Ok(Self(key.to_vec().into()))
            }
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, counts_in_redis: bool) -> Result<LimitKey, String> {
        LimitKey::from_env(&Env::of([("RATE_LIMIT_KEY", key)]), counts_in_redis).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_has_to_be_said_where_instances_share_their_counts() {
        let key = STANDARD.encode([7; 32]);
        assert_eq!(read(&key, true).unwrap().as_bytes(), [7; 32]);
        let unset = read("", true).unwrap_err();
        assert!(unset.starts_with("RATE_LIMIT_KEY is not set, should be at least 32 random bytes"), "{unset}");
        let (one, other) = (read("", false).unwrap(), read("", false).unwrap());
        assert_eq!(one.as_bytes().len(), 32);
        assert_ne!(one.as_bytes(), other.as_bytes());
    }

    #[test]
    fn a_key_that_is_no_good_is_not_shown() {
        for wrong in ["hunter2", &STANDARD.encode([7; 31]), "correct horse battery staple"] {
            let error = read(wrong, true).unwrap_err();
            assert!(error.starts_with("RATE_LIMIT_KEY holds a value that is not shown"), "{error}");
        }
        assert!(!format!("{:?}", read(&STANDARD.encode([7; 32]), true)).contains('7'));
    }
}
