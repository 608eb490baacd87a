//! Docker Compose on a server.
