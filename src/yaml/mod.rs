//! Parses YAML documents into trees in which every value has a position. Pure.
//!
//! Compose files and all inputs in YAML are parsed here. Aliases and merge keys (`<<`) are replaced by the values that
//! they refer to, so callers see neither. Compose's tags `!reset` and `!override` are kept on their nodes. Complex keys
//! and other tags, except the core schema's, are not supported.

mod error;
mod indent;
mod node;
mod parse;
mod position;
mod scalar;
mod size;

pub use self::{
    error::{Problem, YamlError},
    node::{Key, Node, Role, Value},
    parse::{parse, parse_one},
    position::Position,
    scalar::Scalar,
    size::Size,
};
