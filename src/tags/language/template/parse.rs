//! Parses templates.

use super::{
    lexer::{Lexer, Token},
    syntax::{Argument, Call, MAX_DEPTH, Part, Path, Template, TemplateError, unexpected},
};
use crate::domain::invalid::Invalid;

impl Template {
    /// Parses a template. A text without `{{` is always valid.
    pub fn read(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser { lexer: Lexer::new(text), depth: 0 };
        let (parts, end) = parser.parts(None)?;
        match end {
            End::OfText => Ok(Self { parts }),
            End::Else | End::ElseIf => Err(TemplateError::ElseOutside),
            End::Close(name) => Err(TemplateError::Unpaired(name)),
        }
    }

    /// Checks that a text is a valid template.
    pub fn check(text: &str) -> Result<(), Invalid> {
        let hint = "correct the expression, or remove the braces";
        Self::read(text).map(drop).map_err(|error| Invalid::new(format!("has an invalid expression: {error}"), hint))
    }
}

/// The end of a list of parts.
enum End {
    OfText,
    Else,
    /// `{{else if`; the rest of it is not parsed yet.
    ElseIf,
    Close(String),
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    depth: usize,
}

impl Parser<'_> {
    /// Parses something one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, TemplateError>) -> Result<T, TemplateError> {
        if self.depth >= MAX_DEPTH {
            return Err(TemplateError::TooDeep);
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Parses up to the end of the block `within`, or of the text.
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
                other => return Err(other.unexpected("text or an expression")),
            }
        }
    }

    /// Parses `if x}}…{{/if}}`, after `{{#`.
    fn block(&mut self) -> Result<Part, TemplateError> {
        let call = self.call(&Token::Close)?;
        let name = call.path.parts.join(".");
        let (part, end) = self.deeper(|parser| parser.condition(call))?;
        match end {
            End::Close(closed) if closed == name => Ok(part),
            _ => Err(TemplateError::Unpaired(name)),
        }
    }

    /// Parses the branches of a condition, up to the end of the last one.
    fn condition(&mut self, call: Call) -> Result<(Part, End), TemplateError> {
        let name = call.path.parts.join(".");
        if !matches!(name.as_str(), "if" | "unless") || !call.named.is_empty() {
            return Err(TemplateError::Unsupported(format!("{{{{#{name}")));
        }
        let Ok([test]) = <[Argument; 1]>::try_from(call.arguments) else {
            return Err(TemplateError::OneArgument(name));
        };
        let (first, mut end) = self.parts(Some(&name))?;
        let mut second = Vec::new();
        match end {
            End::Else => (second, end) = self.parts(Some(&name))?,
            End::ElseIf => {
                let inner = self.call(&Token::Close)?;
                let (part, inner_end) = self.deeper(|parser| parser.condition(inner))?;
                second.push(part);
                end = inner_end;
            }
            End::OfText | End::Close(_) => {}
        }
        let (then, otherwise) = if name == "if" { (first, second) } else { (second, first) };
        Ok((Part::Condition { test, then, otherwise }, end))
    }

    /// Parses a name and its arguments, up to `close`.
    fn call(&mut self, close: &Token) -> Result<Call, TemplateError> {
        let path = match self.argument()? {
            Argument::Path(path) => path,
            // As in Handlebars, a literal here is a name.
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
                    return Err(token.unexpected("the end of the expression"));
                }
                Token::Key(key) => {
                    self.lexer.inside()?;
                    call.named.push((key, self.argument()?));
                }
                other if !call.named.is_empty() => {
                    return Err(other.unexpected("`name=value` or the end of the expression"));
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
                let call = self.deeper(|parser| parser.call(&Token::CloseParenthesis))?;
                Ok(Argument::Call(Box::new(call)))
            }
            Token::Path(path) => Ok(Argument::Path(path)),
            other => Err(other.unexpected("a name")),
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
    fn whitespace_and_escapes() {
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
            ("{{}}", "expected a name, found `}}`"),
            ("{{a}", "`}`"),
            ("{{a b=1 c}}", "expected `name=value` or the end of the expression, found `c`"),
            ("{{{a}}", "`}}`"),
            ("{{#if a}}", "`{{#if}}`"),
            ("{{#if a}}{{/unless}}", "`{{#if}}` and `{{/if}}` do not match"),
            ("{{/if}}", "`{{#if}}`"),
            ("{{else}}", "`{{else}}` is outside a block"),
            ("{{#if}}{{/if}}", "`{{#if}}` takes exactly one argument"),
            ("{{#each a}}{{/each}}", "`{{#each` is not supported"),
            ("{{> a}}", "`{{>` is not supported"),
        ] {
            let error = Template::read(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn the_depth_is_limited() {
        for (text, want) in [
            ("{{#if a}}".repeat(50_000), "nested more than 100 levels deep"),
            (format!("{{{{#if a}}}}{}", "{{else if b}}".repeat(50_000)), "nested more than 100 levels deep"),
            (format!("{{{{a {}", "(b ".repeat(50_000)), "nested more than 100 levels deep"),
            (format!("{{{{{}", "(b ".repeat(50_000)), "nested more than 100 levels deep"),
        ] {
            let error = Template::read(&text).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        let nested = format!("{}x{}", "{{#if a}}".repeat(100), "{{/if}}".repeat(100));
        assert_eq!(Template::read(&nested).unwrap().parts.len(), 1);
        // Each token used to hold as much memory as all the text after it.
        let parts = Template::read(&"\\{{".repeat(100_000)).unwrap().parts;
        let kept: usize = parts.iter().map(|part| if let Part::Text(text) = part { text.capacity() } else { 0 }).sum();
        assert!(kept <= 1_000_000, "{kept}");
    }

    #[test]
    fn templates_of_one_name() {
        for (text, want) in [("{{raw}}", true), ("{{ raw }}", true), ("{{raw}}-{{raw}}", false), ("{{ raw }.", false)] {
            assert_eq!(Template::read(text).is_ok_and(|template| template.is_only("raw")), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), parts in prop::collection::vec(
            prop::sample::select(vec!["{{", "}}", "{", "}", "#if ", "/if", "else", "~", "a", "'", "\"", " ", "=", "(", ")", "\\",
                                      "!--", "!", ".", "[", "]", "&", "^", "@", "1", "-"]), 0..16)) {
            let _ = Template::read(&text);
            let _ = Template::read(&parts.concat());
        }
    }
}
