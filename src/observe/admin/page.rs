//! The page.

use crate::observe::admin::answer::Answer;

pub(super) fn has(path: &str) -> bool {
    path == "/"
}

pub(super) fn answer(_path: &str, _accept_encoding: Option<&str>) -> Answer {
    Answer::new(200, "text/html; charset=utf-8", &b"<!doctype html><title>stillthere</title>\n"[..])
}
