//! What can be made to go wrong with a call to a stand-in.

use std::time::Duration;

/// What goes wrong with the next call.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// 429 with `retry_after` in the body, which Discord alone has, and `Retry-After` in the header, in seconds, each if
    /// given; with neither it is what the network in front of the service sends.
    RateLimited {
        /// The body's.
        body: Option<f64>,
        /// The header's.
        header: Option<f64>,
    },
    /// An answer with this status and body.
    Answer(u16, String),
    /// 200 with a body that never ends. The call is not carried out.
    Endless,
    /// No answer, ever. The call is not carried out.
    Hang,
    /// The answer comes this late.
    Slow(Duration),
    /// The call is carried out, and the connection breaks before the answer.
    ResetAfter,
    /// The connection breaks and nothing was done.
    ResetBefore,
}

impl Fault {
    /// The page of the network in front of a service.
    pub fn bad_gateway() -> Self {
        Self::Answer(502, "<html><head><title>502 Bad Gateway</title></head></html>".to_owned())
    }
}
