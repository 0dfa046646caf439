//! One handler for each event. They differ in what they read, and share how it is sent.

mod links;
mod notices;

use schemas::{
    UserDeactivatedV1, UserEmailChangedV1, UserEmailVerificationRequestedV1, UserPasswordChangedV1,
    UserPasswordResetRequestedV1, UserReactivatedV1, UserRegistrationRepeatedV1,
};
use std::time::Duration;
use worker::Consumer;

use crate::{Mailer, NAME};
use links::SendLink;
use notices::Notify;

/// The events that mailer listens to, and what it does with each.
pub fn consumer(mailer: &Mailer) -> Consumer {
    Consumer::named(NAME)
        .perform(SendLink::<UserEmailVerificationRequestedV1>::by(mailer))
        .perform(SendLink::<UserPasswordResetRequestedV1>::by(mailer))
        .perform(Notify::<UserEmailChangedV1>::by(mailer))
        .perform(Notify::<UserPasswordChangedV1>::by(mailer))
        .perform(Notify::<UserRegistrationRepeatedV1>::by(mailer))
        .perform(Notify::<UserDeactivatedV1>::by(mailer))
        .perform(Notify::<UserReactivatedV1>::by(mailer))
        .build()
}

/// Longer than the transport takes to give up, since only the transport can say what it was that took so long.
const TIMEOUT: Duration = Duration::from_secs(120);
