//! From words to a mail: HTML and text beside it, from one template each.

use std::time::SystemTime;

use askama::Template;
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart, MultiPartKind, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use schemas::{Email, InboxKey};
use time::OffsetDateTime;
use url::Url;

use crate::{
    mail::Mail,
    words::{Frame, Language, Words},
};

/// What is said to whoever it is.
#[derive(Debug)]
pub struct Letter {
    pub mail: Mail,
    pub language: Language,
    pub link: Url,
    pub valid_until: Option<OffsetDateTime>,
}

/// Why there is no mail of it. Without the address, which is personal data.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    #[error("the event's address is none that mail can be sent to")]
    Address,
    #[error("the mail could not be rendered")]
    Rendering(#[source] askama::Error),
    #[error("the mail could not be put together")]
    Assembling(#[source] lettre::error::Error),
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    mail: &'a Shown<'a>,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    mail: &'a Shown<'a>,
}

struct Shown<'a> {
    language: &'static str,
    sender: &'a str,
    words: Words,
    frame: Frame,
    link: &'a str,
    valid_until: Option<String>,
}

/// The same event makes the same mail, but for its date: under one `Message-ID`, by which mail servers and programs know
/// a copy.
pub fn write(
    letter: &Letter,
    from: &Mailbox,
    to: &Email,
    key: InboxKey,
    now: OffsetDateTime,
) -> Result<Message, Unwritable> {
    let to: Address = to.as_str().parse().map_err(|_| Unwritable::Address)?;
    let (words, frame) = (letter.language.words(letter.mail), letter.language.frame());
    let shown = Shown {
        language: letter.language.tag(),
        sender: from.name.as_deref().unwrap_or_else(|| from.email.domain()),
        words,
        frame,
        link: letter.link.as_str(),
        valid_until: letter.valid_until.map(|time| frame.time(time)),
    };
    let text = Text { mail: &shown }.render().map_err(Unwritable::Rendering)?;
    let html = Html { mail: &shown }.render().map_err(Unwritable::Rendering)?;
    let key = key.as_uuid();
    let bodies = MultiPart::builder()
        .kind(MultiPartKind::Alternative)
        .boundary(key.simple().to_string())
        .singlepart(SinglePart::plain(text))
        .singlepart(SinglePart::html(html));
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(words.subject)
        .date(SystemTime::from(now))
        .message_id(Some(format!("<{key}@{}>", from.email.domain())))
        // RFC 3834: nobody's notice of absence is to answer it.
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(bodies)
        .map_err(Unwritable::Assembling)
}
