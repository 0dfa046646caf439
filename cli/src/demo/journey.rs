//! One account from its registration to its erasure, over HTTP and by the mails that it gets, and what it keeps meanwhile.

use std::{collections::HashSet, net::Ipv4Addr, time::Duration};

use anyhow::{Context, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{front_door::FrontDoor, processes::Services, shopping, story::Story};

const PERSON: &str = "ada@example.com";
const ADMINISTRATOR: &str = "admin@example.com";
const FIRST_PASSWORD: &str = "a long enough passphrase for a demo";
const SECOND_PASSWORD: &str = "and another one for the trams";
const THIRD_PASSWORD: &str = "forgotten is not lost at all";
/// Where the person and the administrator are, and where somebody else is who guesses (RFC 5737).
const HERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
/// As many as one network may try at once.
const GUESSES: usize = 10;
/// How long a mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody at the keyboard.
struct Visitor<'a> {
    services: &'a Services<'a>,
    door: FrontDoor,
    /// Where they are.
    from: Ipv4Addr,
    /// Mails that were looked at.
    read: HashSet<String>,
}

/// What signing in and refreshing give.
struct Tokens {
    access: String,
    refresh: String,
}

/// Tells it step by step; an answer that is not as it should be ends the demo.
pub async fn take(services: &Services<'_>, story: &Story) -> anyhow::Result<()> {
    let door = FrontDoor::to(&services.auth_url)?;
    let mut visitor = Visitor { services, door, from: HERE, read: HashSet::new() };
    let say = |line: &str| story.say(line);

    visitor.post("/v1/auth/register", &json!({"email": PERSON, "password": FIRST_PASSWORD}), 202).await?;
    let credentials = |password: &str| json!({"email": PERSON, "password": password});
    visitor.post("/v1/auth/login", &credentials(FIRST_PASSWORD), 401).await?;
    say("registered; nobody is let in before the address is verified");
    let token = visitor.mailed_token(PERSON).await?;
    visitor.post("/v1/auth/email/verify", &json!({"token": token}), 204).await?;
    say("the mail came, with a token that was sealed on its way; the address is verified");

    let first = visitor.log_in(PERSON, FIRST_PASSWORD).await?;
    visitor.call(Method::GET, "/v1/me", Some(&first), None, 200).await?;
    let second = visitor.refresh(&first).await?;
    let again = visitor.refresh(&first).await?;
    ensure!(second.refresh == again.refresh, "a lost answer was not given again");
    say("signed in; refreshed, and once more with the same token, as if the answer had been lost: same successor");

    let change = json!({"currentPassword": FIRST_PASSWORD, "newPassword": SECOND_PASSWORD});
    visitor.call(Method::POST, "/v1/auth/password/change", Some(&second), Some(&change), 204).await?;
    visitor.call(Method::GET, "/v1/me", Some(&second), None, 401).await?;
    let third = visitor.refresh(&second).await?;
    say("password changed: access tokens from before are refused, this session goes on");

    visitor.post("/v1/auth/password/forgot", &json!({"email": PERSON}), 202).await?;
    let token = visitor.mailed_token(PERSON).await?;
    visitor.post("/v1/auth/password/reset", &json!({"token": token, "password": THIRD_PASSWORD}), 204).await?;
    visitor.post("/v1/auth/refresh", &json!({"refreshToken": third.refresh}), 401).await?;
    let fourth = visitor.log_in(PERSON, THIRD_PASSWORD).await?;
    say("password forgotten and reset by mail: every session has ended, a new one is open");

    visitor.call(Method::POST, "/v1/me/deactivate", Some(&fourth), None, 204).await?;
    visitor.post("/v1/auth/login", &credentials(THIRD_PASSWORD), 401).await?;
    let administrator = visitor.administrator(story).await?;
    let accounts = format!("/v1/admin/users?email={PERSON}");
    let found = visitor.call(Method::GET, &accounts, Some(&administrator), None, 200).await?;
    let id = text(&found, "/items/0/userId")?;
    let reactivate = format!("/v1/admin/users/{id}/reactivate");
    visitor.call(Method::POST, &reactivate, Some(&administrator), None, 204).await?;
    say("deactivated by its owner, and put into use again by an administrator");

    let last = visitor.log_in(PERSON, THIRD_PASSWORD).await?;
    shopping::take(services, HERE, &last.access, &administrator.access, story).await?;
    let erased = visitor.call(Method::DELETE, "/v1/me", Some(&last), None, 202).await?;
    visitor.post("/v1/auth/login", &credentials(THIRD_PASSWORD), 401).await?;
    visitor.until_erased_everywhere(&id, &text(&erased, "/erasureId")?, &administrator).await?;
    shopping::is_gone(services, HERE, &last.access).await?;
    let trail = format!("/v1/admin/audit?user={id}&limit=200");
    let trail = visitor.call(Method::GET, &trail, Some(&administrator), None, 200).await?;
    let entries = trail["items"].as_array().map_or(0, Vec::len);
    ensure!(!trail.to_string().contains(PERSON), "the audit trail holds an address");
    say(&format!(
        "erased, and user-service has answered that it has; {entries} entries of the audit trail name nobody"
    ));
    guess(&visitor).await?;
    say(&format!("{ELSEWHERE} tried {GUESSES} addresses; the next try is refused with 429, others are not held up"));
    Ok(())
}

/// Somebody tries one password on many addresses, until their network is refused.
async fn guess(visitor: &Visitor<'_>) -> anyhow::Result<()> {
    let door = &visitor.door;
    let guess = async |from, n: usize| {
        let body = json!({"email": format!("somebody{n}@example.com"), "password": "a password that many people have"});
        let answer = door.request(from, Method::POST, "/v1/auth/login").json(&body).send().await;
        answer.context("auth-service did not answer")
    };
    let mut tried = 0;
    let refusal = loop {
        let answer = guess(ELSEWHERE, tried).await?;
        match answer.status() {
            StatusCode::UNAUTHORIZED if tried < 3 * GUESSES => tried += 1,
            StatusCode::TOO_MANY_REQUESTS => break answer,
            status => bail!("guess {tried} was answered with {status}"),
        }
    };
    ensure!(tried >= GUESSES, "refused after {tried} guesses");
    ensure!(refusal.headers().contains_key("retry-after"), "the refusal does not say when to come back");
    ensure!(guess(HERE, 0).await?.status() == StatusCode::UNAUTHORIZED, "somebody else was refused as well");
    Ok(())
}

impl Visitor<'_> {
    async fn post(&self, path: &str, body: &Value, status: u16) -> anyhow::Result<Value> {
        self.call(Method::POST, path, None, Some(body), status).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        tokens: Option<&Tokens>,
        body: Option<&Value>,
        status: u16,
    ) -> anyhow::Result<Value> {
        let mut request = self.door.request(self.from, method.clone(), path);
        if let Some(tokens) = tokens {
            request = request.bearer_auth(&tokens.access);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.context("auth-service did not answer")?;
        let (got, text) = (answer.status(), answer.text().await.unwrap_or_default());
        let path = path.split('?').next().unwrap_or_default();
        ensure!(got.as_u16() == status, "{method} {path} was answered with {got} instead of {status}: {text}");
        if got == StatusCode::NO_CONTENT { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }

    async fn log_in(&self, email: &str, password: &str) -> anyhow::Result<Tokens> {
        let body = json!({"email": email, "password": password});
        Tokens::of(&self.post("/v1/auth/login", &body, 200).await?)
    }

    async fn refresh(&self, tokens: &Tokens) -> anyhow::Result<Tokens> {
        Tokens::of(&self.post("/v1/auth/refresh", &json!({"refreshToken": tokens.refresh}), 200).await?)
    }

    /// The first one, made with the very command an operator would use.
    async fn administrator(&mut self, story: &Story) -> anyhow::Result<Tokens> {
        let body = json!({"email": ADMINISTRATOR, "password": FIRST_PASSWORD});
        self.post("/v1/auth/register", &body, 202).await?;
        let token = self.mailed_token(ADMINISTRATOR).await?;
        self.post("/v1/auth/email/verify", &json!({"token": token}), 204).await?;
        let grant = ["admin", "grant", "--email", ADMINISTRATOR, "--role", "admin"];
        story.say(&format!("$ waypost {}", grant.join(" ")));
        self.services.tool(&grant).await?;
        self.log_in(ADMINISTRATOR, FIRST_PASSWORD).await
    }

    /// Waits until the ledger says that every service has erased what it held.
    async fn until_erased_everywhere(&self, account: &str, erasure: &str, tokens: &Tokens) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let erasures = format!("/v1/admin/erasures?user={account}");
        loop {
            let ledger = self.call(Method::GET, &erasures, Some(tokens), None, 200).await?;
            ensure!(text(&ledger, "/items/0/erasureId")? == erasure, "the ledger has another erasure");
            if ledger.pointer("/items/0/completedAt").is_some_and(Value::is_string) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the ledger still waits after {PATIENCE:?}: {ledger}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits for a mail with a link that was not looked at before, with the command that shows mails in development.
    async fn mailed_token(&mut self, to: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mails: Value =
                serde_json::from_str(&self.services.tool(&["mail", "list", "--to", to, "--json"]).await?)?;
            for mail in mails.as_array().into_iter().flatten() {
                if let (Some(id), Some(token)) = (mail["id"].as_str(), mail["token"].as_str())
                    && self.read.insert(id.to_owned())
                {
                    return Ok(token.to_owned());
                }
            }
            if Instant::now() > deadline {
                bail!("no mail with a link came to {to} within {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Tokens {
    fn of(answer: &Value) -> anyhow::Result<Self> {
        Ok(Self { access: text(answer, "/accessToken")?, refresh: text(answer, "/refreshToken")? })
    }
}

fn text(answer: &Value, pointer: &str) -> anyhow::Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("the answer has no {pointer}"))
}
