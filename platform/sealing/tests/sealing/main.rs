//! A sealed token opens with its key, in its context, unchanged; and in no other way.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use proptest::prelude::*;
use schemas::SealedToken;
use sealing::{
    Context, InvalidKey, LONGEST_SECRET, OpenError, OpeningKey, OpeningKeys, SealError, SealingKey,
    purpose::{EMAIL_VERIFICATION, PASSWORD_RESET},
};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

const TOKEN: &str = "evt_planted-R7m2Qx0vTf1yNc8sLk4pZa6wEb9uHd3gJi5oKe";

fn context() -> Context<'static> {
    Context { event_id: Uuid::from_u128(1), user_id: Uuid::from_u128(2), purpose: EMAIL_VERIFICATION }
}

fn pair() -> (SealingKey, OpeningKeys) {
    let key = OpeningKey::generate();
    (key.sealing_key(), OpeningKeys::from_iter([key]))
}

fn sealed(key: &SealingKey) -> SealedToken {
    key.seal(&TOKEN.into(), &context()).unwrap()
}

fn token(text: String) -> SealedToken {
    text.try_into().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sealed_opens_in_its_context(
        secret in any::<String>(),
        (event, user) in any::<(u128, u128)>(),
        purpose in any::<String>(),
    ) {
        let (key, keys) = pair();
        let context =
            Context { event_id: Uuid::from_u128(event), user_id: Uuid::from_u128(user), purpose: &purpose };
        let sealed = key.seal(&secret.clone().into(), &context).unwrap();
        let opened = keys.open(&sealed, &context).unwrap();
        prop_assert_eq!(opened.expose_secret(), &secret);
    }
}

#[test]
fn every_part_of_the_context_matters() {
    let (key, keys) = pair();
    let (sealed, right) = (sealed(&key), context());
    assert!(keys.open(&sealed, &right).is_ok());
    for wrong in [
        Context { event_id: Uuid::from_u128(3), ..right },
        Context { user_id: Uuid::from_u128(3), ..right },
        Context { event_id: right.user_id, user_id: right.event_id, ..right },
        Context { purpose: PASSWORD_RESET, ..right },
        Context { purpose: "", ..right },
        Context { purpose: "email-verification ", ..right },
    ] {
        assert_eq!(keys.open(&sealed, &wrong).unwrap_err(), OpenError::NotForThis, "{wrong:?}");
    }
}

#[test]
fn a_token_of_which_one_bit_is_changed_does_not_open() {
    let (key, keys) = pair();
    let sealed = sealed(&key);
    let text = sealed.as_str();
    let mut refused = 0;
    for (at, letter) in text.bytes().enumerate() {
        for bit in 0..8 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = letter ^ (1 << bit);
            // Most of these are no letter of a sealed token, which the type sees to.
            let Some(changed) = String::from_utf8(bytes).ok().and_then(|text| SealedToken::try_from(text).ok()) else {
                continue;
            };
            assert!(keys.open(&changed, &context()).is_err(), "bit {bit} of the letter {at}");
            refused += 1;
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn a_token_for_an_unknown_key_is_told_from_one_that_is_broken() {
    let (key, keys) = pair();
    let (other, _) = pair();
    let sealed = sealed(&other);
    assert_eq!(keys.open(&sealed, &context()).unwrap_err(), OpenError::UnknownKey(other.id()));
    assert_eq!(OpeningKeys::default().open(&sealed, &context()).unwrap_err(), OpenError::UnknownKey(other.id()));

    let (id, rest) = sealed.as_str().split_once('.').unwrap();
    let (encapsulated, ciphertext) = rest.split_once('.').unwrap();
    for malformed in [
        "a".to_owned(),
        id.to_owned(),
        format!("{id}.{encapsulated}"),
        format!("{rest}.{id}"),
        format!("{sealed}.{ciphertext}", sealed = sealed.as_str()),
        format!("{}.{rest}", id.to_uppercase()),
        format!("{}.{rest}", &id[1..]),
        format!("{id}.{}.{ciphertext}", &encapsulated[1..]),
        format!("{id}.{encapsulated}.{}", &ciphertext[..10]),
    ] {
        assert_eq!(keys.open(&token(malformed.clone()), &context()).unwrap_err(), OpenError::Malformed, "{malformed}");
    }
    assert_ne!(key.id(), other.id());
}

#[test]
fn the_id_in_front_cannot_be_swapped() {
    let (first, second) = (OpeningKey::generate(), OpeningKey::generate());
    let sealed = sealed(&first.sealing_key());
    let (_, rest) = sealed.as_str().split_once('.').unwrap();
    let swapped = token(format!("{}.{rest}", second.id()));
    let keys = OpeningKeys::from_iter([first, second]);
    assert!(keys.open(&sealed, &context()).is_ok());
    assert_eq!(keys.open(&swapped, &context()).unwrap_err(), OpenError::NotForThis);
}

#[test]
fn older_keys_open_what_was_sealed_for_them() {
    let pairs: Vec<_> = (0..3).map(|_| OpeningKey::generate()).collect();
    let sealed: Vec<_> = pairs.iter().map(|key| sealed(&key.sealing_key())).collect();
    let keys = OpeningKeys::from_iter(pairs);
    for sealed in &sealed {
        assert_eq!(keys.open(sealed, &context()).unwrap().expose_secret(), TOKEN);
    }
    assert_eq!(keys.ids().count(), 3);
}

#[test]
fn sealing_the_same_twice_shows_nobody_that_it_is_the_same() {
    let (key, _) = pair();
    let [first, second] = [sealed(&key), sealed(&key)];
    let parts = |token: &SealedToken| token.as_str().split('.').map(str::to_owned).collect::<Vec<_>>();
    let (first, second) = (parts(&first), parts(&second));
    assert_eq!(first[0], second[0]);
    assert!(first[1] != second[1] && first[2] != second[2]);
}

#[test]
fn a_sealed_token_is_short_and_the_longest_secret_fits() {
    let (key, keys) = pair();
    assert_eq!(sealed(&key).as_str().len(), 149);
    let longest: SecretString = "x".repeat(LONGEST_SECRET).into();
    let sealed = key.seal(&longest, &context()).unwrap();
    assert_eq!(sealed.as_str().len(), 4096);
    assert_eq!(keys.open(&sealed, &context()).unwrap().expose_secret(), longest.expose_secret());
    let longer: SecretString = "x".repeat(LONGEST_SECRET + 1).into();
    assert_eq!(key.seal(&longer, &context()).unwrap_err(), SealError::TooLong { length: LONGEST_SECRET + 1 });
}

#[test]
fn keys_are_read_back_from_their_texts() {
    let key = OpeningKey::generate();
    let (private, public) = (key.text(), key.sealing_key().text());
    assert_eq!(public, key.sealing_key().to_string());
    let read = OpeningKey::parse(&format!("  {}\n", private.expose_secret()).into()).unwrap();
    assert_eq!((read.id(), read.text().expose_secret()), (key.id(), private.expose_secret()));
    let sealing = SealingKey::parse(&format!("{public}\n")).unwrap();
    assert_eq!((sealing.id(), &sealing), (key.id(), &key.sealing_key()));
    let opened = OpeningKeys::from_iter([read]).open(&sealed(&sealing), &context()).unwrap();
    assert_eq!(opened.expose_secret(), TOKEN);
}

#[test]
fn a_key_is_not_taken_for_the_other_of_its_pair() {
    let key = OpeningKey::generate();
    let (private, public) = (key.text(), key.sealing_key().text());
    assert_eq!(SealingKey::parse(private.expose_secret()).unwrap_err(), InvalidKey::IsPrivate);
    assert_eq!(OpeningKey::parse(&public.as_str().into()).unwrap_err(), InvalidKey::IsPublic);
    assert!(public.starts_with("waypost-public-sealing-key-v1:"), "{public}");
    assert!(private.expose_secret().starts_with("waypost-private-opening-key-v1:"));
    let (_, bare) = public.rsplit_once(':').unwrap();
    for text in ["", bare, "waypost-public-sealing-key-v1:", "waypost-public-sealing-key-v2:a:b", &public[..80]] {
        assert!(matches!(SealingKey::parse(text), Err(InvalidKey::Malformed { .. })), "{text}");
        assert!(matches!(OpeningKey::parse(&text[..text.len().min(3)].into()), Err(InvalidKey::Malformed { .. })));
    }
}

/// Otherwise tokens would be sealed for nobody, and only those who ask for their links would notice.
#[test]
fn a_key_that_was_damaged_in_copying_is_refused() {
    let key = OpeningKey::generate();
    let damage = |text: &str| {
        let at = text.rfind(':').unwrap() + 5;
        let letter = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{letter}{}", &text[..at], &text[at + 1..])
    };
    assert_eq!(SealingKey::parse(&damage(&key.sealing_key().text())).unwrap_err(), InvalidKey::Damaged);
    assert_eq!(OpeningKey::parse(&damage(key.text().expose_secret()).into()).unwrap_err(), InvalidKey::Damaged);
}

#[test]
fn nothing_is_sealed_to_a_key_that_anybody_can_open() {
    // The point of order one, whose shared secret is zero whoever computes it; its id is the hash of 32 zeros.
    let key = SealingKey::parse(&format!("waypost-public-sealing-key-v1:66687aadf862bd77:{}", "A".repeat(43))).unwrap();
    assert_eq!(key.seal(&TOKEN.into(), &context()).unwrap_err(), SealError::UnusableKey(key.id()));
}

#[test]
fn nothing_secret_shows_itself() {
    let key = OpeningKey::generate();
    let (text, id) = (key.text(), key.id().to_string());
    let (_, private) = text.expose_secret().rsplit_once(':').unwrap();
    let (sealing, keys) = (key.sealing_key(), OpeningKeys::from_iter([key.clone()]));
    let sealed = sealed(&sealing);
    let error = keys.open(&sealed, &Context { purpose: PASSWORD_RESET, ..context() }).unwrap_err();
    let broken = OpeningKey::parse(&private.to_owned().into()).unwrap_err();
    let shown = format!("{key:?} {keys:?} {text:?} {sealing:?} {sealed:?} {error:?} {error} {broken:?} {broken}");
    assert!(!shown.contains(private) && !shown.contains(TOKEN) && !shown.contains(sealed.as_str()), "{shown}");
    assert!(format!("{key:?}").contains(&id));
}
