//! Our HTTP/2 client against servers that others wrote, each a child process of its test; in `bad_days` against servers that leave,
//! vanish, lie or say no.

mod audit;
mod authority;
mod bad_days;
mod load;
mod scenarios;
mod server;
mod wishes;

mod go;
mod h2_crate;
mod h2_server;
mod nghttpd;
mod node;
mod pushy;
