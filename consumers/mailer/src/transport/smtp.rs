//! Mails to a mail server, and what its answers mean for an event.
//!
//! What goes wrong before the server has taken us (no connection, a greeting that turns us away, TLS, the login) is the
//! server's trouble: mails wait until it is back. What goes wrong with a mail after that is this mail's: so one that the
//! server hangs up on, again and again, uses up its own attempts and holds up no other.
//!
//! Nothing that a server says is passed on but its codes, for it quotes the address.
//!
//! A connection that is idle is used again. One in use belongs to the future that uses it, so one that is given up between
//! a command and its answer is closed: the next mail would take that answer for its own. (lettre's own pool hands such a
//! connection out again.)

use std::{
    error::Error as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lettre::{
    Message,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::ExposeSecret;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use worker::HandlerError;

use crate::settings::smtp_url::{SmtpServer, Tls};

pub struct Smtp {
    host: String,
    port: u16,
    tls: Option<(Tls, TlsParameters)>,
    credentials: Option<Credentials>,
    name: ClientId,
    idle: Mutex<Vec<Idle>>,
    turns: Semaphore,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

/// Mail servers turn away those who take more than their share of connections.
const MOST_CONNECTIONS: usize = 8;
/// Servers hang up after minutes; until then it saves a handshake.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// For the connection, the greeting, TLS and the login together.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// For one mail. Generous: a server that is given up after it has the mail delivers it, and once more the next time.
const SEND_WITHIN: Duration = Duration::from_secs(60);

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    #[error("the mail server {server} does not take us")]
    ServerDown { server: String, source: Trouble },
    #[error("the mail server does not take this mail now")]
    NotNow(#[source] Trouble),
    #[error("the mail server refuses this mail")]
    Refused(#[source] Trouble),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("no answer within {} s", .0.as_secs())]
    Silence(Duration),
    /// A reply code, and its enhanced status code (RFC 3463) where it has one.
    #[error("the answer was {0}")]
    Answer(String),
    /// The system's words, or TLS's. They hold nothing of a mail.
    #[error("{0}")]
    Connection(String),
    #[error("the answer was no SMTP")]
    Gibberish,
    #[error("the server is not able to carry it: an address beyond ASCII needs SMTPUTF8")]
    Unable,
}

impl From<NotSent> for HandlerError {
    fn from(error: NotSent) -> Self {
        match error {
            NotSent::ServerDown { .. } => Self::unavailable(error),
            NotSent::NotNow(_) => Self::retry(error),
            NotSent::Refused(_) => Self::reject(error),
        }
    }
}

impl Smtp {
    /// Connects to nobody yet. `name` is what it calls itself in EHLO.
    pub fn to(server: &SmtpServer, name: &str) -> Result<Self, Error> {
        let parameters = || TlsParameters::new(server.host.clone());
        let tls = match server.tls {
            Tls::None => None,
            tls => Some((tls, parameters()?)),
        };
        let login = server.login.as_ref();
        Ok(Self {
            host: server.host.clone(),
            port: server.port,
            tls,
            credentials: login
                .map(|(user, password)| Credentials::new(user.clone(), password.expose_secret().to_owned())),
            name: ClientId::Domain(name.to_owned()),
            idle: Mutex::default(),
            turns: Semaphore::new(MOST_CONNECTIONS),
        })
    }

    pub async fn send(&self, message: &Message) -> Result<(), NotSent> {
        let _turn = self.turns.acquire().await;
        let mut connection = self.connection().await?;
        let mail = message.formatted();
        match timeout(SEND_WITHIN, connection.send(message.envelope(), &mail)).await {
            Ok(Ok(_)) => {
                self.keep(connection);
                Ok(())
            }
            Ok(Err(error)) if error.is_permanent() || error.is_client() => Err(NotSent::Refused(trouble(&error))),
            Ok(Err(error)) => Err(NotSent::NotNow(trouble(&error))),
            Err(_) => Err(NotSent::NotNow(Trouble::Silence(SEND_WITHIN))),
        }
    }

    /// Whether the server would take a mail: it is greeted, and logged in to.
    pub async fn greet(&self) -> Result<(), NotSent> {
        let connection = self.connect().await?;
        self.keep(connection);
        Ok(())
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, NotSent> {
        while let Some(mut idle) = self.take_idle() {
            let is_there = timeout(CONNECT_WITHIN, idle.test_connected()).await;
            if is_there.unwrap_or(false) {
                return Ok(idle);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, NotSent> {
        let connected = match timeout(CONNECT_WITHIN, self.shake_hands()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => before_a_mail(&error),
            Err(_) => Trouble::Silence(CONNECT_WITHIN),
        };
        Err(NotSent::ServerDown { server: format!("{}:{}", self.host, self.port), source: connected })
    }

    async fn shake_hands(&self) -> Result<AsyncSmtpConnection, Error> {
        let implicit = self.tls.as_ref().filter(|(tls, _)| *tls == Tls::Implicit).map(|(_, parameters)| parameters);
        let server = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, None, &self.name, implicit.cloned(), None).await?;
        match &self.tls {
            Some((Tls::Required, parameters)) => connection.starttls(parameters.clone(), &self.name).await?,
            Some((Tls::Opportunistic, parameters)) if connection.can_starttls() => {
                connection.starttls(parameters.clone(), &self.name).await?;
            }
            _ => {}
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle();
        idle.retain(|idle| idle.since.elapsed() < IDLE_FOR);
        idle.pop().map(|idle| idle.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle();
        if idle.len() < MOST_CONNECTIONS {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No mail was spoken of yet, so what lettre, TLS or the system say holds nothing of one. What the server says may still
/// be long, and quotes a user's name where it refuses a login.
fn before_a_mail(error: &Error) -> Trouble {
    if error.is_client() { Trouble::Connection(error.to_string()) } else { trouble(error) }
}

fn trouble(error: &Error) -> Trouble {
    let said = error.source().map(ToString::to_string);
    match error.status() {
        Some(code) => Trouble::Answer(match said.as_deref().and_then(enhanced_status) {
            Some(enhanced) => format!("{code} {enhanced}"),
            None => code.to_string(),
        }),
        None if error.is_client() => Trouble::Unable,
        None if error.is_response() => Trouble::Gibberish,
        None => Trouble::Connection(said.unwrap_or_else(|| "the connection failed".to_owned())),
    }
}

/// `5.1.1` at the beginning of a reply's text.
fn enhanced_status(text: &str) -> Option<&str> {
    let status = text.split([' ', '\r', '\n']).next()?;
    let mut parts = status.split('.');
    let class = parts.next()?;
    let is_number = |part: &str| matches!(part.len(), 1..=3) && part.bytes().all(|b| b.is_ascii_digit());
    let is_status = matches!(class, "2" | "4" | "5")
        && parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_number)
        && parts.next().is_none();
    is_status.then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_server_says_only_its_status_is_passed_on() {
        assert_eq!(enhanced_status("5.1.1 <ada@example.com>: no such user"), Some("5.1.1"));
        assert_eq!(enhanced_status("4.7.650 try later"), Some("4.7.650"));
        for other in ["<ada@example.com>", "ada@example.com", "", "5.1", "5.1.1.1", "6.1.1", "5.1234.1", "5.1.a"] {
            assert_eq!(enhanced_status(other), None, "{other}");
        }
    }
}
