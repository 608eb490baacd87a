//! Templates such as `{{branch}}-{{date 'YYYYMMDD'}}`: the part of Handlebars
//! (<https://handlebarsjs.com/guide/expressions.html>) that a text of one line has a use for. That is all but loops,
//! partials and blocks other than `if` and `unless`.

mod lexer;

use thiserror::Error;

use self::lexer::{Lexer, Token};

/// A template, read. What its names stand for is not known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// The value of an expression.
    Output {
        /// The expression.
        call: Call,
        /// `{{{…}}}` or `{{&…}}`: not escaped for HTML even where others are.
        raw: bool,
    },
    /// `{{#if x}}…{{else}}…{{/if}}`
    Condition {
        /// What is asked.
        test: Argument,
        /// If it holds.
        then: Vec<Self>,
        /// If not.
        otherwise: Vec<Self>,
    },
}

/// A name, and what is handed to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name.
    pub path: Path,
    /// What stands behind it.
    pub arguments: Vec<Argument>,
    /// What stands behind it by name, such as `tz='UTC'`.
    pub named: Vec<(String, Argument)>,
}

/// A name of one or more parts, such as `prerelease.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The parts. Empty for `this`.
    pub parts: Vec<String>,
    /// How many levels it goes up (`../`), where nothing is.
    pub up: usize,
}

/// Something handed to a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `null` or `undefined`.
    Nothing,
    /// A name.
    Path(Path),
    /// `(name argument)`
    Call(Box<Call>),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// It is not well formed.
    #[error("`{found}` stands where {wanted} should")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What should.
        wanted: &'static str,
    },
    /// A block ends that did not begin, or one that began does not end.
    #[error("`{{{{#{0}}}}}` and its end do not pair")]
    Unpaired(String),
    /// It is something of Handlebars that does not work here.
    #[error("`{0}` is not supported here")]
    Unsupported(String),
    /// Conditions or parentheses within each other.
    #[error("expressions are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

impl Template {
    /// Reads a template. Every text without `{{` is one.
    pub fn read(text: &str) -> Result<Self, TemplateError> {
        let mut reader = Reader { lexer: Lexer::new(text), depth: 0 };
        let (parts, end) = reader.parts(None)?;
        match end {
            End::OfText => Ok(Self { parts }),
            End::Else | End::ElseIf => Err(unexpected("{{else}}", "no `else`")),
            End::Close(name) => Err(TemplateError::Unpaired(name)),
        }
    }

    /// Whether it is the expression `{{name}}` and nothing else.
    pub fn is_only(&self, name: &str) -> bool {
        match self.parts.as_slice() {
            [Part::Output { call, .. }] => {
                call.path.parts.len() == 1 && call.path.parts.iter().all(|part| part == name)
            }
            _ => false,
        }
    }
}

fn unexpected(found: &str, wanted: &'static str) -> TemplateError {
    TemplateError::Unexpected { found: found.to_owned(), wanted }
}

/// Where a run of parts ends.
enum End {
    OfText,
    Else,
    /// `{{else if`, with the rest of it not yet read.
    ElseIf,
    Close(String),
}

/// How deep conditions, `else if` and parentheses may be nested.
const MAX_DEPTH: usize = 100;

struct Reader<'a> {
    lexer: Lexer<'a>,
    depth: usize,
}

impl Reader<'_> {
    /// Reads something one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, TemplateError>) -> Result<T, TemplateError> {
        if self.depth >= MAX_DEPTH {
            return Err(TemplateError::TooDeep);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads parts up to the end of the block `within`, or of the text.
    fn parts(&mut self, within: Option<&str>) -> Result<(Vec<Part>, End), TemplateError> {
        let mut parts = Vec::new();
        loop {
            match self.lexer.outside()? {
                Token::End => {
                    return match within {
                        Some(block) => Err(TemplateError::Unpaired(block.to_owned())),
                        None => Ok((parts, End::OfText)),
                    };
                }
                Token::Text(text) => parts.push(Part::Text(text)),
                Token::Comment => {}
                Token::Open => parts.push(Part::Output { call: self.call(&Token::Close)?, raw: false }),
                Token::OpenRaw => parts.push(Part::Output { call: self.call(&Token::Close)?, raw: true }),
                Token::OpenTriple => parts.push(Part::Output { call: self.call(&Token::CloseTriple)?, raw: true }),
                Token::OpenBlock => parts.push(self.block()?),
                Token::Else => return Ok((parts, End::Else)),
                Token::ElseIf => return Ok((parts, End::ElseIf)),
                Token::OpenEnd => {
                    let call = self.call(&Token::Close)?;
                    return Ok((parts, End::Close(call.path.parts.join("."))));
                }
                other => return Err(unexpected(&other.to_string(), "text or an expression")),
            }
        }
    }

    /// `if x}}…{{/if}}`, behind `{{#` or `{{else `.
    fn block(&mut self) -> Result<Part, TemplateError> {
        let call = self.call(&Token::Close)?;
        let name = call.path.parts.join(".");
        let (part, end) = self.deeper(|reader| reader.condition(call))?;
        match end {
            End::Close(closed) if closed == name => Ok(part),
            _ => Err(TemplateError::Unpaired(name)),
        }
    }

    /// The branches of a condition and what ends the last of them.
    fn condition(&mut self, call: Call) -> Result<(Part, End), TemplateError> {
        let name = call.path.parts.join(".");
        if !matches!(name.as_str(), "if" | "unless") || !call.named.is_empty() {
            return Err(TemplateError::Unsupported(format!("{{{{#{name}")));
        }
        let Ok([test]) = <[Argument; 1]>::try_from(call.arguments) else {
            return Err(unexpected(&name, "`if` with one name"));
        };
        let (first, mut end) = self.parts(Some(&name))?;
        let mut second = Vec::new();
        match end {
            End::Else => (second, end) = self.parts(Some(&name))?,
            End::ElseIf => {
                let inner = self.call(&Token::Close)?;
                let (part, inner_end) = self.deeper(|reader| reader.condition(inner))?;
                second.push(part);
                end = inner_end;
            }
            End::OfText | End::Close(_) => {}
        }
        let (then, otherwise) = if name == "if" { (first, second) } else { (second, first) };
        Ok((Part::Condition { test, then, otherwise }, end))
    }

    /// A name and its arguments, up to `close`.
    fn call(&mut self, close: &Token) -> Result<Call, TemplateError> {
        let path = match self.argument()? {
            Argument::Path(path) => path,
            // A literal in this place is taken for a name.
            Argument::Text(text) => Path { parts: vec![text], up: 0 },
            Argument::Number(number) => Path { parts: vec![number.to_string()], up: 0 },
            Argument::Bool(_) | Argument::Nothing => Path { parts: vec![String::new()], up: 0 },
            Argument::Call(_) => return Err(unexpected("(", "a name")),
        };
        let mut call = Call { path, arguments: Vec::new(), named: Vec::new() };
        loop {
            let token = self.lexer.peek()?;
            if token == *close {
                self.lexer.inside()?;
                return Ok(call);
            }
            match token {
                Token::Close | Token::CloseTriple | Token::CloseParenthesis | Token::End => {
                    return Err(unexpected(&token.to_string(), "the end of the expression"));
                }
                Token::Key(key) => {
                    self.lexer.inside()?;
                    call.named.push((key, self.argument()?));
                }
                other if !call.named.is_empty() => {
                    return Err(unexpected(&other.to_string(), "`name=value` or the end of the expression"));
                }
                _ => call.arguments.push(self.argument()?),
            }
        }
    }

    fn argument(&mut self) -> Result<Argument, TemplateError> {
        match self.lexer.inside()? {
            Token::String(text) => Ok(Argument::Text(text)),
            Token::Number(number) => Ok(Argument::Number(number)),
            Token::Bool(value) => Ok(Argument::Bool(value)),
            Token::Nothing => Ok(Argument::Nothing),
            Token::OpenParenthesis => {
                let call = self.deeper(|reader| reader.call(&Token::CloseParenthesis))?;
                Ok(Argument::Call(Box::new(call)))
            }
            Token::Path(path) => Ok(Argument::Path(path)),
            other => Err(unexpected(&other.to_string(), "a name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Argument, Part, Template};

    #[test]
    fn parts_and_expressions() {
        let parts = Template::read("a{{! no }}{{ date 'Y}}' tz=\"U\" }}{{{b.[c d].0}}}").unwrap().parts;
        let Part::Output { call, raw: false } = &parts[1] else { panic!("{parts:?}") };
        assert_eq!(call.path.parts, ["date"]);
        assert_eq!(call.arguments, [Argument::Text("Y}}".into())]);
        assert_eq!(call.named, [("tz".into(), Argument::Text("U".into()))]);
        let Part::Output { call, raw: true } = &parts[2] else { panic!("{parts:?}") };
        assert_eq!(call.path.parts, ["b", "c d", "0"]);
    }

    #[test]
    fn white_space_and_escapes() {
        for (text, want) in [
            (" a {{~! c ~}} b ", vec![" a", "b "]),
            (r"\{{a}}", vec!["{{a}}"]),
            (r"x\{{a}}{{! }}y", vec!["x", "{{a}}", "y"]),
            ("a { b } c", vec!["a { b } c"]),
        ] {
            let parts = Template::read(text).unwrap().parts;
            let texts: Vec<_> = parts.iter().map(|p| if let Part::Text(t) = p { t.as_str() } else { "?" }).collect();
            assert_eq!(texts, want, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, want) in [
            ("{{", "the end"),
            ("{{}}", "`}}` stands where a name should"),
            ("{{a}", "`}`"),
            ("{{a b=1 c}}", "`c` stands where `name=value`"),
            ("{{{a}}", "`}}`"),
            ("{{#if a}}", "`{{#if}}`"),
            ("{{#if a}}{{/unless}}", "`{{#if}}`"),
            ("{{/if}}", "`{{#if}}`"),
            ("{{else}}", "`{{else}}`"),
            ("{{#if}}{{/if}}", "`if` with one name"),
            ("{{#each a}}{{/each}}", "`{{#each` is not supported"),
            ("{{> a}}", "`{{>` is not supported"),
        ] {
            let error = Template::read(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_nested_without_end_is_refused() {
        for (text, want) in [
            ("{{#if a}}".repeat(50_000), "nested more than 100 deep"),
            (format!("{{{{#if a}}}}{}", "{{else if b}}".repeat(50_000)), "nested more than 100 deep"),
            (format!("{{{{a {}", "(b ".repeat(50_000)), "nested more than 100 deep"),
            (format!("{{{{{}", "(b ".repeat(50_000)), "nested more than 100 deep"),
        ] {
            let error = Template::read(&text).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        let nested = format!("{}x{}", "{{#if a}}".repeat(100), "{{/if}}".repeat(100));
        assert_eq!(Template::read(&nested).unwrap().parts.len(), 1);
        // Each word was once kept in as much memory as all that followed it.
        let parts = Template::read(&"\\{{".repeat(100_000)).unwrap().parts;
        let kept: usize = parts.iter().map(|part| if let Part::Text(text) = part { text.capacity() } else { 0 }).sum();
        assert!(kept <= 1_000_000, "{kept}");
    }

    #[test]
    fn only_a_name() {
        for (text, want) in [("{{raw}}", true), ("{{ raw }}", true), ("{{raw}}-{{raw}}", false), ("{{ raw }.", false)] {
            assert_eq!(Template::read(text).is_ok_and(|template| template.is_only("raw")), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in any::<String>(), parts in prop::collection::vec(
            prop::sample::select(vec!["{{", "}}", "{", "}", "#if ", "/if", "else", "~", "a", "'", "\"", " ", "=", "(", ")", "\\",
                                      "!--", "!", ".", "[", "]", "&", "^", "@", "1", "-"]), 0..16)) {
            let _ = Template::read(&text);
            let _ = Template::read(&parts.concat());
        }
    }
}
