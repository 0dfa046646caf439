//! Where mails go: to a mail server, or, in development, into a folder.

pub mod folder;
pub mod smtp;

use lettre::Message;
use schemas::InboxKey;
use worker::HandlerError;

use crate::{MailFolder, MailerError, TransportSettings};
use folder::FolderError;
use smtp::{NotSent, Smtp};

pub enum Transport {
    Smtp(Smtp),
    Folder(MailFolder),
}

#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error(transparent)]
    Smtp(#[from] NotSent),
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl Transport {
    /// `name` is what it calls itself to a mail server.
    pub fn open(settings: TransportSettings, name: &str) -> Result<Self, MailerError> {
        match settings {
            TransportSettings::Smtp(server) => Ok(Self::Smtp(Smtp::to(&server, name).map_err(MailerError::Tls)?)),
            TransportSettings::Folder(path) => Ok(Self::Folder(MailFolder::new(path))),
        }
    }

    pub async fn send(&self, message: &Message, key: InboxKey) -> Result<(), HandlerError> {
        match self {
            Self::Smtp(smtp) => smtp.send(message).await.map_err(HandlerError::from),
            Self::Folder(folder) => {
                folder.add(key.as_uuid(), message.formatted()).await.map_err(HandlerError::unavailable)
            }
        }
    }

    pub async fn probe(&self) -> Result<(), NotReady> {
        match self {
            Self::Smtp(smtp) => Ok(smtp.greet().await?),
            Self::Folder(folder) => Ok(folder.probe().await?),
        }
    }
}
