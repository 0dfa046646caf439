use std::fmt;

/// One setting that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {held}, should be {should_be}")]
pub struct SettingError {
    /// The variable's name, and the parameter's where the value is a URL that carries some.
    place: String,
    held: Held,
    should_be: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Nothing,
    Shown(String),
    Hidden,
}

/// Everything that is wrong with the settings of a process; never empty when it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct SettingErrors(Vec<SettingError>);

const LONGEST_SHOWN: usize = 80;

impl SettingError {
    pub fn unset(variable: &str, should_be: &str) -> Self {
        Self { place: variable.to_owned(), held: Held::Nothing, should_be: should_be.to_owned() }
    }

    pub fn wrong(variable: &str, value: &str, should_be: &str) -> Self {
        let mut shown: String = value.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect();
        if value.chars().nth(LONGEST_SHOWN).is_some() {
            shown.push('…');
        }
        Self { place: variable.to_owned(), held: Held::Shown(shown), should_be: should_be.to_owned() }
    }

    /// For a value that is secret or can't be shown.
    pub fn hidden(variable: &str, should_be: &str) -> Self {
        Self { place: variable.to_owned(), held: Held::Hidden, should_be: should_be.to_owned() }
    }

    /// Says that it is this query parameter of the URL which is wrong.
    #[must_use]
    pub fn in_parameter(mut self, parameter: &str) -> Self {
        self.place = format!("{}: the parameter `{parameter}`", self.place);
        self
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("is not set"),
            Self::Shown(value) => write!(f, "is `{value}`"),
            Self::Hidden => f.write_str("holds a value that is not shown"),
        }
    }
}

impl SettingErrors {
    /// Takes a result apart: the value, or one more thing to report.
    pub fn keep<T, E: Into<Self>>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                for error in errors.into().0 {
                    // Two readers may share a variable, such as APP_ENV.
                    if !self.0.contains(&error) {
                        self.0.push(error);
                    }
                }
                None
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &SettingError> {
        self.0.iter()
    }
}

impl From<SettingError> for SettingErrors {
    fn from(error: SettingError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => one.fmt(f),
            several => {
                write!(f, "{} settings are wrong:", several.len())?;
                several.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}
