//! What the fuzzer tries as a configuration file, and what must hold for each.

use std::ffi::OsString;

use crate::cli::{Command, Usage};

const PATH: &str = "/etc/a.conf";

fn read(bytes: &[u8], more: &[&str]) -> Result<Command, Usage> {
    let words = ["serve", "--config", PATH].iter().chain(more).map(OsString::from);
    Command::read(words, &|_| None, &|_| Ok(bytes.to_vec()))
}

/// What is wrong with a file, and what comes of it.
fn check(bytes: &[u8]) -> (Vec<String>, String) {
    match read(bytes, &["--check"]) {
        Ok(Command::Check(checked)) => {
            // What remembers the text is another one for another text.
            let settings = checked.settings.map(|settings| {
                let configuration = settings.configuration.map(|file| (file.path, file.given));
                format!("{configuration:?} {:?}", crate::serve::ServeSettings { configuration: None, ..*settings })
            });
            (checked.wrong, settings.unwrap_or_default())
        }
        other => panic!("a check tells what is wrong, and not {other:?}"),
    }
}

/// One try. It panics if something does not hold.
pub fn configuration(bytes: &[u8]) {
    let (wrong, settings) = check(bytes);
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    for (nth, sentence) in wrong.iter().enumerate() {
        assert!(
            !sentence.chars().any(|letter| letter.is_control() && letter != '\t'),
            "what is odd reaches a terminal: {sentence:?}"
        );
        assert!(sentence.len() < 1000, "a whole file is quoted: {sentence}");
        let line = sentence.strip_prefix("/etc/a.conf:").and_then(|rest| rest.split_once(": ")).map(|(line, _)| line);
        match line {
            Some(line) => assert!(line.parse::<usize>().is_ok_and(|line| (1..=lines).contains(&line)), "{sentence}"),
            None => assert!(nth == 20 && sentence.starts_with("and "), "a sentence without its line: {sentence}"),
        }
    }
    assert!(wrong.len() <= 21, "more than anybody reads");
    assert!(wrong.is_empty() != settings.is_empty(), "it is good or it is not");
    match read(bytes, &[]) {
        Ok(Command::Serve(settings)) => {
            assert!(wrong.is_empty(), "a check says no, and a start says yes: {wrong:?}");
            let text = settings.configuration.expect("there is a file").text;
            assert_eq!(text.as_bytes(), bytes, "the text is kept, to be read again");
        }
        Err(usage) => assert_eq!(usage.0, wrong.join("\n"), "a start says what a check says"),
        other => panic!("{other:?}"),
    }
    if wrong.is_empty() {
        let text = String::from_utf8(bytes.to_vec()).expect("it was read");
        // The end of a line is written in one way or another, and the last one may have none.
        let unix = text.replace("\r\n", "\n");
        for same in [unix.clone(), unix.replace('\n', "\r\n"), format!("{unix}\n# the end")] {
            assert_eq!(check(same.as_bytes()), (Vec::new(), settings.clone()), "{text:?} is not as {same:?}");
        }
    }
}

/// The corpus in `fuzz/corpus/`, so that what was once found stays mended.
#[test]
fn the_corpus_is_read() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/configuration");
    let mut read = 0;
    for entry in std::fs::read_dir(corpus).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        println!("{}", path.display()); // the last one, if it fails
        configuration(&std::fs::read(&path).expect("it can be read"));
        read += 1;
    }
    assert!(read >= 10, "{read}");
}
