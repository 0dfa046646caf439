use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use uuid::Uuid;

use crate::problem::{Kind, Problem};

/// An id in a path. What is none is an id of nothing.
#[derive(Debug, Clone, Copy)]
pub struct PathId(Option<Uuid>);

impl PathId {
    pub fn or(self, problem: &Kind) -> Result<Uuid, Problem> {
        self.0.ok_or_else(|| Problem::new(problem))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(Path::<Uuid>::from_request_parts(parts, state).await.ok().map(|Path(id)| id)))
    }
}
