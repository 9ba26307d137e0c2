//! mdoc(7): text and arguments, so that whatever they say, none of it is taken for a macro or an escape.

/// Text with `code` in bold: a line for each sentence, as mdoc wants it.
pub(super) fn text(words: &str) -> String {
    let mut lines = String::new();
    for sentence in sentences(words) {
        for line in wrapped(&sentence) {
            lines += &format!("{}\n", line_of(&line));
        }
    }
    lines
}

/// An argument of a macro.
pub(super) fn argument(word: &str) -> String {
    // The zero-width character keeps a word such as `No` from being called, and a dot from being set apart.
    format!("\"\\&{}\"", escaped(word).replace('"', "\"\""))
}

fn escaped(words: &str) -> String {
    words.replace('\\', "\\e").replace('-', "\\-").replace('\u{d7}', "\\(mu")
}

fn line_of(line: &str) -> String {
    let mut told = String::new();
    for (nth, part) in line.split('`').enumerate() {
        match nth % 2 {
            0 => told += &part.replace('\\', "\\e").replace("--", "\\-\\-").replace('\u{d7}', "\\(mu"),
            _ => told += &format!("\\fB{}\\fR", escaped(part)),
        }
    }
    if told.starts_with(['.', '\'']) { format!("\\&{told}") } else { told }
}

/// A full stop, a space, and what begins a sentence: no sentence of ours has an abbreviation inside it. A sentence may end within
/// `code`, but is not parted there.
fn sentences(words: &str) -> Vec<String> {
    let (mut all, mut one, mut in_code) = (Vec::new(), String::new(), false);
    for next in words.chars() {
        in_code ^= next == '`';
        if next == ' ' && !in_code && one.ends_with('.') && !one.ends_with("..") {
            all.push(std::mem::take(&mut one));
        } else {
            one.push(next);
        }
    }
    all.push(one);
    all
}

/// Lines of 80 characters; `code` stays on one.
fn wrapped(sentence: &str) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    let mut word = String::new();
    for part in sentence.split(' ') {
        word += part;
        if word.matches('`').count() % 2 == 1 {
            word.push(' ');
            continue;
        }
        if !line.is_empty() && line_of(&line).len() + 1 + line_of(&word).len() > 80 {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += &std::mem::take(&mut word);
    }
    line += word.trim_end();
    lines.push(line);
    lines
}

#[test]
fn nothing_is_taken_for_a_macro_or_an_escape() {
    assert_eq!(text("A. `--b c` d."), "A.\n\\fB\\-\\-b c\\fR d.\n");
    assert_eq!(text("'NOOP\\r\\n'"), "\\&'NOOP\\er\\en'\n");
    assert_eq!(text(".conf"), "\\&.conf\n");
    assert_eq!(argument("No"), "\"\\&No\"");
    assert_eq!(argument("a\"b"), "\"\\&a\"\"b\"");
}
