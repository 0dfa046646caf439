use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt::Display,
    ops::RangeInclusive,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::SettingError;

/// The environment as it was when it was read. Clones share the list of what was asked for.
#[derive(Clone)]
pub struct Env {
    variables: BTreeMap<String, OsString>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Env {
    /// This process's own.
    pub fn process() -> Self {
        let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self { variables: named.collect(), asked: Arc::default() }
    }

    /// Made of these variables, for tests.
    pub fn of<N: Into<String>, V: Into<OsString>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self { variables: variables.collect(), asked: Arc::default() }
    }

    /// The names of all variables that were asked for so far, set or not.
    pub fn asked_for(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The trimmed value. A variable that is set to nothing counts as unset: compose files and shells make such ones.
    pub fn optional(&self, name: &str) -> Result<Option<&str>, SettingError> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        let Some(value) = self.variables.get(name) else { return Ok(None) };
        let value = value.to_str().ok_or_else(|| SettingError::hidden(name, "text in UTF-8"))?.trim();
        Ok((!value.is_empty()).then_some(value))
    }

    pub fn required(&self, name: &str, should_be: &str) -> Result<&str, SettingError> {
        self.optional(name)?.ok_or_else(|| SettingError::unset(name, should_be))
    }

    pub fn parsed<T: FromStr>(&self, name: &str, should_be: &str) -> Result<Option<T>, SettingError> {
        let Some(text) = self.optional(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| SettingError::wrong(name, text, should_be))
    }

    pub fn parsed_or<T: FromStr>(&self, name: &str, default: T, should_be: &str) -> Result<T, SettingError> {
        Ok(self.parsed(name, should_be)?.unwrap_or(default))
    }

    pub fn number_or<T>(&self, name: &str, default: T, range: RangeInclusive<T>) -> Result<T, SettingError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.optional(name)? else { return Ok(default) };
        number_within(text, &range).map_err(|should_be| SettingError::wrong(name, text, &should_be))
    }

    /// A time in whole seconds.
    pub fn seconds_or(
        &self,
        name: &str,
        default: Duration,
        range: RangeInclusive<u64>,
    ) -> Result<Duration, SettingError> {
        self.number_or(name, default.as_secs(), range).map(Duration::from_secs)
    }

    /// A time in whole milliseconds.
    pub fn millis_or(
        &self,
        name: &str,
        default: Duration,
        range: RangeInclusive<u64>,
    ) -> Result<Duration, SettingError> {
        self.number_or(name, default.as_millis() as u64, range).map(Duration::from_millis)
    }
}

/// The number, or what the text should have been.
pub(crate) fn number_within<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, os::unix::ffi::OsStringExt};

    use super::*;

    #[test]
    fn an_unset_and_an_empty_variable_are_the_same() {
        let env = Env::of([("EMPTY", " ")]);
        for name in ["EMPTY", "ABSENT"] {
            assert_eq!(env.optional(name), Ok(None));
            assert_eq!(env.number_or(name, 7, 1..=9), Ok(7));
            let error = env.required(name, "the name of a queue").unwrap_err().to_string();
            assert_eq!(error, format!("{name} is not set, should be the name of a queue"));
        }
    }

    #[test]
    fn a_wrong_value_is_shown_with_what_it_should_be() {
        let env = Env::of([("LISTEN", "localhost"), ("PERMITS", "0"), ("GRACE", "1m"), ("LONG", &"x".repeat(500))]);
        let listen = env.parsed::<SocketAddr>("LISTEN", "an address such as 127.0.0.1:3001").unwrap_err();
        assert_eq!(listen.to_string(), "LISTEN is `localhost`, should be an address such as 127.0.0.1:3001");
        let permits = env.number_or("PERMITS", 2, 1..=64).unwrap_err();
        assert_eq!(permits.to_string(), "PERMITS is `0`, should be a whole number from 1 to 64");
        let grace = env.seconds_or("GRACE", Duration::from_secs(30), 1..=600).unwrap_err();
        assert_eq!(grace.to_string(), "GRACE is `1m`, should be a whole number from 1 to 600");
        let long = env.number_or("LONG", 1, 1..=2).unwrap_err().to_string();
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn whatever_was_asked_for_is_known_by_name() {
        let env = Env::of([("LISTEN", "x")]);
        let _ = env.clone().parsed::<SocketAddr>("LISTEN", "an address");
        let _ = env.number_or("PERMITS", 2, 1..=64);
        assert_eq!(env.asked_for(), ["LISTEN", "PERMITS"].map(str::to_owned).into());
    }

    #[test]
    fn what_is_not_text_is_refused_by_name() {
        let env = Env::of([("NAME", OsString::from_vec(vec![0xff, 0xfe]))]);
        let error = env.optional("NAME").unwrap_err();
        assert_eq!(error.to_string(), "NAME holds a value that is not shown, should be text in UTF-8");
    }
}
