use std::fs;

use crate::run;

const COMMANDS: [&str; 3] = ["event-log", "outbox", "dlq"];

#[tokio::test]
async fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, stdout, stderr) = run(&["completions", shell], &[]).await;
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        for command in COMMANDS.into_iter().chain(["all-failed", "since"]) {
            assert!(stdout.contains(command), "{command} is not in what {shell} gets");
        }
    }
    let (code, stdout, stderr) = run(&["completions", "csh"], &[]).await;
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("csh") && stderr.contains("bash"), "{stderr}");
}

#[tokio::test]
async fn manual_pages_are_written_for_every_command_or_printed_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let (code, stdout, stderr) = run(&["man", "--to", pages.to_str().unwrap()], &[]).await;
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    for name in
        ["waypost.1", "waypost-event-log.1", "waypost-event-log-find.1", "waypost-outbox-retry.1", "waypost-man.1"]
    {
        assert!(pages.join(name).is_file(), "{name}");
    }
    let page = fs::read_to_string(pages.join("waypost-outbox-retry.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("waypost outbox retry \\-\\-all\\-failed \\-\\-execute"), "{page}");

    let (code, stdout, _) = run(&["man"], &[]).await;
    assert_eq!(code, 0);
    assert!(stdout.contains(".SH NAME") && stdout.contains("waypost\\-outbox(1)"), "{stdout}");
}

#[tokio::test]
async fn a_folder_that_can_not_be_written_to_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let (code, stdout, stderr) = run(&["man", "--to", path], &[]).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains(&format!("could not write manual pages into {path}")), "{stderr}");
}
