//! Text that a server wrote: made fit to be shown, and searched for our secrets.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

/// At most so many characters, in one line, without what could steer a terminal.
pub(crate) fn shown(text: &str, most: usize) -> String {
    folded(text).chars().take(most).collect()
}

/// With a single space for each run of white space and control characters, and without invisible ones.
pub(crate) fn folded(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let words = visible.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Without what could steer a terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !is_invisible(*c)).collect()
}

/// Whether nobody can see it: zero width, or a mark of the direction of text. They come along when people copy, and turn around
/// what a terminal shows.
pub(crate) fn is_invisible(c: char) -> bool {
    const SINGLE: [char; 10] = [
        '\u{ad}', '\u{34f}', '\u{61c}', '\u{115f}', '\u{1160}', '\u{180e}', '\u{3164}', '\u{feff}', '\u{ffa0}',
        '\u{2028}',
    ];
    SINGLE.contains(&c)
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2029}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether the text holds the secret in any spelling: as it is, with other white space, in other case, encoded for a URL, a
/// form, JSON or HTML, in hexadecimal digits or base64, and by itself or within something longer.
pub(crate) fn holds(text: &str, secret: &str) -> bool {
    let wanted = Zeroizing::new(squeezed(secret));
    // Of a secret that is all white space nothing is left to look for.
    if wanted.is_empty() {
        return false;
    }
    let encoded = Zeroizing::new(encoded(secret));
    // In a form a plus is a space.
    [text.to_owned(), text.replace('+', " ")].into_iter().any(|text| {
        let mut text = Zeroizing::new(text);
        // What is in a text can be encoded along with it.
        (0..3).any(|_| {
            let squeezed = Zeroizing::new(squeezed(&text));
            text = Zeroizing::new(decoded(&text));
            squeezed.contains(&**wanted) || encoded.iter().any(|code| squeezed.contains(&**code))
        })
    })
}

/// Without white space and what nobody sees, in lower case.
fn squeezed(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !is_invisible(*c));
    kept.flat_map(char::to_lowercase).collect()
}

/// The secret in hexadecimal digits, and in base64 as it stands there within something longer.
fn encoded(secret: &str) -> Vec<String> {
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![hexadecimal];
    for (before, first) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = Zeroizing::new([vec![0; before], secret.as_bytes().to_vec()].concat());
        let code = Zeroizing::new(BASE64_STANDARD_NO_PAD.encode(&*bytes));
        // The last character may hold bits of what comes after.
        let whole = bytes.len() * 8 / 6;
        if let Some(code) = code.get(first..whole).filter(|code| code.len() >= 4) {
            all.push(code.to_lowercase());
            all.push(code.to_lowercase().replace('+', "-").replace('/', "_"));
        }
    }
    all
}

/// With the escapes of URLs, JSON and HTML taken out, whichever they are.
fn decoded(text: &str) -> String {
    let text = percent_decode_str(text).decode_utf8_lossy();
    let mut decoded = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find(['\\', '&']) {
        let (before, escape) = rest.split_at(at);
        decoded.push_str(before);
        let (c, length) = escaped(escape);
        decoded.push_str(&c);
        rest = escape.get(length..).unwrap_or_default();
    }
    decoded.push_str(rest);
    decoded
}

/// What the escape at the start of a text stands for, and how long it is.
fn escaped(text: &str) -> (Cow<'_, str>, usize) {
    let number = |digits: Option<&str>, radix| {
        let code = u32::from_str_radix(digits?, radix).ok()?;
        char::from_u32(code).map(|c| Cow::Owned(c.to_string()))
    };
    if let Some(rest) = text.strip_prefix('\\') {
        for (letter, length) in [('u', 4), ('x', 2)] {
            if let Some(c) = rest.strip_prefix(letter).and_then(|rest| number(rest.get(..length), 16)) {
                return (c, 2 + length);
            }
        }
        // `\"` is `"`, and `\n` is white space, which doesn't count.
        let escape = rest.chars().next().map_or(0, char::len_utf8);
        return match rest.get(..escape) {
            Some("n" | "r" | "t" | "b" | "f") => (" ".into(), 1 + escape),
            escaped => (escaped.unwrap_or_default().into(), 1 + escape),
        };
    }
    let name = text.get(1..).and_then(|rest| rest.split_once(';')).map(|(name, _)| name).filter(|name| name.len() <= 8);
    let c = name.and_then(|name| match name {
        "amp" => Some("&".into()),
        "lt" => Some("<".into()),
        "gt" => Some(">".into()),
        "quot" => Some("\"".into()),
        "apos" => Some("'".into()),
        "nbsp" => Some(" ".into()),
        _ => match name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
            Some(digits) => number(Some(digits), 16),
            None => number(name.strip_prefix('#'), 10),
        },
    });
    match (c, name) {
        (Some(c), Some(name)) => (c, name.len() + 2),
        _ => ("&".into(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::{holds, shown};

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let secret = "Zäh/ \"&é+x";
        let spellings = [
            "no Zäh/ \"&é+x here",
            "no zÄH/\u{200b} \n\"&É+X here",
            "Z%C3%A4h%2F%20%22%26%C3%A9%2Bx",
            "Z%c3%a4h%2f+%22%26%c3%a9%2bx",
            "Z%25C3%25A4h%252F%2520%2522%2526%25C3%25A9%252Bx",
            r#"Z\u00e4h\/ \"&\u00E9+x"#,
            "Z&#228;h/ &quot;&amp;&#xe9;+x",
            "5ac3a4682f202226c3a92b78",
            "WsOkaC8gIibDqSt4",
            "xxxxWsOkaC8gIibDqSt4xx",
            // Behind one byte, and behind two.
            "eFrDpGgvICImw6kreA==",
            "eHhaw6RoLyAiJsOpK3g=",
        ];
        for text in spellings {
            assert!(holds(text, secret), "{text}");
        }
        for text in ["", "Zäh", "%", "&", "\\", "&#;", "&#x110000;", "\\u12", "Zah/ \"&e+x"] {
            assert!(!holds(text, secret), "{text}");
        }
        assert!(!holds("a b", " ") && holds("User does not exist.", "x"));
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        assert_eq!(shown("a\u{202e}b\u{200b}c\u{1b}[2J\n\u{2066}d", 100), "abc [2J d");
        assert_eq!(shown("abcdef", 3), "abc");
    }
}
