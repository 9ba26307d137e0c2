//! The stage: separate networks for each scene, what the machine must have for them, and how a scene is interrupted.
//!
//! Owns namespaces and links, and removes them again. Knows no server, no scene and no packet.

pub mod interrupt;
pub mod namespaces;
pub mod network;
pub mod places;
pub mod privilege;
pub mod programs;
