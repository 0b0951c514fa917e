//! The socket, with real sockets.
