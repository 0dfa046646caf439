//! What several requests have.

use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use uuid::Uuid;

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The `next` of the page before.
    pub cursor: Option<Uuid>,
    /// From 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200, example = 50)]
    pub limit: Option<u16>,
}

/// A field that is there, so that null is not taken for one that is not.
pub(super) fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
