/// What a mail says; each has its words in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mail {
    VerifyAddress,
    ResetPassword,
    AddressChanged,
    PasswordChanged,
    RegistrationRepeated,
    DeactivatedOnRequest,
    DeactivatedByAdmin,
    Deactivated,
    Reactivated,
}

impl Mail {
    #[cfg(test)]
    pub const ALL: [Self; 9] = [
        Self::VerifyAddress,
        Self::ResetPassword,
        Self::AddressChanged,
        Self::PasswordChanged,
        Self::RegistrationRepeated,
        Self::DeactivatedOnRequest,
        Self::DeactivatedByAdmin,
        Self::Deactivated,
        Self::Reactivated,
    ];

    /// As metrics and logs call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyAddress => "verification",
            Self::ResetPassword => "password-reset",
            Self::AddressChanged => "address-changed",
            Self::PasswordChanged => "password-changed",
            Self::RegistrationRepeated => "registration-repeated",
            Self::DeactivatedOnRequest | Self::DeactivatedByAdmin | Self::Deactivated => "deactivated",
            Self::Reactivated => "reactivated",
        }
    }
}
