//! What fields hold: types that accept what their JSON Schema accepts, and nothing else.
//!
//! A set of words that a reader must act on (`AccountStatus`, `ProductStatus`) is closed: nobody can act rightly on a
//! word that they don't know, so adding one makes a new version. A set that only tells (`DeactivationReason`), or that
//! somebody else keeps (roles, currencies, locales), is open: any word of the right shape is read and kept as it is.
//!
//! Every text and every list has a maximum, so that the largest event there can be fits into a message. No text may
//! hold U+0000, which no database column can hold. None of the errors quotes the value that it refuses.

mod account_status;
mod deactivation_reason;
mod email;
mod money;
mod optional;
mod roles;
mod scalar;
mod text;
mod whole_number;

#[cfg(test)]
mod tests;

pub use account_status::AccountStatus;
pub use deactivation_reason::{DeactivationReason, ReasonCode};
pub use email::{Email, InvalidEmail};
pub use money::{Currency, MinorUnits, Price};
pub use optional::Optional;
pub use roles::{InvalidRoles, Role, Roles};
pub(crate) use scalar::AnyOffset;
pub use scalar::{Id, Instant};
pub(crate) use text::text;
pub use text::{DisplayName, InvalidText, Locale, ProductDescription, ProductName, SealedToken, ServiceName, Sku};
pub(crate) use whole_number::whole_number;
pub use whole_number::{InvalidWholeNumber, TokenVersion};
