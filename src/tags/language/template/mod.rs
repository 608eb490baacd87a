//! Templates such as `{{branch}}-{{date 'YYYYMMDD'}}`: Handlebars
//! (<https://handlebarsjs.com/guide/expressions.html>) without loops, partials and blocks other than `if` and `unless`,
//! which are of no use in a text of one line.

mod lexer;
mod parse;
mod syntax;

pub use self::syntax::{Argument, Call, Part, Path, Template, TemplateError};
