//! The few elements of SVG that the figure is made of.
//!
//! Owns the escaping of text, and its breaking into lines, which SVG does not do. Knows no timeline.

use std::fmt::Write;

pub fn cross(svg: &mut String, (x, y): (f64, f64), size: f64) {
    line(svg, "cross", (x - size, y - size), (x + size, y + size));
    line(svg, "cross", (x - size, y + size), (x + size, y - size));
}

pub fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = write!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

pub fn text(svg: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, words: &str) {
    let words = escape(words);
    let _ = write!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// Escapes text for SVG and HTML, attributes included.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // Not allowed in XML 1.0.
            '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Breaks text into lines of at most `most` characters, between words where possible.
pub fn broken(words: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < most => *line += &format!(" {word}"),
            _ => lines.push(word.to_string()),
        }
        // A word that is longer than a line.
        while let Some((at, _)) = lines.last().and_then(|line| line.char_indices().nth(most.max(1))) {
            let rest = lines.last_mut().map(|line| line.split_off(at)).unwrap_or_default();
            lines.push(rest);
        }
    }
    lines
}
