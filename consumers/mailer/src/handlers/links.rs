use std::{error::Error, marker::PhantomData, time::Duration};

use async_trait::async_trait;
use schemas::{Newest, UserEmailVerificationRequestedV1, UserPasswordResetRequestedV1};
use sealing::purpose;
use worker::{Effect, HandlerError, PerformEffect, Received};

use super::TIMEOUT;
use crate::{Mailer, links::Links, mail::Mail, mailer::Requested};

/// Sends the link that an event asks for.
pub struct SendLink<E>(Mailer, PhantomData<fn(E)>);

/// An event that asks for a mail with a link.
pub trait RequestsLink: Newest {
    const HANDLER: &'static str;
    const READS: &'static [&'static str];

    fn requested(&self) -> Requested<'_>;
}

impl<E> SendLink<E> {
    pub fn by(mailer: &Mailer) -> Self {
        Self(mailer.clone(), PhantomData)
    }
}

#[async_trait]
impl<E: RequestsLink> PerformEffect for SendLink<E> {
    type Event = E;

    const NAME: &'static str = E::HANDLER;
    const READS: &'static [&'static str] = E::READS;

    async fn perform(&self, received: &Received<'_, E>) -> Result<Effect, HandlerError> {
        self.0.send_link(received.event.requested(), received.key).await
    }

    fn timeout(&self) -> Option<Duration> {
        Some(TIMEOUT)
    }

    async fn probe(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.probe().await
    }
}

const FIELDS: &[&str] = &["/userId", "/email", "/tokenSealed", "/expiresAt", "/locale"];

impl RequestsLink for UserEmailVerificationRequestedV1 {
    const HANDLER: &'static str = "send_verification_mail";
    const READS: &'static [&'static str] = FIELDS;

    fn requested(&self) -> Requested<'_> {
        let Self { user_id, email, token_sealed, expires_at, locale, .. } = self;
        Requested {
            mail: Mail::VerifyAddress,
            to: email,
            locale: locale.as_ref(),
            token: token_sealed,
            user_id: *user_id,
            purpose: purpose::EMAIL_VERIFICATION,
            expires_at: *expires_at,
            link: Links::verify_email,
        }
    }
}

impl RequestsLink for UserPasswordResetRequestedV1 {
    const HANDLER: &'static str = "send_password_reset_mail";
    const READS: &'static [&'static str] = FIELDS;

    fn requested(&self) -> Requested<'_> {
        let Self { user_id, email, token_sealed, expires_at, locale, .. } = self;
        Requested {
            mail: Mail::ResetPassword,
            to: email,
            locale: locale.as_ref(),
            token: token_sealed,
            user_id: *user_id,
            purpose: purpose::PASSWORD_RESET,
            expires_at: *expires_at,
            link: Links::reset_password,
        }
    }
}
