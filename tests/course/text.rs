//! The course's text against what it talks about: code, commands, links.
//!
//! - A piece of Rust follows a line that links to its file, and is a part of that file, word for word.
//! - A diff follows a line with its command in backticks, and is what the command prints.
//! - A transcript begins with its command. Those of `stillthere plan`, which has one answer, are compared.
//! - A link to a file leads to one; a link to a heading leads to one.
//!
//! `STILLTHERE_COURSE=write cargo test --test course text` writes the diffs and the plans anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A fenced block: its language, the line before it that is not empty, and what is in it.
struct Block {
    language: String,
    caption: String,
    text: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages of the course.
pub fn pages() -> Vec<PathBuf> {
    let files = fs::read_dir(root().join("docs/course")).expect("the course has a text");
    let mut pages: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The fenced blocks of a page. One in a list is indented; its indentation is taken off.
fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut caption, mut lines) = (Vec::new(), String::new(), page.lines());
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let Some(language) = line.trim_start().strip_prefix("```") else {
            if !line.trim().is_empty() {
                caption = line.to_string();
            }
            continue;
        };
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let text = inside.map(|line| line.get(indent..).unwrap_or("").to_string() + "\n").collect();
        blocks.push(Block { language: language.to_string(), caption: caption.clone(), text });
    }
    blocks
}

/// The target of the first link in a line.
fn target(line: &str) -> Option<&str> {
    line.split_once("](")?.1.split(')').next()
}

pub fn code_is_that_of_its_file() {
    let mut pieces = 0;
    for page in pages() {
        for block in blocks(&read(&page)).iter().filter(|block| block.language == "rust" || block.language == "c") {
            let of = target(&block.caption).unwrap_or_else(|| panic!("{}: which file? {}", page.display(), block.text));
            let file = read(&page.with_file_name(of.split('#').next().expect("a path")));
            // A piece may have lost the indentation that all of its lines have in the file.
            let found = (0..=8).any(|depth| {
                let indented = block.text.lines().map(|line| match line {
                    "" => "\n".to_string(),
                    line => format!("{}{line}\n", "    ".repeat(depth)),
                });
                format!("\n{file}").contains(&format!("\n{}", indented.collect::<String>()))
            });
            assert!(found, "{}: this is not in {of}:\n{}", page.display(), block.text);
            pieces += 1;
        }
    }
    assert!(pieces > 15, "only {pieces} pieces of code were compared");
}

fn printed(command: &str) -> String {
    let mut shell = Command::new("sh");
    let program = Path::new(env!("CARGO_BIN_EXE_stillthere")).parent().expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let output = shell.args(["-c", command]).current_dir(root()).env("PATH", path).output().expect("there is a shell");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(!said.is_empty(), "{command} prints nothing: {}", String::from_utf8_lossy(&output.stderr));
    said
}

pub fn what_commands_print_is_what_they_print() {
    let writes = std::env::var("STILLTHERE_COURSE").is_ok_and(|word| word == "write");
    let mut compared = 0;
    for page in pages() {
        let mut text = read(&page);
        for block in blocks(&text) {
            let (before, command) = match block.language.as_str() {
                "diff" => (String::new(), block.caption.split('`').nth(1).expect("its command").to_string()),
                "console" => {
                    let first = block.text.lines().next().unwrap_or("");
                    let command = first.strip_prefix("$ ");
                    let command = command.unwrap_or_else(|| panic!("{}: by which command? {first}", page.display()));
                    if !command.starts_with("stillthere plan") {
                        continue;
                    }
                    (format!("{first}\n"), command.to_string())
                }
                _ => continue,
            };
            let wanted = before + &printed(&command);
            compared += 1;
            if block.text != wanted && writes {
                let fence = format!("```{}\n", block.language);
                let place = if block.language == "diff" { text.find(&format!("`{command}`")) } else { Some(0) };
                let (head, tail) = text.split_at(place.expect("its command"));
                text = head.to_string() + &tail.replacen(&(fence.clone() + &block.text), &(fence + &wanted), 1);
                fs::write(&page, &text).expect("the page can be written");
            } else {
                assert!(block.text == wanted, "{}: {command} prints\n{wanted}", page.display());
            }
        }
    }
    assert!(compared >= 6, "only {compared} blocks were compared");
}

/// The name of a heading in a link, as forges and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

pub fn links_lead_somewhere() {
    for page in pages() {
        let text = read(&page);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().expect("a part")) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let path = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(path.exists(), "{}: {link} leads nowhere", page.display());
            let has = |heading| {
                read(&path).lines().any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading)
            };
            assert!(heading.is_none_or(has), "{}: {link}: no such heading", page.display());
        }
    }
    let summary = read(&root().join("docs/course/SUMMARY.md"));
    for page in pages() {
        let name = page.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name} is not in SUMMARY.md");
    }
}

/// A test that the text names is there.
pub fn tests_that_are_named_exist() {
    let main = read(&root().join("tests/course/main.rs"));
    for page in pages() {
        for name in read(&page).split('`').skip(1).step_by(2).filter(|name| name.starts_with("flaw_")) {
            assert!(main.contains(&format!("\"{name}\"")), "{}: there is no test {name}", page.display());
        }
    }
}
