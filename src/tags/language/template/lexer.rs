//! Splits a template into tokens.

use std::fmt;

use super::syntax::{Path, TemplateError, unexpected, unexpected_end};
use crate::tags::language::text::is_space;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Text outside expressions.
    Text(String),
    /// `{{! … }}`
    Comment,
    /// `{{`
    Open,
    /// `{{&`
    OpenRaw,
    /// `{{{`
    OpenTriple,
    /// `{{#`
    OpenBlock,
    /// `{{/`
    OpenEnd,
    /// `{{else}}` or `{{^}}`
    Else,
    /// `{{else `, followed by something else
    ElseIf,
    /// `}}`
    Close,
    /// `}}}`
    CloseTriple,
    /// `(`
    OpenParenthesis,
    /// `)`
    CloseParenthesis,
    /// `name=`
    Key(String),
    /// A name.
    Path(Path),
    /// `'…'` or `"…"`
    String(String),
    /// A number.
    Number(f64),
    /// `true` or `false`
    Bool(bool),
    /// `null` or `undefined`
    Nothing,
    /// The end of the text.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::String(text) | Self::Key(text) => f.write_str(text),
            Self::Path(path) => f.write_str(&path.parts.join(".")),
            Self::Number(number) => number.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Comment => f.write_str("{{!"),
            Self::Open => f.write_str("{{"),
            Self::OpenRaw => f.write_str("{{&"),
            Self::OpenTriple => f.write_str("{{{"),
            Self::OpenBlock => f.write_str("{{#"),
            Self::OpenEnd => f.write_str("{{/"),
            Self::Else | Self::ElseIf => f.write_str("{{else"),
            Self::Close => f.write_str("}}"),
            Self::CloseTriple => f.write_str("}}}"),
            Self::OpenParenthesis => f.write_str("("),
            Self::CloseParenthesis => f.write_str(")"),
            Self::Nothing => f.write_str("null"),
            Self::End => f.write_str("the end of the text"),
        }
    }
}

impl Token {
    /// Returns the error for this token, found where `wanted` was expected.
    pub(super) fn unexpected(&self, wanted: &'static str) -> TemplateError {
        if *self == Self::End { unexpected_end(wanted) } else { unexpected(&self.to_string(), wanted) }
    }
}

/// Splits a text into tokens.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    /// Whether to remove the leading whitespace of the next text, because the expression before it ended with `~}}`.
    trim: bool,
    /// Whether the next text begins with an escaped `{{`.
    escaped: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, trim: false, escaped: false }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (head, tail) = self.rest.split_at(bytes);
        self.rest = tail;
        head
    }

    fn skip(&mut self, prefix: &str) -> bool {
        let found = self.rest.starts_with(prefix);
        if found {
            self.take(prefix.len());
        }
        found
    }

    /// Takes the next token outside expressions.
    pub(super) fn outside(&mut self) -> Result<Token, TemplateError> {
        if self.rest.is_empty() {
            return Ok(Token::End);
        }
        let text = self.text();
        let opens = self.rest.starts_with("{{") && !self.escaped;
        let text = if std::mem::take(&mut self.trim) { text.trim_start_matches(is_space) } else { text };
        let strips = opens && self.rest.starts_with("{{~");
        let text = if strips { text.trim_end_matches(is_space) } else { text };
        if !text.is_empty() {
            return Ok(Token::Text(text.to_owned()));
        }
        if opens { self.open() } else { self.outside() }
    }

    /// Takes the text up to the next expression or escape.
    fn text(&mut self) -> &'a str {
        // An escaped text extends to the next braces.
        let from = if std::mem::take(&mut self.escaped) { 2 } else { 0 };
        let Some(at) = self.rest.get(from..).and_then(|rest| rest.find("{{")).map(|at| at + from) else {
            let all = self.rest.len();
            return self.take(all);
        };
        let slashes = self.rest[..at].bytes().rev().take_while(|b| *b == b'\\').count();
        let text = self.take(at);
        if slashes == 0 {
            return text;
        }
        // `\{{` is text; `\\{{` is a backslash and an expression.
        self.escaped = slashes == 1;
        &text[..text.len() - 1]
    }

    fn open(&mut self) -> Result<Token, TemplateError> {
        if self.skip("{{{{") {
            return Err(TemplateError::Unsupported("{{{{".to_owned()));
        }
        self.take(2);
        self.skip("~");
        if let Some(after) = self.rest.strip_prefix('!') {
            return self.comment(after.starts_with("--"));
        }
        if let Some(token) = self.otherwise() {
            return Ok(token);
        }
        for (sign, token) in
            [("{", Token::OpenTriple), ("&", Token::OpenRaw), ("#", Token::OpenBlock), ("/", Token::OpenEnd)]
        {
            if self.skip(sign) {
                return match self.rest.chars().next() {
                    Some(sign @ ('>' | '*')) => Err(TemplateError::Unsupported(format!("{{{{#{sign}"))),
                    _ => Ok(token),
                };
            }
        }
        match self.rest.chars().next() {
            Some(sign @ ('>' | '*' | '^')) => Err(TemplateError::Unsupported(format!("{{{{{sign}"))),
            _ => Ok(Token::Open),
        }
    }

    fn comment(&mut self, dashed: bool) -> Result<Token, TemplateError> {
        let ends: &[&str] = if dashed { &["--}}", "--~}}"] } else { &["}}"] };
        let from = if dashed { 3 } else { 1 };
        let inside = self.rest.get(from..).unwrap_or_default();
        let found = ends.iter().filter_map(|end| Some((inside.find(end)?, end.len()))).min();
        let Some((at, length)) = found else { return Err(unexpected_end("the end of the comment")) };
        let comment = self.take(from + at + length);
        self.trim = comment.ends_with("~}}");
        Ok(Token::Comment)
    }

    /// Takes `else}}`, `^}}` or the beginning of `else if`.
    fn otherwise(&mut self) -> Option<Token> {
        let rest = self.rest.trim_start_matches(is_space);
        let caret = rest.strip_prefix('^');
        let word = rest.strip_prefix("else");
        let after = caret.or(word)?;
        let closing = after.trim_start_matches(is_space);
        let closing = closing.strip_prefix('~').unwrap_or(closing);
        if let Some(tail) = closing.strip_prefix("}}") {
            self.trim = self.rest[..self.rest.len() - tail.len()].ends_with("~}}");
            self.rest = tail;
            return Some(Token::Else);
        }
        if word?.starts_with(char::is_alphanumeric) {
            return None;
        }
        self.rest = word?;
        Some(Token::ElseIf)
    }

    /// Returns the next token inside an expression without taking it.
    pub(super) fn peek(&mut self) -> Result<Token, TemplateError> {
        let (rest, trim) = (self.rest, self.trim);
        let token = self.inside()?;
        (self.rest, self.trim) = (rest, trim);
        Ok(token)
    }

    /// Takes the next token inside an expression.
    pub(super) fn inside(&mut self) -> Result<Token, TemplateError> {
        self.rest = self.rest.trim_start_matches(is_space);
        for (text, token) in [
            ("}~}}", Token::CloseTriple),
            ("}}}", Token::CloseTriple),
            ("~}}", Token::Close),
            ("}}", Token::Close),
            ("(", Token::OpenParenthesis),
            (")", Token::CloseParenthesis),
        ] {
            if self.skip(text) {
                self.trim = text.contains('~');
                return Ok(token);
            }
        }
        match self.rest.chars().next() {
            None => Ok(Token::End),
            Some(quote @ ('"' | '\'')) => self.string(quote),
            Some(sign @ ('@' | '|')) => Err(TemplateError::Unsupported(sign.to_string())),
            Some(_) => self.word(),
        }
    }

    fn string(&mut self, quote: char) -> Result<Token, TemplateError> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            if character == quote {
                self.take(at + 1);
                return Ok(Token::String(text));
            }
            // A backslash before any other character is an ordinary character.
            if character == '\\' && self.rest[at + 1..].starts_with(quote) {
                characters.next();
                text.push(quote);
            } else {
                text.push(character);
            }
        }
        Err(unexpected_end("the closing quote"))
    }

    fn word(&mut self) -> Result<Token, TemplateError> {
        let mut path = Path { parts: Vec::new(), up: 0 };
        let first = self.segment()?;
        let ends = |rest: &str| rest.is_empty() || rest.starts_with(|c: char| is_space(c) || "~})".contains(c));
        if ends(self.rest)
            && let Some(token) = literal(&first)
        {
            return Ok(token);
        }
        if self.rest.trim_start_matches(is_space).starts_with('=') && !first.literal {
            let at = self.rest.find('=').unwrap_or_default();
            self.take(at + 1);
            return Ok(Token::Key(first.text));
        }
        let mut next = Some(first);
        while let Some(segment) = next {
            match segment.text.as_str() {
                ".." | "." | "this" if !segment.literal && !path.parts.is_empty() => {
                    return Err(unexpected(&segment.text, "a name"));
                }
                ".." if !segment.literal => path.up += 1,
                "." | "this" if !segment.literal => {}
                _ => path.parts.push(segment.text),
            }
            next = if self.skip(".") || self.skip("/") { Some(self.segment()?) } else { None };
        }
        Ok(Token::Path(path))
    }

    fn segment(&mut self) -> Result<Segment, TemplateError> {
        if let Some(inner) = self.rest.strip_prefix('[') {
            let Some(end) = inner.find(']') else { return Err(unexpected("[", "a name")) };
            let text = inner[..end].to_owned();
            self.take(end + 2);
            return Ok(Segment { text, literal: true });
        }
        for dots in ["..", "."] {
            if self.skip(dots) {
                return Ok(Segment { text: dots.to_owned(), literal: false });
            }
        }
        let number = number_length(self.rest);
        let plain = |c: char| !is_space(c) && !"!\"#%&'()*+,./;<=>@[\\]^`{|}~".contains(c);
        let end = self.rest.find(|c| !plain(c)).unwrap_or(self.rest.len()).max(number);
        if end == 0 {
            let found = self.rest.chars().next().ok_or_else(|| unexpected_end("a name"))?;
            return Err(unexpected(&found.to_string(), "a name"));
        }
        Ok(Segment { text: self.take(end).to_owned(), literal: false })
    }
}

struct Segment {
    text: String,
    /// Whether it is written as `[…]`, where no word has a special meaning.
    literal: bool,
}

fn literal(segment: &Segment) -> Option<Token> {
    match segment.text.as_str() {
        _ if segment.literal => None,
        "true" => Some(Token::Bool(true)),
        "false" => Some(Token::Bool(false)),
        "null" | "undefined" => Some(Token::Nothing),
        text if number_length(text) == text.len() => text.parse().ok().map(Token::Number),
        _ => None,
    }
}

/// Returns the length of the number at the beginning of the text, or 0. A number is `-?[0-9]+(\.[0-9]+)?`, followed by
/// a space or the end of the expression.
fn number_length(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with('-'));
    let whole = digits(&text[sign..]);
    if whole == 0 {
        return 0;
    }
    let mut length = sign + whole;
    if let Some(fraction) = text[length..].strip_prefix('.').map(digits).filter(|digits| *digits > 0) {
        length += 1 + fraction;
    }
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(|c: char| is_space(c) || "~})".contains(c));
    if ends(&text[length..]) { length } else { 0 }
}
