//! Where links lead. Only settings say so, never an event: a link that somebody else could choose would carry the token
//! to them.

use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

/// Pages below the base that settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    base: Url,
}

const VERIFY_EMAIL: &str = "verify-email";
const RESET_PASSWORD: &str = "reset-password";
const FORGOT_PASSWORD: &str = "forgot-password";

impl Links {
    /// `None` where it is no address of pages: it has a login, a query or a fragment, or isn't HTTP.
    pub fn below(mut base: Url) -> Option<Self> {
        let is_page = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && (base.username(), base.password(), base.query(), base.fragment()) == ("", None, None, None);
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        is_page.then_some(Self { base })
    }

    pub(crate) fn verify_email(&self, token: &SecretString) -> Url {
        self.with_token(VERIFY_EMAIL, token)
    }

    pub(crate) fn reset_password(&self, token: &SecretString) -> Url {
        self.with_token(RESET_PASSWORD, token)
    }

    pub(crate) fn forgot_password(&self) -> Url {
        self.page(FORGOT_PASSWORD)
    }

    pub(crate) fn home(&self) -> Url {
        self.base.clone()
    }

    fn page(&self, name: &str) -> Url {
        self.base.join(name).expect("a word is a path")
    }

    /// The token goes after `#token=`. A browser keeps that part to itself: it is in no request, so in no log of a server
    /// or proxy and in no `Referer`, and a scanner that fetches the page spends nothing. The page reads it and posts it.
    fn with_token(&self, page: &str, token: &SecretString) -> Url {
        let mut url = self.page(page);
        let token: String = form_urlencoded::byte_serialize(token.expose_secret().as_bytes()).collect();
        url.set_fragment(Some(&format!("token={token}")));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(base: &str) -> Option<Links> {
        Links::below(base.parse().unwrap())
    }

    #[test]
    fn pages_are_below_the_base_and_the_token_is_in_no_request() {
        for base in ["https://shop.example.com/app", "https://shop.example.com/app/"] {
            let links = links(base).unwrap();
            assert_eq!(links.home().as_str(), "https://shop.example.com/app/");
            assert_eq!(links.forgot_password().as_str(), "https://shop.example.com/app/forgot-password");
            let link = links.verify_email(&"evt_a-b_c".into());
            assert_eq!(link.as_str(), "https://shop.example.com/app/verify-email#token=evt_a-b_c");
            let link = links.reset_password(&"a b&c#d=é\">".into());
            assert_eq!(link.as_str(), "https://shop.example.com/app/reset-password#token=a+b%26c%23d%3D%C3%A9%22%3E");
            assert_eq!((link.query(), link.path()), (None, "/app/reset-password"));
        }
    }

    #[test]
    fn what_is_no_address_of_pages_is_refused() {
        for wrong in [
            "ftp://shop.example.com",
            "mailto:ada@example.com",
            "javascript:alert(1)",
            "https://ada@shop.example.com",
            "https://:hunter2@shop.example.com",
            "https://shop.example.com?a=b",
            "https://shop.example.com#a",
        ] {
            assert_eq!(links(wrong), None, "{wrong}");
        }
    }
}
