//! A picture: lines of text with styles, and the bytes that a terminal needs for them.
//!
//! Without colours (NO_COLOR) a line may still be bold or reversed, which are no colours: the selection must be seen.

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    #[default]
    Plain,
    Bold,
    /// The line that is selected.
    Reversed,
    Calm,
    Uneasy,
    Alarmed,
}

impl Look {
    /// Its SGR parameter (ECMA-48, section 8.3.117). The eight colours that every terminal has, in the shades that its user chose.
    fn parameter(self, plain: bool) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Reversed => Some("7"),
            Self::Calm if !plain => Some("32"),
            Self::Uneasy if !plain => Some("33"),
            Self::Alarmed if !plain => Some("31"),
            _ => None,
        }
    }
}

/// A line, piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(pub Vec<(Look, String)>);

impl Line {
    pub(super) fn of(text: impl Into<String>) -> Self {
        Self(vec![(Look::Plain, text.into())])
    }

    pub(super) fn looking(look: Look, text: impl Into<String>) -> Self {
        Self(vec![(look, text.into())])
    }

    pub(super) fn and(mut self, look: Look, text: impl Into<String>) -> Self {
        self.0.push((look, text.into()));
        self
    }

    /// The text alone.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Filled with blanks to this width, and reversed; but a bar is not, because a reversed block looks empty.
    pub(super) fn selected(mut self, width: usize) -> Self {
        for (look, _) in &mut self.0 {
            if *look == Look::Plain {
                *look = Look::Reversed;
            }
        }
        let used = self.0.iter().map(|(_, text)| text.chars().count()).sum();
        self.and(Look::Reversed, " ".repeat(width.saturating_sub(used)))
    }
}

/// As many lines as the terminal has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub lines: Vec<Line>,
    pub width: usize,
}

impl Frame {
    /// The bytes of each line, not wider than the frame. Every line begins and ends without any look.
    pub(super) fn lines(&self, plain: bool) -> Vec<String> {
        self.lines.iter().map(|line| self.line(line, plain)).collect()
    }

    fn line(&self, line: &Line, plain: bool) -> String {
        let (mut bytes, mut left) = (String::new(), self.width);
        for (look, text) in &line.0 {
            // A cell for each: nothing here is wider, see `narrow`.
            let piece: String = text.chars().take(left).map(narrow).collect();
            left -= piece.chars().count();
            match look.parameter(plain) {
                Some(parameter) if !piece.is_empty() => bytes += &format!("\x1b[{parameter}m{piece}\x1b[0m"),
                _ => bytes += &piece,
            }
        }
        bytes
    }
}

/// A letter that surely has one cell, and that no terminal obeys.
fn narrow(c: char) -> char {
    match c {
        ' '..='~' | '█' | '▌' | '·' => c,
        '\u{a1}'..='\u{24f}' if c != '\u{ad}' => c, // Latin
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_and_ends_its_looks() {
        let line = Line::of("ab").and(Look::Alarmed, "cd\u{1b}[2J").and(Look::Bold, "é東");
        let frame = |width: usize, plain: bool| Frame { lines: vec![line.clone()], width }.lines(plain).remove(0);
        assert_eq!(frame(80, false), "ab\x1b[31mcd?[2J\x1b[0m\x1b[1mé?\x1b[0m");
        assert_eq!(frame(80, true), "abcd?[2J\x1b[1mé?\x1b[0m");
        assert_eq!(frame(3, false), "ab\x1b[31mc\x1b[0m");
        assert_eq!((frame(2, false), frame(0, false)), ("ab".into(), String::new()));
        let selected = Line::of("ab").and(Look::Calm, "c").selected(5);
        assert_eq!(selected, Line::looking(Look::Reversed, "ab").and(Look::Calm, "c").and(Look::Reversed, "  "));
    }
}
