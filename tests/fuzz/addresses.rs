//! Text that may be an e-mail address: what is accepted is the one spelling of one mailbox, and fit for a mail's header.
//!
//! The index that says who registered first goes by that spelling, so two that people take for one have to become one.

use auth_service::EmailAddress;
use schemas::Email;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Stands for what was typed: no error says it.
const CANARY: &str = "qzjxkvwq";

/// Panics where the bytes show a mistake.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert_hides(text);
    let address = normal(text);
    for (how, same) in other_spellings(text) {
        assert_eq!(normal(&same), address, "{text:?} {how} is another one");
    }
    let Some(address) = address else { return };
    assert_eq!(normal(&address).as_ref(), Some(&address), "of {text:?}, the normal spelling is not its own");
    assert_fits(&address);
}

fn normal(text: &str) -> Option<String> {
    EmailAddress::parse(text).ok().map(|address| address.as_str().to_owned())
}

/// What is the same to the one who types it.
fn other_spellings(text: &str) -> [(&'static str, String); 5] {
    [
        ("in upper case", text.to_ascii_uppercase()),
        ("in lower case", text.to_ascii_lowercase()),
        ("composed", text.nfc().collect()),
        ("decomposed", text.nfd().collect()),
        ("with space around it", format!("\t {text}\u{3000}\r\n")),
    ]
}

fn assert_fits(address: &str) {
    let (local, domain) = address.split_once('@').unwrap_or_else(|| panic!("{address:?} has no @"));
    assert!(address.len() <= 254 && (1..=64).contains(&local.len()), "{address:?} is too long");
    assert!(!domain.contains('@'), "{address:?} has two of them");
    assert!(!address.contains(|c: char| c.is_control() || c.is_whitespace()), "{address:?} breaks a line");
    assert!(!local.contains(['"', '(', ')', ',', ':', ';', '<', '>', '[', ']', '\\']), "{address:?} needs quotes");
    assert!(is_nfc(address), "{address:?} has another form");
    assert!(local.chars().flat_map(char::to_lowercase).eq(local.chars()), "{address:?} is not in lower case");
    assert!(domain.contains('.') && domain.split('.').all(is_label), "{address:?} has no domain");

    // What is stored and sent is what a consumer reads.
    let email = Email::try_from(address.to_owned()).expect("an address is fit for an event");
    let written = serde_json::to_string(&email).expect("a text is written");
    let read: Email = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{written} is not read: {error}"));
    assert_eq!(read.as_str(), address);
}

/// RFC 1123, 2.1.
fn is_label(label: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(fits) && !label.starts_with('-') && !label.ends_with('-')
}

fn assert_hides(text: &str) {
    for marked in
        [format!("{CANARY}{text}"), format!("{text}{CANARY}"), text.replace('@', &format!("{CANARY}@{CANARY}"))]
    {
        match EmailAddress::parse(&marked) {
            Ok(address) => assert!(!format!("{address:?}").contains(CANARY), "{address:?} shows {marked:?}"),
            Err(error) => {
                let told = mutants::told(&error);
                assert!(!told.contains(CANARY), "`{told}` quotes {marked:?}");
            }
        }
    }
}
