use std::{fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::run;

const FIRST: &str = "019ab6a1-3c00-7000-8000-00000000a11c";
const SECOND: &str = "019ab6a2-3c00-7000-8000-00000000a11c";

/// A mail as the mailer writes it to its folder; `link` as it stands in the middle of its text.
fn mail(key: &str, to: &str, subject: &str, link: &str) -> String {
    let boundary = key.replace('-', "");
    let part = |kind: &str, body: &str| {
        format!(
            "--{boundary}\nContent-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n{body}\n"
        )
    };
    let text = part("plain", &format!("Guten Tag,\n\nbest=C3=A4tigen:\n\n{link}\n\nbis morgen.\n\n--=20\nShop"));
    let html = part("html", "<!DOCTYPE html><p>Guten Tag,</p>");
    let head = format!(
        "From: Shop <no-reply@shop.example.com>\nTo: {to}\nSubject: {subject}\n\
         Date: Thu, 26 Nov 2026 07:04:32 +0000\nMessage-ID: <{key}@shop.example.com>\nMIME-Version: 1.0\n\
         Content-Type: multipart/alternative;\n boundary=\"{boundary}\"\n\n"
    );
    format!("{head}{text}{html}--{boundary}--\n").replace('\n', "\r\n")
}

struct Mails(TempDir);

impl Mails {
    fn write() -> Self {
        let mails = Self(tempfile::tempdir().unwrap());
        let link = "https://shop.example.com/verify-email#token=3Devt_a-b_cDEFGHIJKLMNOPQRSTUV=\nWXYZ0123456789+%26x";
        let verification = mail(FIRST, "ada@example.com", "=?utf-8?b?QmVzdMOkdGlnZW4=?=", link);
        for (name, text) in [
            (format!("{FIRST}.eml"), &verification),
            (format!("{FIRST}.2.eml"), &verification),
            (format!("{SECOND}.eml"), &mail(SECOND, "bob@example.com", "Changed", "https://shop.example.com/")),
            ("notes.txt".to_owned(), &"not a mail".to_owned()),
        ] {
            fs::write(mails.folder().join(name), text).unwrap();
        }
        mails
    }

    fn folder(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let environment = [("MAIL_FOLDER", self.0.path().to_str().unwrap())];
        run(&[&["mail"], arguments].concat(), &environment).await
    }
}

#[tokio::test]
async fn mails_are_listed_once_for_each_event_and_by_their_address() {
    let mails = Mails::write();
    let (code, stdout, stderr) = mails.run(&["list"]).await;
    assert_eq!((code, stderr.as_str()), (0, ""));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{stdout}");
    assert!(lines[1].starts_with(FIRST) && lines[1].contains("2026-11-26T07:04:32Z"), "{stdout}");
    assert!(lines[2].starts_with(SECOND), "{stdout}");

    let (code, stdout, _) = mails.run(&["list", "--to", "Ada@example.com", "--json"]).await;
    let listed: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, listed.len()), (0, 1));
    assert_eq!(
        (&listed[0]["id"], &listed[0]["copies"], &listed[0]["subject"]),
        (&FIRST.into(), &2.into(), &"Bestätigen".into())
    );
    assert_eq!(listed[0]["token"], "evt_a-b_cDEFGHIJKLMNOPQRSTUVWXYZ0123456789 &x");

    let (code, stdout, stderr) = mails.run(&["list", "--to", "eve@example.com"]).await;
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(stderr.contains("no such mail is in"), "{stderr}");
}

#[tokio::test]
async fn a_mail_is_shown_whole_or_only_its_link_or_its_token() {
    let mails = Mails::write();
    let (code, stdout, _) = mails.run(&["show", FIRST]).await;
    assert_eq!(code, 0);
    assert!(stdout.starts_with("To: ada@example.com\nDate: 2026-11-26T07:04:32Z\nSubject: Bestätigen\n\nGuten Tag,\n"));
    assert!(stdout.contains("bestätigen:\n"), "{stdout}");
    let link = "https://shop.example.com/verify-email#token=evt_a-b_cDEFGHIJKLMNOPQRSTUVWXYZ0123456789+%26x";
    assert_eq!(mails.run(&["show", FIRST, "--link"]).await.1, format!("{link}\n"));
    let (code, token, _) = mails.run(&["show", FIRST, "--token"]).await;
    assert_eq!((code, token.as_str()), (0, "evt_a-b_cDEFGHIJKLMNOPQRSTUVWXYZ0123456789 &x\n"));
    assert_eq!(mails.run(&["show", SECOND, "--link"]).await.1, "https://shop.example.com/\n");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let mails = Mails::write();
    let (code, stdout, stderr) = mails.run(&["show", SECOND, "--token"]).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("there is no link with a token in this mail"), "{stderr}");
    let (code, _, stderr) = mails.run(&["show", &FIRST.replace('9', "8")]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("no mail of the event 018ab6a1"), "{stderr}");
    fs::write(mails.folder().join(format!("{}.eml", FIRST.replace('9', "7"))), "").unwrap();
    let (code, _, stderr) = mails.run(&["list"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("017ab6a1") && stderr.contains("holds no"), "{stderr}");
    let (code, _, stderr) = run(&["mail", "list"], &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("MAIL_FOLDER is not set, should be the path of a folder"), "{stderr}");
}
