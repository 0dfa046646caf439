//! What a sealed secret is for. It is part of what a secret is sealed to, so one that was sealed for a harmless purpose
//! can't be passed off as one for another.

/// Shows that an address is its user's.
pub const EMAIL_VERIFICATION: &str = "email-verification";

/// Sets a new password.
pub const PASSWORD_RESET: &str = "password-reset";
