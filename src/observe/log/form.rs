//! How a line of the log looks: a text for people or an object of JSON, and before it a priority for systemd's journal.
//!
//! Owns that a line is one line: whatever a message contains, it ends where the line does.

use std::fmt::{self, Write};

use log::Level;

/// A text, or JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-26T18:00:00.000Z INFO  echo listens on 127.0.0.1:7007`
    #[default]
    Text,
    /// `{"time":"2026-11-26T18:00:00.000Z","level":"info","target":"stillthere::serve","message":"echo listens on 127.0.0.1:7007"}`
    Json,
}

/// How each line looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    pub format: Format,
    /// A line begins with `<6>` or the like (sd-daemon(3)); the journal takes that away.
    pub has_priorities: bool,
}

impl Form {
    pub(super) fn line(self, now: &str, level: Level, target: &str, words: fmt::Arguments<'_>) -> String {
        let mut line = self.priority(level);
        // Writing to a string cannot fail.
        let _ = match self.format {
            Format::Text if self.has_priorities => {
                write!(line, "{now} {level:5} {}", words.to_string().replace('\n', " "))
            }
            Format::Text => write!(line, "{now} {level:5} {words}"),
            Format::Json => write_object(&mut line, now, level, target, &words.to_string()),
        };
        line.push('\n');
        line
    }

    /// The sentence with which the program ends, without a time if people read it.
    pub(super) fn last_line(self, now: &str, sentence: &str) -> String {
        match self.format {
            Format::Text => format!("{}stillthere: {sentence}\n", self.priority(Level::Error)),
            Format::Json => self.line(now, Level::Error, "stillthere", format_args!("{sentence}")),
        }
    }

    fn priority(self, level: Level) -> String {
        if !self.has_priorities {
            return String::new();
        }
        String::from(match level {
            Level::Error => "<3>",
            Level::Warn => "<4>",
            Level::Info => "<6>",
            Level::Debug | Level::Trace => "<7>",
        })
    }
}

fn write_object(line: &mut String, now: &str, level: Level, target: &str, message: &str) -> fmt::Result {
    let level = level.as_str().to_ascii_lowercase();
    write!(line, r#"{{"time":"{now}","level":"{level}","target":""#)?;
    write_escaped(line, target)?;
    *line += r#"","message":""#;
    write_escaped(line, message)?;
    *line += "\"}";
    Ok(())
}

/// As RFC 8259, section 7 wants it.
fn write_escaped(line: &mut String, text: &str) -> fmt::Result {
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                line.push('\\');
                line.push(letter);
            }
            letter if letter < ' ' => write!(line, "\\u{:04x}", u32::from(letter))?,
            letter => line.push(letter),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-26T18:00:00.000Z";

    #[test]
    fn a_line_is_for_people_or_for_programs() {
        let line = |format, has_priorities, level, words: &str| {
            Form { format, has_priorities }.line(NOW, level, "stillthere::serve", format_args!("{words}"))
        };
        assert_eq!(line(Format::Text, false, Level::Info, "a\nb"), "2026-11-26T18:00:00.000Z INFO  a\nb\n");
        assert_eq!(line(Format::Text, true, Level::Warn, "a\nb"), "<4>2026-11-26T18:00:00.000Z WARN  a b\n");
        assert_eq!(
            line(Format::Json, true, Level::Error, "a \"b\"\n\\\u{1b}[31m ü"),
            "<3>{\"time\":\"2026-11-26T18:00:00.000Z\",\"level\":\"error\",\"target\":\"stillthere::serve\",\
             \"message\":\"a \\\"b\\\"\\u000a\\\\\\u001b[31m ü\"}\n"
        );
        for (level, priority) in [(Level::Info, "<6>"), (Level::Debug, "<7>"), (Level::Trace, "<7>")] {
            assert!(line(Format::Text, true, level, "").starts_with(priority));
        }
    }

    #[test]
    fn the_last_sentence_is_a_line_like_the_others_for_programs() {
        let last = |format, has_priorities| Form { format, has_priorities }.last_line(NOW, "it ends");
        assert_eq!(last(Format::Text, false), "stillthere: it ends\n");
        assert_eq!(last(Format::Text, true), "<3>stillthere: it ends\n");
        assert!(last(Format::Json, false).starts_with("{\"time\":") && last(Format::Json, false).ends_with("\"}\n"));
    }

    #[cfg(feature = "admin")]
    #[test]
    fn every_line_of_json_is_read_back() {
        for message in ["", "\"", "\\", "\u{0}\u{1}\u{7f}\u{2028}", "a\nb\rc\td", "{}", "🦀"] {
            let form = Form { format: Format::Json, has_priorities: false };
            let line = form.line(NOW, Level::Info, "t", format_args!("{message}"));
            assert_eq!(line.matches('\n').count(), 1);
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(object["message"], message);
        }
    }
}
