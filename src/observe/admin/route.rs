//! What a request asks for: from its method and path to one thing to do.
//!
//! Owns the paths, and what each of them allows. Does nothing itself.

use crate::observe::admin::access::Access;
use crate::observe::admin::answer::Answer;
use crate::observe::admin::exposition::Format;
use crate::observe::admin::listing::Single;
use crate::observe::admin::method::Method;
use crate::observe::admin::page;
use crate::observe::admin::query::Query;
use crate::observe::admin::request::Request;
#[cfg(feature = "upgrade")]
use crate::observe::admin::upgrade::Step;
use crate::reactor::PeerId;

/// What is asked for.
#[derive(Debug)]
pub(super) enum Ask {
    /// It needs nothing but this answer.
    Answer(Answer),
    /// Whether the server is ready: it is, unless it was asked to stop.
    Ready,
    Metrics(Format),
    Peers(Query),
    Peer(PeerId, Single),
    Events {
        /// The number of the last event that the client has.
        after: Option<u64>,
    },
    Watch,
    #[cfg(feature = "upgrade")]
    Upgrade(Step),
}

/// The methods that some path allows.
const ALL: &str =
    if cfg!(feature = "upgrade") { "GET, HEAD, POST, DELETE, OPTIONS" } else { "GET, HEAD, DELETE, OPTIONS" };
/// The paths, for those who ask for another one.
const PATHS: &str = if cfg!(feature = "upgrade") {
    "/metrics, /healthz, /readyz, /peers, /peers/ID, /events, /watch, /upgrade and /"
} else {
    "/metrics, /healthz, /readyz, /peers, /peers/ID, /events, /watch and /"
};

enum Path<'a> {
    Page(&'a str),
    Health,
    Ready,
    Metrics,
    Peers,
    Peer(&'a str),
    Events,
    Watch,
    #[cfg(feature = "upgrade")]
    Upgrade,
    /// The server as a whole, for OPTIONS.
    All,
}

impl<'a> Path<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/peers" => Self::Peers,
            "/events" => Self::Events,
            "/watch" => Self::Watch,
            #[cfg(feature = "upgrade")]
            "/upgrade" => Self::Upgrade,
            "*" => Self::All,
            _ => match path.strip_prefix("/peers/") {
                Some(id) => Self::Peer(id),
                None if page::has(path) => Self::Page(path),
                None => return None,
            },
        })
    }

    fn allows(&self) -> &'static str {
        match self {
            Self::Peer(_) => "GET, HEAD, DELETE, OPTIONS",
            #[cfg(feature = "upgrade")]
            Self::Upgrade => "GET, HEAD, POST, OPTIONS",
            Self::All => ALL,
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// It tells nothing that is worth protecting.
    fn is_public(&self) -> bool {
        matches!(self, Self::Page(_) | Self::Health | Self::Ready)
    }
}

/// What this request asks for.
pub(super) fn route(request: &Request, access: &Access) -> Ask {
    match find(request, access) {
        Ok(ask) => ask,
        Err(answer) => Ask::Answer(answer),
    }
}

fn find(request: &Request, access: &Access) -> Result<Ask, Answer> {
    access.check_host(request)?;
    if request.method == Method::Unknown {
        return Err(Answer::error(501, "this method is not known here"));
    }
    let target = &request.target;
    let Some(path) = Path::of(&target.path) else {
        return Err(Answer::error(404, &format!("there is no {}; there are {PATHS}", target.path)));
    };
    if request.method == Method::Options {
        return Ok(Ask::Answer(Answer::new(204, "", Vec::new()).with("Allow", path.allows())));
    }
    let is_allowed = match request.method {
        Method::Get | Method::Head => !matches!(path, Path::All),
        Method::Delete => matches!(path, Path::Peer(_)),
        #[cfg(feature = "upgrade")]
        Method::Post => matches!(path, Path::Upgrade),
        _ => false,
    };
    if !is_allowed {
        let sentence = format!("{} allows {}", target.path, path.allows());
        return Err(Answer::error(405, &sentence).with("Allow", path.allows()));
    }
    if !path.is_public() {
        access.check(request)?;
    }
    Ok(match path {
        Path::Page(path) => Ask::Answer(page::answer(path, request.accept_encoding.as_deref())),
        Path::Health => Ask::Answer(Answer::new(200, crate::observe::admin::answer::TEXT, &b"ok\n"[..])),
        Path::Ready => Ask::Ready,
        Path::Metrics => Ask::Metrics(Format::preferred(request.accept.as_deref())),
        Path::Peers => Ask::Peers(Query::read(&target.query)?),
        Path::Peer(id) => {
            let Ok(peer) = id.parse() else {
                return Err(Answer::error(404, &format!("{id:?} is no peer's id, such as 3f2a1c0101-2a")));
            };
            Ask::Peer(peer, if request.method == Method::Delete { Single::Drop } else { Single::Tell })
        }
        Path::Events => Ask::Events { after: last_event(request)? },
        Path::Watch => Ask::Watch,
        #[cfg(feature = "upgrade")]
        Path::Upgrade => Ask::Upgrade(if request.method == Method::Post { Step::Begin } else { Step::Tell }),
        Path::All => Ask::Answer(Answer::new(204, "", Vec::new())),
    })
}

/// The number of the last event that the client has, by the header or the query. The header is the newer one: a browser
/// that connects again repeats the query.
fn last_event(request: &Request) -> Result<Option<u64>, Answer> {
    let queried = request.target.query.iter().find(|(name, _)| name == "after").map(|(_, value)| value);
    let Some(text) = request.last_event_id.as_ref().filter(|text| !text.is_empty()).or(queried) else {
        return Ok(None);
    };
    let number = text.parse().map_err(|_| Answer::error(400, &format!("{text:?} is no number of an event")))?;
    Ok(Some(number))
}
