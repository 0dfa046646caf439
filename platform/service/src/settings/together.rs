use super::SettingErrors;

/// A tuple of results of reading settings.
pub trait Together {
    type Values;

    fn together(self) -> Result<Self::Values, SettingErrors>;
}

/// All the values, or everything that is wrong with any of them.
pub fn all<T: Together>(results: T) -> Result<T::Values, SettingErrors> {
    results.together()
}

macro_rules! tuple {
    ($($value:ident $error:ident),+) => {
        impl<$($value, $error: Into<SettingErrors>),+> Together for ($(Result<$value, $error>,)+) {
            type Values = ($($value,)+);

            #[expect(non_snake_case, reason = "a type parameter's name serves as its value's")]
            fn together(self) -> Result<Self::Values, SettingErrors> {
                let ($($value,)+) = self;
                let mut wrong = SettingErrors::default();
                $(let $value = wrong.keep($value);)+
                match ($($value,)+) {
                    ($(Some($value),)+) => Ok(($($value,)+)),
                    _ => Err(wrong),
                }
            }
        }
    };
}

tuple!(A AE, B BE);
tuple!(A AE, B BE, C CE);
tuple!(A AE, B BE, C CE, D DE);
tuple!(A AE, B BE, C CE, D DE, E EE);
tuple!(A AE, B BE, C CE, D DE, E EE, F FE);
tuple!(A AE, B BE, C CE, D DE, E EE, F FE, G GE);
tuple!(A AE, B BE, C CE, D DE, E EE, F FE, G GE, H HE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{AppEnv, Env};

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let env = Env::of([("APP_ENV", "live"), ("PERMITS", "many"), ("SIZE", "3")]);
        let nested = || all((AppEnv::from_env(&env), env.number_or("PERMITS", 1, 1..=9)));
        let error =
            all((nested(), AppEnv::from_env(&env), env.required("QUEUE", "a name"), env.number_or("SIZE", 1, 1..=9)));
        assert_eq!(
            error.unwrap_err().to_string(),
            "3 settings are wrong:\n  \
             APP_ENV is `live`, should be development, staging or production\n  \
             PERMITS is `many`, should be a whole number from 1 to 9\n  \
             QUEUE is not set, should be a name"
        );
        assert_eq!(all((env.number_or("SIZE", 1, 1..=9), env.optional("QUEUE"))), Ok((3, None)));
    }
}
