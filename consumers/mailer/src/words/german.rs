use time::macros::format_description;

use super::{Frame, Words};
use crate::mail::Mail;

pub const FRAME: Frame = Frame {
    greeting: "Guten Tag,",
    valid_until: "Der Link gilt bis",
    as_text: "Falls keine Schaltfläche zu sehen ist, öffnen Sie bitte diese Adresse im Browser:",
    closing: "Diese Nachricht hat ein Programm geschrieben.",
    time: format_description!("[day].[month].[year], [hour]:[minute] Uhr (UTC)"),
};

pub fn words(mail: Mail) -> Words {
    match mail {
        Mail::VerifyAddress => Words {
            subject: "Bitte bestätigen Sie Ihre Adresse",
            before: &["Diese Adresse wurde für ein Konto bei uns angegeben. Bitte bestätigen Sie, dass es Ihre ist."],
            action: "Adresse bestätigen",
            after: &["Falls nicht Sie sie angegeben haben, ist nichts zu tun: Unbestätigt wird sie nicht verwendet."],
        },
        Mail::ResetPassword => Words {
            subject: "Neues Passwort festlegen",
            before: &["Für Ihr Konto soll ein neues Passwort festgelegt werden. Wenn Sie das wünschen, geht es hier."],
            action: "Neues Passwort festlegen",
            after: &["Falls Sie das nicht wünschen, ist nichts zu tun: Ihr Passwort bleibt, wie es ist."],
        },
        Mail::AddressChanged => Words {
            subject: "Ihre Adresse wurde geändert",
            before: &["Die Adresse Ihres Kontos wurde geändert. Wir schreiben von nun an an die neue, nicht an diese."],
            action: "Zu unseren Seiten",
            after: &[
                "Falls das nicht Sie waren, ist vielleicht jemand in Ihrem Konto. Bitte melden Sie es uns sofort.",
            ],
        },
        Mail::PasswordChanged => Words {
            subject: "Ihr Passwort wurde geändert",
            before: &[
                "Das Passwort Ihres Kontos wurde geändert. Andere angemeldete Geräte müssen sich neu anmelden.",
                "Falls das nicht Sie waren, legen Sie bitte sofort ein neues Passwort fest.",
            ],
            action: "Neues Passwort festlegen",
            after: &["Falls Sie es waren, ist nichts zu tun."],
        },
        Mail::RegistrationRepeated => Words {
            subject: "Sie haben bereits ein Konto bei uns",
            before: &[
                "Jemand, vielleicht Sie, wollte diese Adresse für ein Konto verwenden. Sie gehört schon zu Ihrem, daher \
                 wurde nichts geändert.",
                "Falls Sie es waren, melden Sie sich an wie bisher. Wenn Sie Ihr Passwort nicht mehr wissen, legen Sie \
                 ein neues fest.",
            ],
            action: "Neues Passwort festlegen",
            after: &["Falls nicht, ist nichts zu tun. Niemand hat erfahren, dass Sie ein Konto haben."],
        },
        Mail::DeactivatedOnRequest => Words {
            subject: "Ihr Konto wurde stillgelegt",
            before: &[
                "Ihr Konto wurde stillgelegt, wie Sie es gewünscht haben. Es ist nicht mehr benutzbar; die Daten bleiben.",
            ],
            action: "Zu unseren Seiten",
            after: &["Falls nicht Sie es gewünscht haben, oder falls Sie es zurück möchten, schreiben Sie uns bitte."],
        },
        Mail::DeactivatedByAdmin => Words {
            subject: "Ihr Konto wurde stillgelegt",
            before: &["Wir haben Ihr Konto stillgelegt. Es ist nicht mehr benutzbar; die Daten bleiben."],
            action: "Zu unseren Seiten",
            after: &["Falls Sie das für einen Irrtum halten, schreiben Sie uns bitte."],
        },
        Mail::Deactivated => Words {
            subject: "Ihr Konto wurde stillgelegt",
            before: &["Ihr Konto wurde stillgelegt. Es ist nicht mehr benutzbar; die Daten bleiben."],
            action: "Zu unseren Seiten",
            after: &["Falls Sie das nicht erwartet haben, schreiben Sie uns bitte."],
        },
        Mail::Reactivated => Words {
            subject: "Ihr Konto ist wieder benutzbar",
            before: &["Ihr Konto war stillgelegt und ist wieder benutzbar wie zuvor."],
            action: "Zu unseren Seiten",
            after: &["Falls Sie das nicht erwartet haben, schreiben Sie uns bitte."],
        },
    }
}
