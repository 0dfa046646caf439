//! What is written, to whom, and how often.

use fixtures::eventually;
use mailer::MailFolder;
use schemas::{
    AccountStatus, DeactivationReason, Envelope, Event, UserDeactivatedV1, UserEmailChangedV1, UserReactivatedV1,
    UserRegistrationRepeatedV1,
};
use time::macros::format_description;
use uuid::Uuid;
use worker::Outcome;

use crate::{
    server::{Reaction, Said, SmtpServer},
    world::{ADDRESS, FROM, TOKEN, World, email, harness, html_of, parsed, text_of, world, world_with},
};

const OTHER: &str = "other@example.com";

fn deactivated(world: &World, reason: &str) -> Envelope {
    let event = UserDeactivatedV1 {
        user_id: Uuid::from_u128(2),
        email: email(ADDRESS),
        timestamp: world.clock.now(),
        source: "auth-service".parse().unwrap(),
        status: AccountStatus::Deactivated,
        reason: reason.parse::<DeactivationReason>().unwrap(),
        min_token_version: serde_json::from_value(1.into()).unwrap(),
    };
    Envelope::new(&event, world.header()).unwrap()
}

fn of<E: Event>(world: &World, event: &E) -> Envelope {
    Envelope::new(event, world.header()).unwrap()
}

#[tokio::test]
async fn each_event_makes_exactly_its_mail_to_exactly_its_address() {
    let world = world().await;
    let (user_id, timestamp) = (Uuid::from_u128(2), world.clock.now());
    let source: schemas::ServiceName = "auth-service".parse().unwrap();
    let changed = UserEmailChangedV1 {
        user_id,
        email: email(OTHER),
        timestamp,
        source: source.clone(),
        email_verified: true,
        previous_email: email(ADDRESS),
    };
    let repeated = UserRegistrationRepeatedV1 { user_id, email: email(ADDRESS), timestamp, source: source.clone() };
    let reactivated =
        UserReactivatedV1 { user_id, email: email(ADDRESS), timestamp, source, status: AccountStatus::Active };
    let page = |path: &str| format!("https://shop.example.com/{path}");
    let with_token = |path: &str| page(&format!("{path}#token={TOKEN}"));
    for (envelope, subject, link) in [
        (world.verification(ADDRESS), "Please confirm your address", with_token("verify-email")),
        (world.reset(ADDRESS, None), "Set a new password", with_token("reset-password")),
        (of(&world, &changed), "Your address was changed", page("")),
        (world.password_changed(ADDRESS), "Your password was changed", page("forgot-password")),
        (of(&world, &repeated), "You have an account with us already", page("forgot-password")),
        (deactivated(&world, "own-request"), "Your account was deactivated", page("")),
        (deactivated(&world, "admin-decision"), "Your account was deactivated", page("")),
        (deactivated(&world, "suspected-takeover"), "Your account was deactivated", page("")),
        (of(&world, &reactivated), "Your account can be used again", page("")),
    ] {
        let before = world.server.delivered().len();
        assert!(matches!(world.deliver(&envelope).await, Outcome::Applied), "{subject}");
        let delivered = world.server.delivered();
        assert_eq!(delivered.len(), before + 1, "{subject}");
        let mail = &delivered[before];
        assert_eq!(mail.to, [ADDRESS], "{subject}");
        let message = parsed(mail);
        assert_eq!(message.subject(), Some(subject));
        let to = message.to().unwrap().first().unwrap();
        assert_eq!((to.name(), to.address()), (None, Some(ADDRESS)));
        let from = message.from().unwrap().first().unwrap();
        assert_eq!(format!("{} <{}>", from.name().unwrap(), from.address().unwrap()), FROM);
        assert_eq!(message.message_id(), Some(format!("{}@shop.example.com", envelope.id).as_str()));
        assert_eq!(message.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
        assert_eq!(message.date().unwrap().to_timestamp(), world.clock.now().unix_timestamp());
        assert!(text_of(mail).lines().any(|line| line == link), "{}", text_of(mail));
        assert_eq!(html_of(mail).matches(&format!("href=\"{link}\"")).count(), 2, "{}", html_of(mail));
    }
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 9);
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 0);
}

#[tokio::test]
async fn a_mail_is_written_in_the_language_that_its_event_names() {
    let world = world().await;
    world.deliver(&world.reset(ADDRESS, Some("de-AT"))).await;
    world.deliver(&world.reset(ADDRESS, Some("fr"))).await;
    let [german, english] = world.server.delivered().try_into().unwrap();
    assert_eq!(parsed(&german).subject(), Some("Neues Passwort festlegen"));
    assert!(html_of(&german).contains("<html lang=\"de\">") && text_of(&german).contains("Für Ihr Konto"));
    assert_eq!(parsed(&english).subject(), Some("Set a new password"));
    assert!(html_of(&english).contains("<html lang=\"en\">"));
    let until = world.clock.now() + time::Duration::HOUR;
    let until = until.format(format_description!("[day].[month].[year], [hour]:[minute] Uhr (UTC)")).unwrap();
    assert!(text_of(&german).contains(&format!("Der Link gilt bis {until}.")), "{}", text_of(&german));
}

/// Nothing in it is fetched when it is opened, so nobody is told that it was.
#[tokio::test]
async fn a_mail_fetches_nothing_and_leads_to_our_pages_only() {
    let world = world().await;
    world.deliver(&world.verification(ADDRESS)).await;
    let html = html_of(&world.server.delivered()[0]);
    for foreign in ["<img", "<link", "<script", "<style", "src=", "url(", "@import", "<iframe", "<object", "<form"] {
        assert!(!html.contains(foreign), "{foreign} in {html}");
    }
    let addresses: Vec<_> = html.match_indices("http").map(|(at, _)| &html[at..]).collect();
    assert!(!addresses.is_empty());
    assert!(addresses.iter().all(|address| address.starts_with("https://shop.example.com/")), "{html}");
}

#[tokio::test]
async fn html_escapes_what_is_put_into_it() {
    let server = SmtpServer::start().await;
    let url = format!("smtp://{}", server.address);
    let from = "\"Tom & <b>Jerry</b>\" <no-reply@shop.example.com>";
    let world = world_with(server, &[("MAIL_TRANSPORT", "smtp"), ("SMTP_URL", &url), ("MAIL_FROM", from)]).await;
    world.deliver(&world.verification(ADDRESS)).await;
    let mail = &world.server.delivered()[0];
    assert!(!html_of(mail).contains("<b>"), "{}", html_of(mail));
    assert!(html_of(mail).contains("Tom &#38; &#60;b&#62;Jerry&#60;/b&#62;"), "{}", html_of(mail));
    assert!(text_of(mail).contains("Tom & <b>Jerry</b>"), "{}", text_of(mail));
}

#[tokio::test]
async fn a_redelivered_event_is_not_mailed_again() {
    let world = world().await;
    let envelope = world.verification(ADDRESS);
    assert!(matches!(world.deliver(&envelope).await, Outcome::Applied));
    assert!(matches!(world.deliver(&envelope).await, Outcome::Duplicate));
    assert_eq!(world.server.delivered().len(), 1);
}

/// It may mail twice, and never not at all; whoever gets both can tell that they are one.
#[tokio::test]
async fn a_crash_after_the_mail_and_before_its_record_mails_again_under_the_same_id() {
    let world = world().await;
    let envelope = world.verification(ADDRESS);
    world.server.answers(|said| matches!(said, Said::Mail).then_some(Reaction::KeepSilent));
    let crashing = world.delivering(&envelope);
    eventually("the server has the mail", async || (world.server.delivered().len() == 1).then_some(())).await;
    crashing.abort();
    assert!(crashing.await.unwrap_err().is_cancelled());
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 0);

    world.server.takes_everything();
    let url = format!("smtp://{}", world.server.address);
    let variables = [("MAIL_TRANSPORT", "smtp"), ("SMTP_URL", url.as_str())];
    let restarted = harness(&world.database.pool, world.place.path(), &world.clock, &variables).await;
    assert!(matches!(restarted.deliver(&[envelope]).await[..], [Outcome::Applied]));
    let [first, second] = world.server.delivered().try_into().unwrap();
    assert_eq!(first.text, second.text);
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 1);
}

#[tokio::test]
async fn in_development_mails_are_files_and_one_that_goes_twice_is_two() {
    let world = world_with(SmtpServer::start().await, &[]).await;
    let envelope = world.verification(ADDRESS);
    assert!(matches!(world.deliver(&envelope).await, Outcome::Applied));
    // As after a crash.
    sqlx::query("DELETE FROM event_logs").execute(&world.database.pool).await.unwrap();
    assert!(matches!(world.deliver(&envelope).await, Outcome::Applied));
    let mails = MailFolder::new(world.place.path().join("mails")).read().unwrap();
    let copies: Vec<_> = mails.iter().map(|mail| (mail.key.to_string(), mail.copy)).collect();
    assert_eq!(copies, [(envelope.id.clone(), 1), (envelope.id.clone(), 2)]);
    let text = std::fs::read_to_string(&mails[0].path).unwrap();
    let message = mail_parser::MessageParser::default().parse(&text).unwrap();
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some(ADDRESS));
    assert!(message.body_text(0).unwrap().contains(TOKEN));
    assert_eq!(world.server.connections(), 0);
}
