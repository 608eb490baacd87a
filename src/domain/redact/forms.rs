//! The encodings in which programs may print a secret.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Returns all forms of a secret except hex digits: plain, base64, percent-encoded, escaped.
pub(super) fn of_value(value: &str) -> Vec<String> {
    let mut forms = of_line(value);
    forms.extend(in_base64(value));
    forms.extend(percent_encoded(value));
    forms.extend(one_byte_wide(value));
    forms
}

/// Returns the forms of a line of a secret: plain and escaped.
pub(super) fn of_line(line: &str) -> Vec<String> {
    let mut forms = vec![line.to_owned()];
    forms.extend(escaped(line));
    forms
}

/// Returns the base64 of the text, also with a line end and within a longer text such as `user:password`. Within a
/// longer text, only the characters that depend on nothing but the text. Also split into lines, as `base64` and
/// `openssl` do.
fn in_base64(text: &str) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(text)];
    for before in 0..3 {
        let bytes = [&b"xx"[..before], text.as_bytes()].concat();
        let decided = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.extend(encoded.get(decided.clone()).map(str::to_owned));
        }
    }
    let whole = forms[1].clone();
    for columns in [76, 64] {
        // A very short last line could be an ordinary word.
        let lines = whole.as_bytes().chunks(columns).filter(|line| (8..whole.len()).contains(&line.len()));
        forms.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
    }
    forms
}

/// Returns the percent-encoded forms, which differ in the unescaped characters, the case of the digits, and the
/// encoding of a space.
fn percent_encoded(text: &str) -> [String; 5] {
    let encoded = |unescaped: &[u8], hex: fn(u8) -> String| -> String {
        let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || unescaped.contains(&byte);
        text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { hex(byte) }).collect()
    };
    let upper = |byte| format!("%{byte:02X}");
    let strict = encoded(b"", upper);
    let lower = encoded(b"", |byte| format!("%{byte:02x}"));
    [encoded(b"/", upper), encoded(b"!*'()", upper), strict.replace("%20", "+"), lower, strict]
}

/// Returns the text escaped for JSON, also in the variants of Go and Python, and for XML.
fn escaped(text: &str) -> [String; 6] {
    // Serializing a string cannot fail.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let json = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let html = json.replace('<', r"\u003c").replace('>', r"\u003e").replace('&', r"\u0026");
    let ascii = json.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!(r"\u{unit:04x}")));
        }
        out
    });
    let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let [python, go] = ["&#x27;", "&#39;"].map(|quote| xml.replace('\'', quote));
    // Go escapes double quotes numerically too.
    let go = go.replace("&quot;", "&#34;");
    [json.to_owned(), html, ascii, xml, python, go]
}

/// Returns the ASCII characters of the text, which remain if the others are invalid UTF-8, as in Latin-1 and UTF-16.
fn one_byte_wide(text: &str) -> Option<String> {
    const SHORTEST: usize = 8;
    let ascii: String = text.chars().filter(char::is_ascii).collect();
    (ascii.len() >= SHORTEST && ascii.len() < text.len()).then_some(ascii)
}
