use uuid::Uuid;

/// What a secret is sealed in, and opens in: authenticated, and not part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The id of the event that carries the token, which is a UUID v7 and so its inbox key too.
    pub event_id: Uuid,
    pub user_id: Uuid,
    /// One of [`purpose`](crate::purpose).
    pub purpose: &'a str,
}

const LABEL: &str = "waypost-sealed-token-v1";

impl Context<'_> {
    /// Every part goes after its length, so no two contexts have one encoding.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let parts = [LABEL.as_bytes(), self.event_id.as_bytes(), self.user_id.as_bytes(), self.purpose.as_bytes()];
        let mut encoded = Vec::new();
        for part in parts {
            encoded.extend((part.len() as u64).to_be_bytes());
            encoded.extend(part);
        }
        encoded
    }
}
