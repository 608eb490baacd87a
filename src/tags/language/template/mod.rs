//! Templates such as `{{branch}}-{{date 'YYYYMMDD'}}`, in the syntax of Handlebars
//! (<https://handlebarsjs.com/guide/expressions.html>). Loops, partials and blocks other than `if` and `unless` are not
//! supported, because they have no use in a single line.

mod lexer;
mod parse;
mod syntax;

pub use self::syntax::{Argument, Call, Part, Path, Template, TemplateError};
