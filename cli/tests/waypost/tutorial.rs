//! The commands of `docs/tutorial/README.md`, run one after another.

use std::path::Path;

use crate::run;

/// The lines of its shell blocks, without their comments.
fn commands() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial/README.md");
    let text = std::fs::read_to_string(file).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let lines = blocks.flat_map(str::lines).map(|line| line.split(" #").next().unwrap().trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

#[tokio::test]
async fn the_commands_of_the_tutorial_succeed_where_nothing_is_wrong() {
    let bus = fixtures::embedded_bus().await;
    let environment: Vec<_> = bus.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let commands = commands();
    assert!(commands.len() > 3, "{commands:?}");
    for command in commands {
        let words: Vec<_> = command.split_whitespace().collect();
        let ["waypost", arguments @ ..] = &words[..] else { panic!("`{command}` can't be run here") };
        let (code, stdout, stderr) = run(arguments, &environment).await;
        assert_eq!(code, 0, "{command}: {stdout}{stderr}");
    }
}
