//! What mails say, as data: one set of words for each mail in each language. How it looks is the templates' business.

mod english;
mod german;

use schemas::Locale;
use time::{OffsetDateTime, UtcOffset, format_description::StaticFormatDescription};

use crate::mail::Mail;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    German,
}

/// The words of one mail.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    pub subject: &'static str,
    /// Before the link.
    pub before: &'static [&'static str],
    /// What the link does.
    pub action: &'static str,
    /// After it.
    pub after: &'static [&'static str],
}

/// The words that are the same in every mail of a language.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub greeting: &'static str,
    /// Before the time at which a link expires.
    pub valid_until: &'static str,
    /// Before the link as text, for those whose program shows no button.
    pub as_text: &'static str,
    pub closing: &'static str,
    time: StaticFormatDescription,
}

impl Language {
    /// English, where nothing is known or none of ours is preferred.
    pub fn of(locale: Option<&Locale>) -> Self {
        let language = locale.and_then(|locale| locale.as_str().split('-').next());
        if language == Some("de") { Self::German } else { Self::English }
    }

    /// As HTML's `lang` has it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    pub fn words(self, mail: Mail) -> Words {
        match self {
            Self::English => english::words(mail),
            Self::German => german::words(mail),
        }
    }

    pub fn frame(self) -> Frame {
        match self {
            Self::English => english::FRAME,
            Self::German => german::FRAME,
        }
    }
}

impl Frame {
    /// Nobody has said in which zone its reader lives, so it is told in UTC, and says so.
    pub fn time(&self, time: OffsetDateTime) -> String {
        time.to_offset(UtcOffset::UTC).format(self.time).expect("a time has all that is told of it")
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_language_that_we_have_is_spoken_and_english_where_we_do_not() {
        let of = |locale: &str| Language::of(Some(&locale.parse().unwrap()));
        assert_eq!([of("de"), of("de-AT"), of("de-Latn-CH")], [Language::German; 3]);
        assert_eq!([of("en-GB"), of("fr"), of("nds"), Language::of(None)], [Language::English; 4]);
    }

    /// Nothing is left in the other language, and nothing is left out.
    #[test]
    fn every_mail_has_its_own_words_in_every_language() {
        let all = [Language::English, Language::German].map(|language| Mail::ALL.map(|mail| language.words(mail)));
        for (english, german) in all[0].iter().zip(&all[1]) {
            assert_ne!(english.subject, german.subject);
            assert_eq!((english.before.len(), english.after.len()), (german.before.len(), german.after.len()));
            assert!(!english.before.is_empty() && !english.action.is_empty() && !german.action.is_empty());
            assert!(english.before.iter().chain(english.after).all(|text| !german.before.contains(text)));
        }
        for language in &all {
            for (at, words) in language.iter().enumerate() {
                assert!(language[..at].iter().all(|other| other.before != words.before), "{words:?}");
            }
        }
    }

    #[test]
    fn a_time_is_told_as_its_language_writes_it() {
        let time = datetime!(2026-11-06 09:05:59 +2);
        assert_eq!(Language::English.frame().time(time), "6 November 2026, 07:05 UTC");
        assert_eq!(Language::German.frame().time(time), "06.11.2026, 07:05 Uhr (UTC)");
    }
}
