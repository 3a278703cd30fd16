//! Listening and connected sockets: TCP and Unix.
