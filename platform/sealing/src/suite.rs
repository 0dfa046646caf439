//! RFC 9180's single-shot sealing and opening, in the one suite that is used here.

use hpke::{
    Deserializable, HpkeError, Kem as _, OpModeR, OpModeS, Serializable, aead::AeadTag, inout::InOutBuf,
    single_shot_open_inout_detached, single_shot_seal,
};
use secrecy::SecretString;
use zeroize::Zeroizing;

type Kem = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::ChaCha20Poly1305;

pub(crate) type PublicKey = <Kem as hpke::Kem>::PublicKey;
/// Clears its memory when it is dropped.
pub(crate) type PrivateKey = <Kem as hpke::Kem>::PrivateKey;

pub(crate) const KEY_LENGTH: usize = 32;
pub(crate) const TAG_LENGTH: usize = 16;

/// What this suite is used for: a key is of no use to whoever seals for something else with it.
pub(crate) const INFO: &[u8] = b"waypost sealed token v1";

pub(crate) fn generate() -> (PrivateKey, PublicKey) {
    Kem::gen_keypair()
}

pub(crate) fn public_of(private: &PrivateKey) -> PublicKey {
    Kem::sk_to_pk(private)
}

/// The encapsulated key and the ciphertext with its tag. Fails where nothing can be sealed to the key.
pub(crate) fn seal(
    key: &PublicKey,
    info: &[u8],
    secret: &[u8],
    aad: &[u8],
) -> Result<([u8; KEY_LENGTH], Vec<u8>), HpkeError> {
    let (encapsulated, sealed) = single_shot_seal::<Aead, Kdf, Kem>(&OpModeS::Base, key, info, secret, aad)?;
    Ok((encapsulated.to_bytes().into(), sealed))
}

/// Opens in place, in a buffer of the secret's own length, so that no copy of it is left behind.
pub(crate) fn open(
    key: &PrivateKey,
    info: &[u8],
    encapsulated: &[u8],
    sealed: &[u8],
    aad: &[u8],
) -> Result<SecretString, HpkeError> {
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LENGTH>().ok_or(HpkeError::OpenError)?;
    let (encapsulated, tag) = (Deserializable::from_bytes(encapsulated)?, AeadTag::<Aead>::from_bytes(tag)?);
    let mut secret = Zeroizing::new(ciphertext.to_vec());
    let buffer = InOutBuf::from(secret.as_mut_slice());
    single_shot_open_inout_detached::<Aead, Kdf, Kem>(&OpModeR::Base, key, &encapsulated, info, buffer, aad, &tag)?;
    let text = std::str::from_utf8(&secret).map_err(|_| HpkeError::OpenError)?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// A.2.1 of RFC 9180: base mode of this suite, sequence number 0.
    #[test]
    fn the_rfcs_own_ciphertext_opens() {
        let private = bytes("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let private = PrivateKey::from_bytes(&private).unwrap();
        let public = bytes("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a");
        assert_eq!(public_of(&private).to_bytes().to_vec(), public);
        let info = bytes("4f6465206f6e2061204772656369616e2055726e");
        let encapsulated = bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        let sealed =
            bytes("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28");
        let opened = open(&private, &info, &encapsulated, &sealed, &bytes("436f756e742d30")).unwrap();
        assert_eq!(opened.expose_secret(), "Beauty is truth, truth beauty");
        assert!(open(&private, &info, &encapsulated, &sealed, &bytes("436f756e742d31")).is_err());
        assert!(open(&private, INFO, &encapsulated, &sealed, &bytes("436f756e742d30")).is_err());
    }
}
