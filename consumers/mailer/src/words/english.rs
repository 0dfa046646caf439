use time::macros::format_description;

use super::{Frame, Words};
use crate::mail::Mail;

pub const FRAME: Frame = Frame {
    greeting: "Hello,",
    valid_until: "The link is valid until",
    as_text: "If there is no button to press, open this address in your browser:",
    closing: "This message was written by a program.",
    time: format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC"),
};

pub fn words(mail: Mail) -> Words {
    match mail {
        // The same event asks for it when somebody registers and when somebody wants to change their address.
        Mail::VerifyAddress => Words {
            subject: "Please confirm your address",
            before: &["This address was given for an account with us. Please confirm that it is yours."],
            action: "Confirm this address",
            after: &["If it wasn't you who gave it, you need do nothing: without your confirmation it is not used."],
        },
        Mail::ResetPassword => Words {
            subject: "Set a new password",
            before: &["Somebody asked to set a new password for your account. If that was you, set it here."],
            action: "Set a new password",
            after: &["If it wasn't you, you need do nothing: your password stays as it is."],
        },
        Mail::AddressChanged => Words {
            subject: "Your address was changed",
            before: &["The address of your account was changed. From now on we write to the new one, not to this one."],
            action: "Go to our pages",
            after: &["If it wasn't you, somebody may have got into your account. Please tell us at once."],
        },
        Mail::PasswordChanged => Words {
            subject: "Your password was changed",
            before: &[
                "The password of your account was changed. Other devices that were signed in have to sign in again.",
                "If it wasn't you, set a new password at once.",
            ],
            action: "Set a new password",
            after: &["If it was you, you need do nothing."],
        },
        // Somebody registered with the address, or wanted to change theirs to it.
        Mail::RegistrationRepeated => Words {
            subject: "You have an account with us already",
            before: &[
                "Somebody, perhaps you, wanted to use this address for an account. It is in use for yours, so nothing was \
                 changed.",
                "If it was you, sign in as before. If you don't know your password any more, set a new one.",
            ],
            action: "Set a new password",
            after: &["If it wasn't you, you need do nothing. Nobody was told that you have an account."],
        },
        Mail::DeactivatedOnRequest => Words {
            subject: "Your account was deactivated",
            before: &["Your account was deactivated, as you asked. It can't be used any more, and its data is kept."],
            action: "Go to our pages",
            after: &["If it wasn't you who asked, or if you want it back, please tell us."],
        },
        Mail::DeactivatedByAdmin => Words {
            subject: "Your account was deactivated",
            before: &["We have deactivated your account. It can't be used any more, and its data is kept."],
            action: "Go to our pages",
            after: &["If you think that this is a mistake, please tell us."],
        },
        Mail::Deactivated => Words {
            subject: "Your account was deactivated",
            before: &["Your account was deactivated. It can't be used any more, and its data is kept."],
            action: "Go to our pages",
            after: &["If you didn't expect this, please tell us."],
        },
        Mail::Reactivated => Words {
            subject: "Your account can be used again",
            before: &["Your account was deactivated, and can be used again as before."],
            action: "Go to our pages",
            after: &["If you didn't expect this, please tell us."],
        },
    }
}
