use utoipa::{
    Modify, openapi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

/// How a description says that an operation needs an access token: `security(("accessToken" = []))`.
#[derive(Debug, Clone, Copy)]
pub struct AccessTokenScheme;

impl Modify for AccessTokenScheme {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("accessToken", SecurityScheme::Http(bearer));
    }
}
