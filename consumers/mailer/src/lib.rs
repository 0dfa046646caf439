//! mailer: writes to people about their accounts, from what auth-service emits.
//!
//! Each event makes one mail to one address. A link in it carries a token that came sealed for this service
//! ([`sealing`]), and is unsealed in memory only, on its way into the mail. What is kept is in the inbox of `mailer_db`:
//! which events were mailed and which failed, with neither address nor token.
//!
//! Invariant: a mail goes at least once. Between the mail server's answer and the record in `event_logs` a crash makes it
//! go twice, under one `Message-ID`. What doesn't go is a link that has expired: nobody could use it.
//!
//! - [`consumer`] has the handlers, one for each event, in `handlers`;
//! - [`Mailer`] is what they share: `keys` opens tokens, `links` makes addresses of pages, `words` says it in the
//!   person's language, `message` puts that into a mail, `transport` hands it to a mail server or, in development, to a
//!   folder.

mod handlers;
mod keys;
mod links;
mod mail;
mod mailer;
mod measure;
mod message;
mod settings;
mod transport;
mod words;

use worker::Consumer;

pub use handlers::consumer;
pub use keys::{KEEP_SUPERSEDED, KeysError, PRIVATE_KEY, PUBLIC_KEY, make_pair, private_keys};
pub use mailer::{Mailer, MailerError};
pub use measure::describe_metrics;
pub use settings::{MailerSettings, TransportSettings, smtp_url::SmtpServer};
pub use transport::folder::{MailFolder, WrittenMail};

/// The name of this service, and of its queue.
pub const NAME: &str = "mailer";

/// What the catalog says of it: Markdown.
pub const ABOUT: &str = include_str!("../about.md");

/// The same consumer without anything to send by: for those who ask what it listens to and what it reads.
pub fn declared() -> Consumer {
    consumer(&Mailer::declared())
}
