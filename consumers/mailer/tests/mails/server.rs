//! A small SMTP server whose answers a test decides.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinHandle,
};

/// What a client has done.
#[derive(Debug)]
pub enum Said<'a> {
    Connected,
    Command(&'a str),
    Mail,
}

pub enum Reaction {
    Say(&'static str),
    HangUp,
    /// Says nothing until [`SmtpServer::speak`] is called, then what it usually says.
    KeepSilent,
}

/// A mail that was handed over, whether or not it was taken.
#[derive(Debug, Clone)]
pub struct Delivered {
    pub to: Vec<String>,
    pub text: String,
}

type Script = dyn Fn(&Said<'_>) -> Option<Reaction> + Send + Sync;

pub struct SmtpServer {
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    script: Mutex<Arc<Script>>,
    delivered: Mutex<Vec<Delivered>>,
    commands: Mutex<Vec<String>>,
    connections: AtomicUsize,
    silent: watch::Sender<bool>,
}

impl SmtpServer {
    pub async fn start() -> Self {
        Self::on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub async fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let state = Arc::new(State {
            script: Mutex::new(Arc::new(|_: &Said<'_>| None)),
            delivered: Mutex::default(),
            commands: Mutex::default(),
            connections: AtomicUsize::new(0),
            silent: watch::Sender::new(true),
        });
        let (address, serving) = (listener.local_addr().unwrap(), state.clone());
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let state = serving.clone();
                // A client that hangs up ends it, which is no error of the server.
                tokio::spawn(async move { drop(state.talk(stream).await) });
            }
        });
        Self { address, state, accepting }
    }

    /// What differs from a server that takes everything, from now on.
    pub fn answers(&self, script: impl Fn(&Said<'_>) -> Option<Reaction> + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(script);
    }

    pub fn takes_everything(&self) {
        self.answers(|_| None);
    }

    pub fn speak(&self) {
        self.state.silent.send_replace(false);
    }

    /// Every mail that was handed over, taken or not.
    pub fn delivered(&self) -> Vec<Delivered> {
        self.state.delivered.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub fn commands(&self) -> Vec<String> {
        self.state.commands.lock().unwrap().clone()
    }

    /// Nobody listens on its port any more.
    pub async fn close(mut self) -> SocketAddr {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.address
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

const GREETING: &str = "220 mail.example.com ESMTP";
const ABILITIES: &str = "250-mail.example.com\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME";

impl State {
    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let (lines, mut out) = stream.into_split();
        let mut lines = BufReader::new(lines).lines();
        let mut to = Vec::new();
        if !self.answer(&Said::Connected, GREETING, &mut out).await? {
            return Ok(());
        }
        while let Some(command) = lines.next_line().await? {
            self.commands.lock().unwrap().push(command.clone());
            let upper = command.to_uppercase();
            let usual = match upper.split([' ', ':']).next().unwrap() {
                "EHLO" => ABILITIES,
                "AUTH" => "235 2.7.0 welcome",
                "DATA" => "354 go on",
                _ => "250 2.0.0 fine",
            };
            if let Some(address) = upper.starts_with("RCPT TO:").then(|| &command["RCPT TO:".len()..]) {
                to.push(address.trim_matches(['<', '>', ' ']).to_owned());
            }
            if !self.answer(&Said::Command(&upper), usual, &mut out).await? {
                return Ok(());
            }
            if upper == "DATA" {
                let mut text = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    text.push_str("\r\n");
                }
                let mail = Delivered { to: std::mem::take(&mut to), text };
                self.delivered.lock().unwrap().push(mail);
                if !self.answer(&Said::Mail, "250 2.0.0 taken", &mut out).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the conversation goes on.
    async fn answer(&self, said: &Said<'_>, usual: &str, out: &mut OwnedWriteHalf) -> std::io::Result<bool> {
        let script = self.script.lock().unwrap().clone();
        let answer = match script(said) {
            Some(Reaction::HangUp) => return Ok(false),
            Some(Reaction::KeepSilent) => {
                let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
                usual
            }
            Some(Reaction::Say(answer)) => answer,
            None => usual,
        };
        out.write_all(format!("{answer}\r\n").as_bytes()).await?;
        Ok(true)
    }
}
