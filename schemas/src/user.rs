//! Events about users. What a service must keep true about an account, and what the mailer must send.

mod created;
mod deactivated;
mod deleted;
mod email_changed;
mod email_verification_requested;
mod email_verified;
mod erasure_completed;
mod password_changed;
mod password_reset_requested;
mod reactivated;
mod registration_repeated;
mod roles_changed;
mod sessions_revoked;

pub use created::{UserCreatedV1, UserCreatedV2};
pub use deactivated::UserDeactivatedV1;
pub use deleted::UserDeletedV1;
pub use email_changed::UserEmailChangedV1;
pub use email_verification_requested::UserEmailVerificationRequestedV1;
pub use email_verified::UserEmailVerifiedV1;
pub use erasure_completed::UserErasureCompletedV1;
pub use password_changed::UserPasswordChangedV1;
pub use password_reset_requested::UserPasswordResetRequestedV1;
pub use reactivated::UserReactivatedV1;
pub use registration_repeated::UserRegistrationRepeatedV1;
pub use roles_changed::UserRolesChangedV1;
pub use sessions_revoked::UserSessionsRevokedV1;
