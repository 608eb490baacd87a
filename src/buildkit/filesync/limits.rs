//! HTTP/2 limits of the server that the daemon calls. The usual ones are too narrow for what BuildKit sends.

use tonic::transport::Server;

/// The daemon sends the patterns of a `.dockerignore` and the paths of a Dockerfile as headers. Go's own limit.
const HEADERS: u32 = 16 << 20;

/// Bytes of requests that may wait here in one call. The daemon writes each request for a file, some 10 bytes, as a
/// frame of its own, and thousands of them at once.
const STREAM_WINDOW: u32 = 64 << 10;

/// `h2` takes small frames that wait for more than an attack, and then ends the connection with `too_many_data_frames`:
/// each counts as 256 bytes of half of the connection's window. This suffices for 18 calls whose windows are full of
/// requests; what is held in memory is bounded by those windows.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// A server for [`FileSync`](super::FileSync) and the other services of a session, with the limits that BuildKit needs.
pub fn server() -> Server {
    Server::builder()
        .http2_max_header_list_size(HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
}
