//! Tokens as auth-service prints them, whose hashes a run puts into the database itself. One that were printed otherwise
//! would be refused, and the run with it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A token that nobody was given, and what the database knows of it.
#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
    pub hash: Vec<u8>,
}

pub const REFRESH: &str = "rt_";
pub const EMAIL_VERIFICATION: &str = "evt_";

const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Token {
    pub fn new(prefix: &str) -> Self {
        let body = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random_bytes()));
        let mut rest = crc32fast::hash(body.as_bytes()) as usize;
        let mut checksum = [b'0'; 6];
        for letter in checksum.iter_mut().rev() {
            *letter = BASE_62[rest % BASE_62.len()];
            rest /= BASE_62.len();
        }
        let text = format!("{body}_{}", String::from_utf8_lossy(&checksum));
        let hash = Sha256::digest(&text).to_vec();
        Self { text, hash }
    }
}

/// Different ones each time, which is all that is asked of them here.
pub fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes
}
