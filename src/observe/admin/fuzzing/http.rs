//! What the fuzzer tries at the admin port, and what must hold for each. `make fuzz` runs it, and a test replays the corpus.
//!
//! Knows no socket and no loop.

use crate::observe::admin::access::{Access, Hosts, Token};
use crate::observe::admin::exposition::Format;
use crate::observe::admin::query::Query;
use crate::observe::admin::request::{Incoming, LONGEST_HEAD, LONGEST_TARGET, MOST_WAITING, Next, Request};

/// What comes of bytes: the requests, and the status with which the connection ends, if it does.
type Came = (Vec<Request>, Option<u16>);

/// Reads bytes that come in pieces of these sizes, in turn.
fn read(bytes: &[u8], mut sizes: impl Iterator<Item = usize>) -> Came {
    let mut incoming = Incoming::default();
    let (mut requests, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
        rest = more;
        incoming.add(piece);
        // Each request takes some bytes, so that their number is bounded by what came.
        for turn in 0.. {
            assert!(turn <= 2 * bytes.len() + 2, "it never comes to an end");
            match incoming.next() {
                Next::Nothing => break,
                Next::Continue => assert!(incoming.is_in_the_middle(), "a body is wanted of no request"),
                Next::Request(request) => requests.push(*request),
                Next::Unreadable(unreadable) => {
                    assert!((400..600).contains(&unreadable.status) && !unreadable.sentence.is_empty());
                    return (requests, Some(unreadable.status));
                }
            }
        }
    }
    (requests, None)
}

/// One try: the first byte says into which pieces the others are split. It panics if something does not hold.
pub fn http(bytes: &[u8]) {
    let Some((seed, bytes)) = bytes.split_first() else { return };
    let bytes = &bytes[..bytes.len().min(MOST_WAITING)];
    let whole = read(bytes, [].into_iter());
    let mut state = u32::from(*seed);
    let scattered = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Often a few bytes, and sometimes thousands.
        1 + (state >> 16) as usize % (1 << ((state >> 8) % 13))
    });
    for pieces in [read(bytes, scattered), read(bytes, std::iter::repeat(1))] {
        // An error may be seen earlier where more has come; the requests before it are the same.
        let [told, wanted] = [&pieces, &whole].map(|(requests, _)| format!("{requests:?}"));
        assert_eq!(told, wanted, "it depends on how the bytes came: {:?} and {:?}", pieces.1, whole.1);
    }
    whole.0.iter().for_each(look_into);
}

/// All that is asked of a request before the loop is.
fn look_into(request: &Request) {
    assert!(request.target.path.len() <= LONGEST_TARGET && !request.target.path.is_empty());
    let texts =
        [&request.host, &request.accept, &request.accept_encoding, &request.authorization, &request.last_event_id];
    for text in texts.into_iter().chain([&request.origin, &request.sec_fetch_site]).flatten() {
        assert!(text.len() <= LONGEST_HEAD && !text.contains(['\r', '\n', '\0']), "{text:?} can be no header");
    }
    for hosts in [Hosts::Any, Hosts::Loopback(Some("monitor.example".into())), Hosts::Addresses(None)] {
        let access = Access { hosts, token: Some(Token::of("0123456789abcdef")) };
        let _ = (access.check_host(request), access.check(request));
    }
    let _ = Format::preferred(request.accept.as_deref());
    match Query::read(&request.target.query) {
        Ok(query) => {
            assert!((1..=1000).contains(&query.limit));
            // The cursor that we give is the one that we take.
            if let Some(cursor) = query.after {
                let again = Query::read(&[("after".to_string(), cursor.to_string())]);
                assert!(again.is_ok_and(|again| again.after == query.after), "{cursor} is not read again");
            }
        }
        Err(answer) => {
            assert_eq!(answer.status, 400);
            assert!(
                std::str::from_utf8(&answer.body)
                    .is_ok_and(|body| body.ends_with("}\n") && body.matches('\n').count() == 1)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corpus in `fuzz/corpus/`, so that what was once found stays mended.
    #[test]
    fn the_corpus_is_read() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/http");
        let mut read = 0;
        for entry in std::fs::read_dir(corpus).expect("it is there") {
            let path = entry.expect("it can be listed").path();
            println!("{}", path.display()); // the last one, if it fails
            http(&std::fs::read(&path).expect("it can be read"));
            read += 1;
        }
        assert!(read >= 20, "{read}");
    }
}
