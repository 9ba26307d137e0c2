//! What a server gives up when it is ready to serve: another user's rights, and what it never needs again.
//!
//! Owns how that is done and proved. Knows no setting of the server: what must stay possible is told to it. `serve/confining.rs` does.
//!
//! | file | what a reader finds there |
//! |---|---|
//! | `user.rs` | who the server is to be, from /etc/passwd and /etc/group, and becoming that for good |
//! | `gifts.rs` | files that were made as root and are the user's from then on |
//! | `allowed.rs` | what stays possible under Landlock |
//! | `landlock.rs` | the three system calls, which no crate here wraps |

pub(crate) mod allowed;
pub(crate) mod gifts;
mod landlock;
pub(crate) mod user;
