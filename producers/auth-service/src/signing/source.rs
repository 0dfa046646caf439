use secrecy::{ExposeSecret, SecretString};
use service::{
    access_token::{SigningKey, UnfitKey},
    key_files::{KeyFolder, KeyFolderError},
};
use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};

/// Where signing keys come from.
#[derive(Debug, Clone)]
pub enum SigningKeySource {
    /// A folder of PEM files, named by when each was made.
    Folder {
        folder: KeyFolder,
        /// Whether the first key may be made here, which only development wants: in production two instances that both
        /// found nothing would not trust each other's tokens.
        makes_first: bool,
        /// Whether a running service adds a key when the newest has grown old.
        rotates: bool,
    },
    /// All keys in the environment, which is read once.
    Fixed(Vec<DatedKey>),
}

#[derive(Debug, Clone)]
pub struct DatedKey {
    pub made_at: OffsetDateTime,
    pub key: SigningKey,
}

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("there is no signing key: `waypost keys auth rotate` makes one")]
    None,
    #[error("the folder of signing keys can't be used")]
    Folder(#[from] KeyFolderError),
    #[error("{file} holds something that is not shown")]
    Key { file: String, source: UnfitKey },
    #[error("no signing key could be made")]
    Make(#[source] UnfitKey),
    #[error("signing keys that come from the environment are changed there")]
    Fixed,
}

impl KeysError {
    pub fn is_already_made(&self) -> bool {
        matches!(self, Self::Folder(KeyFolderError::AlreadyExists { .. }))
    }
}

/// The extension of a signing key's file.
pub const EXTENSION: &str = "pem";

impl SigningKeySource {
    /// As `AUTH_SIGNING_KEYS` writes them: `20261126T061500Z=<base64 of PKCS#8>`, joined by commas. `None` where it is
    /// anything else.
    pub fn from_text(text: &SecretString) -> Option<Self> {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let dated = |part: &str| {
            let (made_at, key) = part.trim().split_once('=')?;
            let made_at = PrimitiveDateTime::parse(made_at, &format).ok()?.assume_utc();
            Some(DatedKey { made_at, key: SigningKey::parse(&SecretString::from(key)).ok()? })
        };
        let mut keys: Vec<_> = text.expose_secret().split(',').map(dated).collect::<Option<_>>()?;
        keys.sort_by_key(|key| key.made_at);
        Some(Self::Fixed(keys))
    }

    /// Oldest first.
    pub fn read(&self) -> Result<Vec<DatedKey>, KeysError> {
        match self {
            Self::Fixed(keys) => Ok(keys.clone()),
            Self::Folder { folder, .. } => folder
                .read()?
                .into_iter()
                .map(|file| {
                    let unfit = |source| KeysError::Key { file: file.path.display().to_string(), source };
                    let key = SigningKey::parse(&file.contents).map_err(unfit)?;
                    Ok(DatedKey { made_at: file.made_at, key })
                })
                .collect(),
        }
    }

    pub(super) fn read_or_make(&self, now: OffsetDateTime) -> Result<Vec<DatedKey>, KeysError> {
        let keys = self.read()?;
        match self {
            Self::Folder { makes_first: true, .. } if keys.is_empty() => match self.make(now) {
                Ok(made) => {
                    tracing::warn!(kid = made.key.id(), "there was no signing key, so one was made; development only");
                    Ok(vec![made])
                }
                Err(error) if error.is_already_made() => self.read(),
                Err(error) => Err(error),
            },
            _ => Ok(keys),
        }
    }

    pub(super) fn may_make_keys(&self) -> bool {
        matches!(self, Self::Folder { rotates: true, .. })
    }

    /// Adds a key that was made `now`.
    pub fn make(&self, now: OffsetDateTime) -> Result<DatedKey, KeysError> {
        let Self::Folder { folder, .. } = self else { return Err(KeysError::Fixed) };
        let (key, text) = SigningKey::generate().map_err(KeysError::Make)?;
        folder.write_new(now, &text)?;
        Ok(DatedKey { made_at: now, key })
    }
}
