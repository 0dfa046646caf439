//! Tokens that open, and those that don't.

use std::{fs, time::Duration};

use mailer::{Mailer, MailerError, MailerSettings};
use schemas::{Clock, Envelope};
use sealing::{Context, OpeningKey, purpose};
use service::{ErrorChain, settings::Env};
use uuid::Uuid;
use worker::Outcome;

use crate::world::{ADDRESS, TOKEN, World, key_folders, make_key, text_of, world};

fn reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::DeadLettered(report) => report.reason.clone(),
        other => panic!("should be dead-lettered, is {other:?}"),
    }
}

/// As if the time since the folder was read had passed.
async fn pass_time() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(4)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_token_for_a_key_that_is_not_here_is_dead_lettered_and_mailed_once_it_is() {
    let world = world().await;
    let later = OpeningKey::generate();
    let envelope = world.verification_sealed(ADDRESS, &later.sealing_key(), |context| context);
    assert!(matches!(world.deliver(&envelope).await, Outcome::Retry(_)));
    assert_eq!(reason(world.deliver(&envelope).await), "retries-exhausted");
    let told = world.rows("SELECT to_jsonb(f)::text FROM event_failures AS f").await;
    assert!(told.contains(&format!("sealed for the key {}", later.id())), "{told}");
    assert!(world.server.delivered().is_empty());

    let [private, _] = key_folders(world.place.path());
    private.write_new(world.clock.now(), &later.text()).unwrap();
    pass_time().await;
    assert!(matches!(world.deliver(&envelope).await, Outcome::Applied), "a replay");
    assert!(text_of(&world.server.delivered()[0]).contains(TOKEN));
}

#[tokio::test]
async fn a_new_key_is_found_without_a_restart_and_the_old_one_still_opens() {
    let world = world().await;
    let before = world.verification(ADDRESS);
    let key = make_key(world.place.path(), world.clock.now());
    let after = world.verification_sealed(ADDRESS, &key, |context| context);
    pass_time().await;
    for envelope in [after, before] {
        assert!(matches!(world.deliver(&envelope).await, Outcome::Applied));
    }
}

/// A key that is nowhere costs a look at the folder now and then, and not with every token.
#[tokio::test]
async fn the_folder_is_not_read_for_every_token_that_needs_another_key() {
    let world = world().await;
    let key = make_key(world.place.path(), world.clock.now());
    let envelope = world.verification_sealed(ADDRESS, &key, |context| context);
    assert!(matches!(world.deliver(&envelope).await, Outcome::Retry(_)), "it was read just now");
    pass_time().await;
    assert!(matches!(world.deliver(&envelope).await, Outcome::Applied));
}

#[tokio::test]
async fn a_token_that_was_sealed_for_another_event_user_or_purpose_is_rejected() {
    let world = world().await;
    let other = Uuid::from_u128(99);
    let sealed = |change: fn(Context<'static>, Uuid) -> Context<'static>| {
        world.verification_sealed(ADDRESS, &world.key, |context| change(context, other))
    };
    for envelope in [
        sealed(|context, other| Context { event_id: other, ..context }),
        sealed(|context, other| Context { user_id: other, ..context }),
        sealed(|context, _| Context { purpose: purpose::PASSWORD_RESET, ..context }),
        replaced(&world, "eyJhbGciOiJIUzI1NiJ9.e30"),
    ] {
        assert_eq!(reason(world.deliver(&envelope).await), "rejected");
    }
    assert_eq!(world.count("SELECT count(*) FROM event_failures").await, 4);
    assert_eq!(world.server.connections(), 0);
}

/// Its token another text.
fn replaced(world: &World, token: &str) -> Envelope {
    let mut envelope = serde_json::to_value(world.verification(ADDRESS)).unwrap();
    envelope["data"]["tokenSealed"] = token.into();
    Envelope::read(&envelope.to_string()).unwrap().0
}

#[tokio::test]
async fn a_link_that_has_expired_is_not_mailed() {
    let world = world().await;
    let [envelope, just_in_time] = [world.verification(ADDRESS), world.reset(ADDRESS, None)];
    world.clock.advance(time::Duration::HOUR - time::Duration::SECOND);
    assert!(matches!(world.deliver(&just_in_time).await, Outcome::Applied));
    world.clock.advance(time::Duration::SECOND);
    // Its key is of no interest any more.
    for key in key_folders(world.place.path())[0].read().unwrap() {
        fs::remove_file(key.path).unwrap();
    }
    assert!(matches!(world.deliver(&envelope).await, Outcome::Stale));
    assert_eq!(world.server.delivered().len(), 1);
    assert_eq!(world.count("SELECT count(*) FROM event_logs").await, 2);
    assert!(matches!(world.deliver(&envelope).await, Outcome::Duplicate));
}

/// A mailer as a process opens it.
pub async fn opened(place: &std::path::Path) -> Result<Mailer, MailerError> {
    let keys = place.join("keys");
    let env = Env::of([
        ("MAILER_DATABASE_URL", "postgres://localhost/unused"),
        ("MAIL_FOLDER", "/tmp/unused"),
        ("MAIL_FROM", "no-reply@shop.example.com"),
        ("MAIL_LINK_BASE", "https://shop.example.com"),
        ("MAILER_KEYS_DIR", keys.to_str().unwrap()),
    ]);
    Mailer::open(MailerSettings::from_env(&env).unwrap(), Clock::system()).await
}

#[tokio::test]
async fn a_mailer_without_a_key_or_with_a_broken_one_does_not_begin() {
    let place = tempfile::tempdir().unwrap();
    let now = Clock::system().now();
    let told = async || ErrorChain(&opened(place.path()).await.err().unwrap()).to_string();
    let error = told().await;
    assert!(error.contains("there is no key in") && error.contains("waypost keys mailer rotate"), "{error}");

    let key = OpeningKey::generate();
    let [private, _] = key_folders(place.path());
    let path = private.write_new(now, &key.sealing_key().text().into()).unwrap();
    let error = told().await;
    assert!(error.contains(path.to_str().unwrap()) && error.contains("a public key, expected the private"), "{error}");
    fs::remove_file(path).unwrap();
    private.write_new(now, &key.text()).unwrap();
    assert!(opened(place.path()).await.is_ok());
}
