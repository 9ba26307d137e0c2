//! The page: one compressed document, and the rules by which a browser may treat it. build.rs makes both from the sources in `page/`.

use crate::observe::admin::answer::Answer;

const DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));
const RULES: &str = include_str!(concat!(env!("OUT_DIR"), "/page.csp"));

pub(super) fn has(path: &str) -> bool {
    path == "/"
}

/// The document, as it lies in the binary: compressed. Who does not say what it accepts is given it as well, as HTTP allows.
pub(super) fn answer(_path: &str, accept_encoding: Option<&str>) -> Answer {
    let takes = |coding: &str| matches!(coding.split(';').next().map(str::trim), Some("gzip" | "x-gzip" | "*"));
    if accept_encoding.is_some_and(|accepted| !accepted.split(',').any(takes)) {
        return Answer::error(406, "the page is there compressed only: ask for it with Accept-Encoding: gzip");
    }
    Answer::new(200, "text/html; charset=utf-8", DOCUMENT)
        .with("Content-Encoding", "gzip")
        .with("Vary", "Accept-Encoding")
        .with("Content-Security-Policy", RULES)
        .with("Referrer-Policy", "no-referrer")
}
