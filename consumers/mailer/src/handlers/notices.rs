use std::{error::Error, marker::PhantomData, time::Duration};

use async_trait::async_trait;
use schemas::{
    DeactivationReason, Email, Newest, UserDeactivatedV1, UserEmailChangedV1, UserPasswordChangedV1, UserReactivatedV1,
    UserRegistrationRepeatedV1,
};
use worker::{Effect, HandlerError, PerformEffect, Received};

use super::TIMEOUT;
use crate::{Mailer, mail::Mail};

/// Tells somebody of what has happened to their account.
pub struct Notify<E>(Mailer, PhantomData<fn(E)>);

/// An event that somebody is told of.
pub trait IsTold: Newest {
    const HANDLER: &'static str;
    const READS: &'static [&'static str];

    fn to(&self) -> &Email;

    fn mail(&self) -> Mail;
}

impl<E> Notify<E> {
    pub fn by(mailer: &Mailer) -> Self {
        Self(mailer.clone(), PhantomData)
    }
}

#[async_trait]
impl<E: IsTold> PerformEffect for Notify<E> {
    type Event = E;

    const NAME: &'static str = E::HANDLER;
    const READS: &'static [&'static str] = E::READS;

    async fn perform(&self, received: &Received<'_, E>) -> Result<Effect, HandlerError> {
        self.0.notify(received.event.mail(), received.event.to(), received.key).await
    }

    fn timeout(&self) -> Option<Duration> {
        Some(TIMEOUT)
    }

    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.probe().await
    }
}

impl IsTold for UserEmailChangedV1 {
    const HANDLER: &'static str = "notify_of_changed_address";
    const READS: &'static [&'static str] = &["/previousEmail"];

    /// The address until now: if it wasn't the user who changed it, this is the one that they still read.
    fn to(&self) -> &Email {
        &self.previous_email
    }

    fn mail(&self) -> Mail {
        Mail::AddressChanged
    }
}

impl IsTold for UserPasswordChangedV1 {
    const HANDLER: &'static str = "notify_of_changed_password";
    const READS: &'static [&'static str] = &["/email"];

    fn to(&self) -> &Email {
        &self.email
    }

    fn mail(&self) -> Mail {
        Mail::PasswordChanged
    }
}

impl IsTold for UserRegistrationRepeatedV1 {
    const HANDLER: &'static str = "notify_of_repeated_registration";
    const READS: &'static [&'static str] = &["/email"];

    fn to(&self) -> &Email {
        &self.email
    }

    fn mail(&self) -> Mail {
        Mail::RegistrationRepeated
    }
}

impl IsTold for UserDeactivatedV1 {
    const HANDLER: &'static str = "notify_of_deactivation";
    const READS: &'static [&'static str] = &["/email", "/reason"];

    fn to(&self) -> &Email {
        &self.email
    }

    fn mail(&self) -> Mail {
        match self.reason {
            DeactivationReason::OwnRequest => Mail::DeactivatedOnRequest,
            DeactivationReason::AdminDecision => Mail::DeactivatedByAdmin,
            DeactivationReason::Other(_) => Mail::Deactivated,
        }
    }
}

impl IsTold for UserReactivatedV1 {
    const HANDLER: &'static str = "notify_of_reactivation";
    const READS: &'static [&'static str] = &["/email"];

    fn to(&self) -> &Email {
        &self.email
    }

    fn mail(&self) -> Mail {
        Mail::Reactivated
    }
}
