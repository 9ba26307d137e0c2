//! The methods of HTTP.

/// The methods that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Delete,
    Post,
    Options,
    /// One that HTTP has, and that no path here knows.
    Other,
    /// One that HTTP does not have.
    Unknown,
}

impl Method {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "POST" => Self::Post,
            "PUT" | "PATCH" => Self::Other,
            _ => Self::Unknown,
        }
    }
}
