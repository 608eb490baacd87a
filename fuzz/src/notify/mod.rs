//! Messages and their services: the pure modules, which are symbolic links here.

pub mod color;
pub mod discord;
pub mod message;
pub mod service;
pub mod slack;
pub mod teams;
pub mod text;
