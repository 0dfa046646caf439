//! One spelling for one mailbox, so that an index can say who registered first.

use std::{borrow::Cow, fmt};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use schemas::Email;
use unicode_normalization::UnicodeNormalization;

/// An address in its one spelling: trimmed, NFC, lower case, the domain in ASCII. Its debug form does not show it.
///
/// Lower case also before the @: mail servers that tell `Ada` from `ada` are gone, and people who mistype it are not.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(Email);

/// Why it is not an address. Says what it should be, never what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmailAddress {
    #[error("should be one address such as ada@example.com")]
    Shape,
    #[error(
        "should have a part before the @ of letters, digits and !#$%&'*+-/=?^_`{{|}}~, with single dots between them"
    )]
    Local,
    #[error("should have a domain such as example.com after the @")]
    Domain,
    #[error("should have at most 254 bytes, and 64 before the @")]
    TooLong,
}

const MAX_LOCAL: usize = 64;

impl EmailAddress {
    pub fn parse(text: &str) -> Result<Self, InvalidEmailAddress> {
        let text = composed(text.trim());
        let (local, domain) = text.split_once('@').ok_or(InvalidEmailAddress::Shape)?;
        if domain.contains('@') {
            return Err(InvalidEmailAddress::Shape);
        }
        let (local, domain) = (normal_local(local)?, normal_domain(domain)?);
        Email::try_from(format!("{local}@{domain}")).map(Self).map_err(|_| InvalidEmailAddress::TooLong)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What stands before the @.
    pub fn local_part(&self) -> &str {
        self.as_str().split('@').next().unwrap_or_default()
    }

    /// As events carry it.
    pub fn into_email(self) -> Email {
        self.0
    }
}

/// In NFC, which ASCII is as it stands.
fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.nfc().collect::<String>().into() }
}

fn normal_local(local: &str) -> Result<String, InvalidEmailAddress> {
    let lower = if local.is_ascii() {
        local.to_ascii_lowercase()
    } else {
        // Letter by letter: lower-casing a word gives a sigma at its end another form than the lower-case word has.
        local.chars().flat_map(char::to_lowercase).nfc().collect()
    };
    if lower.len() > MAX_LOCAL {
        return Err(InvalidEmailAddress::TooLong);
    }
    let atoms_are_fine = lower.split('.').all(|atom| !atom.is_empty() && atom.chars().all(may_be_in_local));
    if atoms_are_fine { Ok(lower) } else { Err(InvalidEmailAddress::Local) }
}

/// A dot-atom (RFC 5322), and letters beyond ASCII (RFC 6531). Quoted local parts are not taken: hardly anybody has
/// one, and they are how headers get smuggled in.
fn may_be_in_local(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        !c.is_whitespace() && !c.is_control() && !is_invisible(c)
    }
}

/// Would make two addresses that look the same.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn normal_domain(domain: &str) -> Result<String, InvalidEmailAddress> {
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map_err(|_| InvalidEmailAddress::Domain)?;
    // Without a dot it is a name in somebody's local network; with a number at the end it is an IP address.
    let (_, top) = ascii.rsplit_once('.').ok_or(InvalidEmailAddress::Domain)?;
    if top.bytes().all(|b| b.is_ascii_digit()) { Err(InvalidEmailAddress::Domain) } else { Ok(ascii.into_owned()) }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress([redacted: pii])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> Result<String, InvalidEmailAddress> {
        EmailAddress::parse(text).map(|address| address.as_str().to_owned())
    }

    proptest! {
        #[test]
        fn the_normal_spelling_is_its_own(local in "[^\\pZ\\pC@.\"(),:;<>\\[\\]\\\\]{1,12}", domain in "[a-zA-Zà-öÀ-Öα-ωЀ-я0-9]{1,12}\\.[a-z]{2,5}") {
            if let Ok(once) = normal(&format!("{local}@{domain}")) {
                prop_assert_eq!(normal(&once), Ok(once.clone()));
                prop_assert_eq!(normal(&format!(" {once}\n")), Ok(once.clone()));
            } else {
                // Few of these are no addresses, or this would show nothing.
                prop_assume!(false);
            }
        }

        #[test]
        fn case_makes_no_difference(local in "[a-zß-öα-ω]{1,10}", domain in "[a-z]{1,10}\\.[a-z]{2,5}") {
            // Only letters that come back: the capital of ß is SS.
            let there_and_back = |c: char| c.to_uppercase().next().filter(|upper| upper.to_lowercase().eq([c]));
            let lower = format!("{local}@{domain}");
            let upper: String = lower.chars().map(|c| there_and_back(c).unwrap_or(c)).collect();
            prop_assert_eq!(normal(&upper), normal(&lower));
        }

        #[test]
        fn nothing_makes_it_panic(text in any::<String>()) {
            let _ = normal(&text);
        }
    }

    #[test]
    fn spellings_of_one_address_are_one() {
        for (text, want) in [
            ("ada@example.com", "ada@example.com"),
            ("\t Ada.Lovelace+x@EXAMPLE.com \n", "ada.lovelace+x@example.com"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("ada@BU\u{308}CHER.example", "ada@xn--bcher-kva.example"),
            ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
            ("ada@\u{ff45}xample\u{3002}com", "ada@example.com"),
            ("ΟΔΥΣΣΕΑΣ@example.com", "οδυσσεασ@example.com"),
            ("Zoe\u{308}@example.com", "zoë@example.com"),
            ("\u{212b}sa@example.com", "åsa@example.com"),
        ] {
            assert_eq!(normal(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        use InvalidEmailAddress::{Domain, Local, Shape, TooLong};
        for (text, want) in [
            ("", Shape),
            ("ada", Shape),
            ("a@b@example.com", Shape),
            ("@example.com", Local),
            (".ada@example.com", Local),
            ("ada..l@example.com", Local),
            ("ada @example.com", Local),
            ("\"ada l\"@example.com", Local),
            ("ada\r\nbcc:x@example.com", Local),
            ("ada,bob@example.com", Local),
            ("Ada <ada@example.com>", Local),
            ("a\u{200b}da@example.com", Local),
            ("a\u{202e}da@example.com", Local),
            ("ada@", Domain),
            ("ada@localhost", Domain),
            ("ada@example.com.", Domain),
            ("ada@.example.com", Domain),
            ("ada@exa_mple.com", Domain),
            ("ada@-example.com", Domain),
            ("ada@[127.0.0.1]", Domain),
            ("ada@127.0.0.1", Domain),
            ("ada@exa mple.com", Domain),
            (&format!("{}@example.com", "a".repeat(65)), TooLong),
            (&format!("ada@{}.com", "a".repeat(64)), Domain),
            (&format!("{}@{}.com", "a".repeat(64), "a.".repeat(95).trim_end_matches('.')), TooLong),
        ] {
            assert_eq!(normal(text), Err(want), "{text}");
        }
        let longest = format!("{}@{}.com", "a".repeat(60), ["b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."));
        assert_eq!(longest.len(), 254);
        assert_eq!(normal(&longest), Ok(longest));
    }

    #[test]
    fn it_does_not_show_itself() {
        let address = EmailAddress::parse("ada@example.com").unwrap();
        assert!(!format!("{address:?}").contains("ada"));
        assert_eq!(address.local_part(), "ada");
    }
}
