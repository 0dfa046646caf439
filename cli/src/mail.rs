//! `waypost mail`: the mails that a mailer in development has written to its folder. It shows addresses and links, which
//! nothing else does: these are the mails themselves.

use std::{collections::BTreeMap, fs, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use mail_parser::MessageParser;
use mailer::{MailFolder, MailerSettings, WrittenMail};
use serde::Serialize;
use service::settings::{Env, SettingErrors};
use time::OffsetDateTime;
use url::{Url, form_urlencoded};
use uuid::Uuid;

use crate::{
    moment, outln,
    table::{Table, cut, left, right},
};

#[derive(Debug, Subcommand)]
pub enum Mail {
    /// List the mails that were written, oldest first
    List(List),
    /// Show one of them, or only its link
    Show(Show),
}

const LIST: &str = "\
They are read from MAIL_FOLDER, where a mailer with MAIL_TRANSPORT=file writes them.

Examples:
  waypost mail list
  waypost mail list --to ada@example.com --json";

const SHOW: &str = "\
An event that was mailed twice has two copies; the last one is shown.

Examples:
  waypost mail show 019ab6a1-3c00-7000-8000-00000000a11c
  waypost mail show 019ab6a1-3c00-7000-8000-00000000a11c --token";

#[derive(Debug, Args)]
#[command(after_help = LIST)]
pub struct List {
    /// Only those to this address
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = SHOW)]
pub struct Show {
    /// The id of its event, as `waypost mail list` shows it
    id: Uuid,
    /// Print its link, and nothing else
    #[arg(long, group = "part")]
    link: bool,
    /// Print the token in its link, and nothing else
    #[arg(long, group = "part")]
    token: bool,
    /// Print all of it as JSON
    #[arg(long, group = "part")]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    id: Uuid,
    /// How often it was mailed: once, unless a worker died before it had recorded that.
    copies: u32,
    to: String,
    subject: String,
    #[serde(with = "time::serde::rfc3339")]
    date: OffsetDateTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    text: String,
}

impl Mail {
    pub fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let folder = MailerSettings::mail_folder(env).map_err(SettingErrors::from)?;
        match self {
            Self::List(list) => list.execute(&folder),
            Self::Show(show) => show.execute(&folder),
        }
    }
}

impl List {
    fn execute(self, folder: &MailFolder) -> anyhow::Result<ExitCode> {
        let mut mails = Vec::new();
        for newest in newest(folder)? {
            let mail = read(&newest)?;
            if self.to.as_ref().is_none_or(|to| to.eq_ignore_ascii_case(&mail.to)) {
                mails.push(mail);
            }
        }
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&mails)?);
        } else if mails.is_empty() {
            eprintln!("no such mail is in {}", folder.path().display());
        } else {
            let mut table = Table::new([left("ID"), left("DATE"), right("COPIES"), cut("TO"), cut("SUBJECT")]);
            for Read { id, date, copies, to, subject, .. } in mails {
                table.row([id.to_string(), moment::shown(date), copies.to_string(), to, subject]);
            }
            table.print()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn execute(self, folder: &MailFolder) -> anyhow::Result<ExitCode> {
        let Some(newest) = newest(folder)?.into_iter().find(|mail| mail.key == self.id) else {
            bail!("no mail of the event {} is in {}", self.id, folder.path().display());
        };
        let mail = read(&newest)?;
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&mail)?);
        } else if self.link {
            outln!("{}", mail.link.context("there is no link in this mail")?);
        } else if self.token {
            outln!("{}", mail.token.context("there is no link with a token in this mail")?);
        } else {
            outln!("To: {}", mail.to);
            outln!("Date: {}", moment::shown(mail.date));
            outln!("Subject: {}", mail.subject);
            outln!("\n{}", mail.text.trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The last copy of each, in the order of their events.
fn newest(folder: &MailFolder) -> anyhow::Result<Vec<WrittenMail>> {
    let mails = folder.read().with_context(|| format!("{} could not be read", folder.path().display()))?;
    let mut newest = BTreeMap::new();
    for mail in mails {
        newest.insert(mail.key, mail);
    }
    Ok(newest.into_values().collect())
}

fn read(mail: &WrittenMail) -> anyhow::Result<Read> {
    let path = mail.path.display();
    let bytes = fs::read(&mail.path).with_context(|| format!("{path} could not be read"))?;
    let message = MessageParser::default().parse(&bytes).with_context(|| format!("{path} holds no mail"))?;
    let to = message.to().and_then(|to| to.first()).and_then(|to| to.address());
    let date = message.date().and_then(|date| OffsetDateTime::from_unix_timestamp(date.to_timestamp()).ok());
    let text = message.body_text(0).with_context(|| format!("{path} holds no text"))?.replace("\r\n", "\n");
    let link = link_in(&text);
    Ok(Read {
        id: mail.key,
        copies: mail.copy,
        to: to.unwrap_or_default().to_owned(),
        subject: message.subject().unwrap_or_default().to_owned(),
        date: date.with_context(|| format!("{path} holds no date"))?,
        token: link.as_ref().and_then(token_in),
        link: link.map(String::from),
        text,
    })
}

/// It has a line of its own.
fn link_in(text: &str) -> Option<Url> {
    text.lines().filter(|line| line.starts_with("http")).find_map(|line| line.trim_end().parse().ok())
}

fn token_in(link: &Url) -> Option<String> {
    let mut fragment = form_urlencoded::parse(link.fragment()?.as_bytes());
    fragment.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
}
