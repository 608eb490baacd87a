//! The HTTP/2 limits of the server that the daemon calls. The defaults are too low for BuildKit.

use tonic::transport::Server;

/// The daemon sends the patterns of a `.dockerignore` and the paths of a Dockerfile as headers. Go's own limit.
const HEADERS: u32 = 16 << 20;

/// Bytes of requests that may be buffered in one call. The daemon sends each request for a file, about 10 bytes, in a
/// separate frame, and thousands of them at once.
const STREAM_WINDOW: u32 = 64 << 10;

/// `h2` takes many small buffered frames for an attack and closes the connection with `too_many_data_frames`: each counts
/// as 256 bytes of half of the connection's window. This window suffices for 18 calls whose windows are full of
/// requests; those windows bound the memory that is used.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// A server for [`FileSync`](super::FileSync) and the other services of a session, with the limits that BuildKit needs.
pub fn server() -> Server {
    Server::builder()
        .http2_max_header_list_size(HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
}
