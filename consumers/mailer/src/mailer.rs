//! What all handlers share.

use std::{error::Error, io, sync::Arc};

use lettre::message::Mailbox;
use schemas::{Clock, Email, InboxKey, Locale, SealedToken};
use sealing::{Context, OpenError};
use secrecy::SecretString;
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;
use worker::{Effect, HandlerError};

use crate::{
    keys::{Keys, KeysError, NotOpened},
    links::Links,
    mail::Mail,
    measure,
    message::{self, Letter},
    settings::MailerSettings,
    transport::Transport,
    words::Language,
};

/// Cheap to clone.
#[derive(Clone)]
pub struct Mailer(Option<Arc<Parts>>);

struct Parts {
    transport: Transport,
    keys: Keys,
    links: Links,
    from: Mailbox,
    clock: Clock,
}

/// Why a mailer can't begin.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    #[error("the mailer can't open what is sealed for it")]
    Keys(#[from] KeysError),
    #[error("TLS to the mail server could not be prepared")]
    Tls(#[source] lettre::transport::smtp::Error),
    #[error("the folder for mails could not be made")]
    Folder(#[source] io::Error),
}

#[derive(Debug, thiserror::Error)]
#[error("this mailer only declares what it reads, and sends nothing")]
struct OnlyDeclared;

/// A link that is asked for in an event.
pub(crate) struct Requested<'a> {
    pub mail: Mail,
    pub to: &'a Email,
    pub locale: Option<&'a Locale>,
    pub token: &'a SealedToken,
    pub user_id: Uuid,
    pub purpose: &'static str,
    pub expires_at: OffsetDateTime,
    pub link: fn(&Links, &SecretString) -> Url,
}

impl Mailer {
    /// Reads the keys and prepares to send. It speaks to no mail server: one that is away is waited for when there is
    /// something to send.
    pub async fn open(settings: MailerSettings, clock: Clock) -> Result<Self, MailerError> {
        let MailerSettings { transport, from, links, keys, .. } = settings;
        let keys = Keys::read(keys).await?;
        let transport = Transport::open(transport, from.email.domain())?;
        Ok(Self(Some(Arc::new(Parts { transport, keys, links, from, clock }))))
    }

    /// Sends nothing: for what handlers say of themselves. An event that reached it would be held and handed back.
    pub(crate) fn declared() -> Self {
        Self(None)
    }

    fn parts(&self) -> Result<&Parts, OnlyDeclared> {
        self.0.as_deref().ok_or(OnlyDeclared)
    }

    /// Tells somebody what has happened to their account.
    pub(crate) async fn notify(&self, mail: Mail, to: &Email, key: InboxKey) -> Result<Effect, HandlerError> {
        let parts = self.parts().map_err(HandlerError::unavailable)?;
        let link = match mail {
            Mail::PasswordChanged | Mail::RegistrationRepeated => parts.links.forgot_password(),
            _ => parts.links.home(),
        };
        parts.send(&Letter { mail, language: Language::of(None), link, valid_until: None }, to, key).await
    }

    /// Sends somebody the link that was asked for, unless it has expired meanwhile.
    pub(crate) async fn send_link(&self, requested: Requested<'_>, key: InboxKey) -> Result<Effect, HandlerError> {
        let parts = self.parts().map_err(HandlerError::unavailable)?;
        let Requested { mail, to, locale, token, user_id, purpose, expires_at, link } = requested;
        if expires_at <= parts.clock.now() {
            measure::expired(mail);
            tracing::info!(event_id = %key.as_uuid(), mail = mail.as_str(), "not mailed, for its link has expired");
            return Ok(Effect::NotNeeded);
        }
        let context = Context { event_id: key.as_uuid(), user_id, purpose };
        let token = parts.keys.open(token, &context).await.map_err(|error| {
            let (reason, handled): (_, fn(NotOpened) -> HandlerError) = match &error {
                // It may be on its way here; once it is, a dead letter can be replayed.
                NotOpened::Token(OpenError::UnknownKey(_)) => ("unknown-key", HandlerError::retry),
                NotOpened::Keys(_) => ("no-keys", HandlerError::retry),
                NotOpened::Token(OpenError::Malformed) => ("malformed", HandlerError::reject),
                NotOpened::Token(OpenError::NotForThis) => ("not-for-this", HandlerError::reject),
            };
            measure::unopened(mail, reason);
            handled(error)
        })?;
        let link = link(&parts.links, &token);
        let letter = Letter { mail, language: Language::of(locale), link, valid_until: Some(expires_at) };
        parts.send(&letter, to, key).await
    }

    /// Whether a mail could be sent now; none is.
    pub(crate) async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.parts()?.transport.probe().await?)
    }
}

impl Parts {
    async fn send(&self, letter: &Letter, to: &Email, key: InboxKey) -> Result<Effect, HandlerError> {
        let message = message::write(letter, &self.from, to, key, self.clock.now()).map_err(HandlerError::reject)?;
        self.transport.send(&message, key).await?;
        measure::sent(letter.mail);
        tracing::info!(event_id = %key.as_uuid(), mail = letter.mail.as_str(), "mailed");
        Ok(Effect::Performed)
    }
}
