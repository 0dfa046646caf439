use url::Url;

use crate::settings::{AppEnv, Env, SettingError, SettingErrors, all};

/// Between whom access tokens pass: the same in whoever signs and whoever checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// `AUTH_ISSUER`: what access tokens say of who signed them.
    pub issuer: String,
    /// `AUTH_AUDIENCE`: whom they are for.
    pub audience: String,
}

impl Parties {
    pub fn from_env(env: &Env) -> Result<Self, SettingErrors> {
        let (issuer, audience) = all((issuer(env), env.optional("AUTH_AUDIENCE")))?;
        Ok(Self { issuer, audience: audience.unwrap_or("waypost").to_owned() })
    }
}

fn issuer(env: &Env) -> Result<String, SettingErrors> {
    const NAME: &str = "AUTH_ISSUER";
    let should_be = "the URL that others know auth-service by, such as https://auth.example.com";
    let (app_env, issuer) = all((AppEnv::from_env(env), env.optional(NAME)))?;
    let Some(issuer) = issuer else {
        return match app_env {
            AppEnv::Development => Ok("http://127.0.0.1:3001".to_owned()),
            _ => Err(SettingError::unset(NAME, should_be).into()),
        };
    };
    let is_url = Url::parse(issuer).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_url { Ok(issuer.to_owned()) } else { Err(SettingError::wrong(NAME, issuer, should_be).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<(String, String), String> {
        let parties = Parties::from_env(&Env::of(variables.iter().copied()));
        parties.map(|parties| (parties.issuer, parties.audience)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_issuer_has_to_be_named_but_in_development() {
        let ours = |issuer: &str, audience: &str| Ok((issuer.to_owned(), audience.to_owned()));
        assert_eq!(read(&[]), ours("http://127.0.0.1:3001", "waypost"));
        let url = "https://auth.example.com";
        let named = [("APP_ENV", "production"), ("AUTH_ISSUER", url), ("AUTH_AUDIENCE", "shop")];
        assert_eq!(read(&named), ours(url, "shop"));
        let unset = read(&[("APP_ENV", "staging")]).unwrap_err();
        assert!(unset.starts_with("AUTH_ISSUER is not set, should be the URL that others"), "{unset}");
        for wrong in ["auth.example.com", "ftp://auth.example.com", "http:///"] {
            let error = read(&[("AUTH_ISSUER", wrong)]).unwrap_err();
            assert!(error.starts_with(&format!("AUTH_ISSUER is `{wrong}`, should be the URL")), "{error}");
        }
    }
}
