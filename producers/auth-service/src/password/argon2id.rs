//! Argon2id with the parameters of today, and with those of whatever was stored.
//!
//! Each thread that hashes keeps its 19 MiB: taken from the allocator anew, they would be mapped, cleared and faulted in page
//! by page for every hash. What a hash leaves behind there is of no more use than the hash that is stored.

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use secrecy::{ExposeSecret, SecretString};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const PARAMS: Params = match Params::new(MEMORY_KIB, PASSES, LANES, None) {
    Ok(params) => params,
    Err(_) => panic!("the parameters should be valid"),
};
const VERSION: Version = Version::V0x13;

/// Beyond these, one stored hash could take the machine for itself.
const MOST_MEMORY_KIB: u32 = 1_024 * 1_024;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 16;

/// What is stored for an account is no hash that may be computed. The account can't be signed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("should be an Argon2id hash in PHC form, of at most 1 GiB, 10 passes and 16 lanes")]
pub struct UnreadableHash;

/// A stored hash that costs no more to compute than anything may.
pub(super) struct Stored {
    version: Version,
    params: Params,
    salt: Salt,
    tag: Output,
}

/// What a hash is computed in.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Stored {
    pub fn read(text: &SecretString) -> Result<Self, UnreadableHash> {
        let hash = PasswordHash::new(text.expose_secret()).map_err(|_| UnreadableHash)?;
        let params = Params::try_from(&hash).map_err(|_| UnreadableHash)?;
        let version = hash.version.map_or(Ok(VERSION), Version::try_from).map_err(|_| UnreadableHash)?;
        let is_bounded =
            params.m_cost() <= MOST_MEMORY_KIB && params.t_cost() <= MOST_PASSES && params.p_cost() <= MOST_LANES;
        match (hash.salt, hash.hash) {
            (Some(salt), Some(tag)) if is_bounded && hash.algorithm == Algorithm::Argon2id.ident() => {
                Ok(Self { version, params, salt, tag })
            }
            _ => Err(UnreadableHash),
        }
    }

    /// Not compared whole: what is stored says how long it is.
    pub fn is_todays(&self) -> bool {
        let costs = (self.params.m_cost(), self.params.t_cost(), self.params.p_cost());
        costs == (MEMORY_KIB, PASSES, LANES)
    }

    pub fn is_of(&self, password: &[u8], memory: &mut Memory) -> Result<bool, password_hash::Error> {
        // In a time that does not depend on where the two differ.
        Ok(memory.compute(self.version, &self.params, password, &self.salt)? == self.tag)
    }
}

/// The hash of a password, as it is stored.
pub(super) fn hash(
    password: &[u8],
    salt: &[u8; Salt::RECOMMENDED_LENGTH],
    memory: &mut Memory,
) -> Result<SecretString, password_hash::Error> {
    let salt = Salt::new(salt)?;
    let tag = memory.compute(VERSION, &PARAMS, password, &salt)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(VERSION.into()),
        params: ParamsString::try_from(&PARAMS)?,
        salt: Some(salt),
        hash: Some(tag),
    };
    Ok(SecretString::from(hash.to_string()))
}

impl Memory {
    fn compute(
        &mut self,
        version: Version,
        params: &Params,
        password: &[u8],
        salt: &Salt,
    ) -> Result<Output, password_hash::Error> {
        let mut tag = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let tag = tag.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let needed = params.block_count();
        let mut more = Vec::new();
        // What is needed once for an older hash is not kept.
        let blocks = if needed <= PARAMS.block_count() { &mut self.0 } else { &mut more };
        if blocks.len() < needed {
            blocks.resize(needed, Block::new());
        }
        let argon2 = Argon2::new(Algorithm::Argon2id, version, params.clone());
        argon2.hash_password_into_with_memory(password, salt, tag, &mut blocks[..needed])?;
        Ok(Output::new(tag)?)
    }
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    const SALT: [u8; 16] = *b"some sixteen of.";

    /// On memory that held another hash, of more blocks and of fewer.
    #[test]
    fn a_hash_is_what_argon2id_says_it_is_whatever_its_memory_held() {
        let mut memory = Memory::default();
        for (kib, passes, lanes) in [(19_456, 2, 1), (64, 1, 1), (256, 3, 4), (32_768, 1, 1), (19_456, 2, 1)] {
            let params = Params::new(kib, passes, lanes, None).unwrap();
            let theirs = Argon2::new(Algorithm::Argon2id, VERSION, params).hash_password_with_salt(b"secret", &SALT);
            let stored = Stored::read(&SecretString::from(theirs.unwrap().to_string())).unwrap();
            assert!(stored.is_of(b"secret", &mut memory).unwrap(), "{kib} {passes} {lanes}");
            assert!(!stored.is_of(b"Secret", &mut memory).unwrap(), "{kib} {passes} {lanes}");
            assert!(memory.0.len() <= PARAMS.block_count());
        }
        let ours = hash(b"secret", &SALT, &mut memory).unwrap();
        let theirs = PasswordHash::new(ours.expose_secret()).unwrap();
        assert_eq!(Argon2::default().verify_password(b"secret", &theirs), Ok(()));
        assert!(ours.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", ours.expose_secret());
    }

    #[test]
    fn a_hash_of_the_version_before_is_still_a_hash() {
        let params = Params::new(64, 1, 1, None).unwrap();
        let older = Argon2::new(Algorithm::Argon2id, Version::V0x10, params);
        let older = older.hash_password_with_salt(b"secret", &SALT).unwrap();
        let stored = Stored::read(&SecretString::from(older.to_string())).unwrap();
        assert!(stored.is_of(b"secret", &mut Memory::default()).unwrap());
    }
}
