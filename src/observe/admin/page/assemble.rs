//! Makes one document of the page's sources: its style and its scripts are put into it, and it is compressed. It is part of build.rs.
//!
//! Owns the form of the sources, which is checked here: an `import` takes one line and names a file beside it, and an export is
//! declared where it is made (`export const`, `export function`, `export class`). So the sources also work as they are, served as
//! files (`node tests/page/mock.mjs`), and the document is one script with one scope, without requests for more.
//!
//! Beside the document lies its Content-Security-Policy. It names the script and the style by their hashes, so a browser
//! runs no other, whatever text a peer may have brought into the document.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

const STYLE: &str = "<link rel=\"stylesheet\" href=\"page.css\">";
const SCRIPT: &str = "<script type=\"module\" src=\"main.mjs\"></script>";

/// Writes page.html.gz and page.csp to `out`, from the sources in `page`.
///
/// # Errors
/// A sentence that says which source cannot be read, or is not of the form above.
pub fn assemble(page: &Path, out: &Path) -> Result<(), String> {
    let style = lean(&read(&page.join("page.css"))?);
    let mut script = String::new();
    add(page, "main.mjs", &mut Vec::new(), &mut script)?;
    let mut document = read(&page.join("index.html"))?;
    for (link, element) in
        [(STYLE, format!("<style>{style}</style>")), (SCRIPT, format!("<script type=\"module\">{script}</script>"))]
    {
        if document.matches(link).count() != 1 {
            return Err(format!("index.html should contain {link} once"));
        }
        document = document.replace(link, &element);
    }
    let rules = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(&script),
        hash(&style)
    );
    write(&out.join("page.html.gz"), &compressed(document.as_bytes()))?;
    write(&out.join("page.csp"), rules.as_bytes())
}

/// Adds a file to the script, after those that it imports. Each is added once.
fn add(page: &Path, name: &str, added: &mut Vec<String>, script: &mut String) -> Result<(), String> {
    if added.iter().any(|known| known == name) {
        return Ok(());
    }
    added.push(name.to_string());
    let mut own = String::new();
    for line in read(&page.join(name))?.lines() {
        if line.starts_with("import ") {
            let from = line.split_once(" from './").and_then(|(_, rest)| rest.strip_suffix("';"));
            let from = from.ok_or_else(|| format!("{name}: this import should be one line, from './FILE': {line}"))?;
            add(page, from, added, script)?;
        } else {
            let declared = line.strip_prefix("export ").unwrap_or(line);
            if declared.starts_with(['{', '*']) || declared.starts_with("default ") {
                return Err(format!("{name}: an export should be a declaration: {line}"));
            }
            own.push_str(declared);
            own.push('\n');
        }
    }
    let own = lean(&own);
    if own.contains("</script") || own.contains("<!--") {
        return Err(format!("{name}: a script within a document may contain neither </script nor <!--"));
    }
    script.push_str(&own);
    Ok(())
}

/// Without indentation, empty lines, and lines that are comments. A comment that begins a line reaches to its end (`//`), or
/// to a line that ends with `*/`.
fn lean(source: &str) -> String {
    let mut lean = String::with_capacity(source.len());
    let mut within = false;
    for line in source.lines().map(str::trim) {
        if within || line.starts_with("/*") {
            within = !line.ends_with("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            lean.push_str(line);
            lean.push('\n');
        }
    }
    lean
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// As a Content-Security-Policy writes it: SHA-256 in base64.
fn hash(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest = Sha256::digest(text.as_bytes());
    let mut written = String::new();
    for three in digest.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            written.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    written
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(file, bytes).map_err(|error| format!("{} cannot be written: {error}", file.display()))
}
