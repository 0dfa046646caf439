//! Points in time, as people type and read them: `2026-11-22T12:00:00Z`, or how long ago.

use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

const SHOULD_BE: &str =
    "should be a time such as 2026-11-22T12:00:00Z, or how long ago in s, m, h or d, such as 90s, 30m, 2h or 3d";

/// Reads RFC 3339, or a whole number of seconds, minutes, hours or days before `now`. An error says what the text should
/// be and doesn't repeat it: whoever asked knows which field it was for.
pub fn parse(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    match ago(text) {
        Some(ago) => now.checked_sub(ago).ok_or_else(|| format!("is before the year -9999; {SHOULD_BE}")),
        None => OffsetDateTime::parse(text, &Rfc3339).map_err(|_| SHOULD_BE.to_owned()),
    }
}

fn ago(text: &str) -> Option<Duration> {
    let (at, unit) = text.char_indices().next_back()?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let number = &text[..at];
    // Not what else `parse` takes, such as a sign.
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<i64>().ok()?.checked_mul(seconds).map(Duration::seconds)
}

/// As tables show it: in UTC, to the second, in 20 characters.
pub fn shown(at: OffsetDateTime) -> String {
    let seconds = at.to_offset(UtcOffset::UTC).truncate_to_second();
    // Only a year that RFC 3339 has no digits for fails.
    seconds.format(&Rfc3339).unwrap_or_else(|_| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    #[test]
    fn a_number_with_a_unit_is_that_long_ago() {
        for (text, expected) in [
            ("0s", NOON),
            ("90s", datetime!(2026-11-22 11:58:30 UTC)),
            ("30m", datetime!(2026-11-22 11:30 UTC)),
            ("2h", datetime!(2026-11-22 10:00 UTC)),
            ("3d", datetime!(2026-11-19 12:00 UTC)),
        ] {
            assert_eq!(parse(text, NOON), Ok(expected), "{text}");
        }
    }

    #[test]
    fn rfc_3339_is_itself_in_any_offset_whatever_now_is() {
        for text in ["2026-11-20T08:30:00Z", "2026-11-20T10:30:00+02:00", "2026-11-20T08:30:00.000Z"] {
            assert_eq!(parse(text, NOON), Ok(datetime!(2026-11-20 08:30 UTC)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_told_what_it_should_be() {
        let wrong = [
            "",
            "m",
            "30",
            "-30m",
            "+30m",
            "3.5h",
            "30 m",
            "30M",
            "2w",
            "m30",
            "yesterday",
            "2026-11-20",
            "2026-11-20T08:30:00",
            "2026-13-20T08:30:00Z",
            "30ä",
            "99999999999999999999d",
            "106751991167301d",
        ];
        for text in wrong {
            let error = parse(text, NOON).unwrap_err();
            assert!(
                error.contains("should be a time such as 2026-11-22T12:00:00Z, or how long ago"),
                "{text}: {error}"
            );
        }
        assert!(parse("99999999d", NOON).unwrap_err().starts_with("is before the year -9999"));
    }

    #[test]
    fn times_are_shown_in_utc_to_the_second() {
        assert_eq!(shown(datetime!(2026-11-22 14:00:07.9 +2)), "2026-11-22T12:00:07Z");
    }
}
