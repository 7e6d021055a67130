//! What the documentation tells to type: every command line of `skein` is one that the program takes, and the Rust example is the
//! one that the crate's documentation compiles.

use std::{fs, path::Path, process::Command};

use skein_tests::{process::skein_binary, workspace_folder};

/// Where the part of a line ends that `skein` itself sees.
const ENDS: [&str; 6] = [" #", " &", " |", " >", " 2>", ";"];
/// There are that many at least: fewer were found wrongly.
const COMMANDS_MIN: usize = 40;

fn markdown(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            markdown(&path, into);
        } else if path.extension().is_some_and(|end| end == "md") {
            into.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The command lines that begin with `skein`, in the shell blocks of a page.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let mut block = None;
    let mut commands = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(language) = line.strip_prefix("```") {
            block = if block.is_some() { None } else { Some(language) };
        } else if block == Some("sh") && line.starts_with("skein ") {
            commands.extend(line.split(" && ").filter_map(command));
        }
    }
    commands
}

fn command(line: &str) -> Option<String> {
    let mut line = line.trim().to_owned();
    // What a reader puts in: an id is what every such place takes.
    while let Some((start, end)) = line.find('<').zip(line.find('>')).filter(|(start, end)| start < end) {
        line.replace_range(start..=end, "0192f3c8-7a5e-7c31-b0d4-5e8f1a2b3c4d");
    }
    let end = ENDS.iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
    let line = line[..end].trim().trim_end_matches('…').to_owned();
    line.starts_with("skein ").then_some(line)
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let mut pages = Vec::new();
    markdown(&workspace_folder().join("docs"), &mut pages);
    let binary = skein_binary().unwrap();
    let (mut count, mut refused) = (0, Vec::new());
    for (page, text) in pages {
        for command in commands(&text) {
            count += 1;
            // The help stands in for the doing; arguments before it are read, and refused, all the same.
            let words = command.strip_prefix("skein").unwrap_or_default();
            let shell = format!("exec \"$0\"{words} --help");
            let output = Command::new("sh").arg("-c").arg(shell).arg(&binary).output().unwrap();
            if !output.status.success() {
                let why =
                    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
                refused.push(format!("{page}: {command}: {why}"));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(count >= COMMANDS_MIN, "only {count} commands were found");
}

#[test]
fn the_rust_example_is_the_compiled_one() {
    let library = fs::read_to_string(workspace_folder().join("producer-lib/src/lib.rs")).unwrap();
    let compiled = library.split("//! ```no_run\n").nth(1).unwrap().split("//! ```").next().unwrap();
    let shown =
        compiled.lines().map(|line| line.trim_start_matches("//!")).filter(|line| !line.starts_with(" # "));
    let shown: String = shown.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
    let guide = fs::read_to_string(workspace_folder().join("docs/guide/producers.md")).unwrap();
    assert!(guide.contains(&format!("```rust\n{shown}```")), "the guide's example should be:\n{shown}");
}

#[test]
fn commands_are_found_as_they_are_written() {
    let page = "```sh\nskein a --b <x y> \\\n  --c d | grep e   # f\nls && skein g\nskein h && skein i 2> j\n```\nskein k\n";
    let id = "0192f3c8-7a5e-7c31-b0d4-5e8f1a2b3c4d";
    assert_eq!(
        commands(page),
        [format!("skein a --b {id}    --c d"), "skein h".to_owned(), "skein i".to_owned()]
    );
}
