//! Text that a server wrote: made fit to be shown, and searched for our secrets.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

/// At most so many characters, in one line, without what could steer a terminal.
pub(crate) fn shown(text: &str, most: usize) -> String {
    folded(text).chars().take(most).collect()
}

/// With a single space for each run of white space and control characters, and without invisible ones.
pub(crate) fn folded(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !is_hidden(*c)).collect();
    let words = visible.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Without what could steer a terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !is_hidden(*c)).collect()
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

/// The same, and what people do type but nobody misses: marks of how the character before looks, and blanks.
fn is_hidden(c: char) -> bool {
    is_invisible(c)
        || matches!(c, '\u{2800}' | '\u{fe00}'..='\u{fe0f}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}')
}

/// A text in all the spellings in which it may hold a secret: as it is, and with the escapes of URLs, forms, JSON and HTML taken
/// out, also where one is in another.
pub(crate) struct Spellings(Vec<Zeroizing<String>>);

impl Spellings {
    pub(crate) fn of(text: &str) -> Self {
        let mut all = Vec::new();
        // In a form a plus is a space.
        for text in [text.to_owned(), text.replace('+', " ")] {
            let mut text = Zeroizing::new(text);
            for _ in 0..3 {
                all.push(Zeroizing::new(squeezed(&text)));
                text = Zeroizing::new(decoded(&text));
            }
        }
        all.dedup();
        Self(all)
    }

    /// Whether it holds the secret: with other white space, in other case, in hexadecimal digits or base64, taken for
    /// ISO-8859-1, by itself or within something longer.
    pub(crate) fn hold(&self, secret: &str) -> bool {
        let mut wanted = spelled(secret);
        // Of a secret that is all white space nothing is left to look for.
        wanted.retain(|wanted| !wanted.is_empty());
        self.0.iter().any(|text| wanted.iter().any(|wanted| text.contains(&**wanted)))
    }
}

/// Without white space and what nobody sees, in lower case.
fn squeezed(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !is_hidden(*c));
    kept.flat_map(char::to_lowercase).collect()
}

fn spelled(secret: &str) -> Vec<Zeroizing<String>> {
    let latin: String = secret.bytes().map(char::from).collect();
    let digits: Vec<_> = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![squeezed(secret), squeezed(&latin), digits.concat(), digits.join(":")];
    // In base64 as it stands within something longer.
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
    all.into_iter().map(Zeroizing::new).collect()
}

/// With the escapes of URLs, JSON and HTML taken out, whichever they are.
fn decoded(text: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    // What isn't UTF-8 was ISO-8859-1.
    let text = String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().iter().copied().map(char::from).collect());
    let mut decoded = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find(['\\', '&']) {
        let (before, escape) = rest.split_at(at);
        decoded.push_str(before);
        let (c, length) = if escape.starts_with('&') { entity(escape) } else { escaped(escape) };
        decoded.push(c);
        rest = escape.get(length..).unwrap_or_default();
    }
    decoded.push_str(rest);
    decoded
}

/// What the backslash at the start of a text makes of what follows, and how long that is.
fn escaped(text: &str) -> (char, usize) {
    let unit = |at: usize, digits: usize| u32::from_str_radix(text.get(at..at + digits)?, 16).ok();
    let mark = text.get(1..).and_then(|rest| rest.chars().next());
    match mark {
        Some('u') => match (unit(2, 4), text.get(6..8), unit(8, 4)) {
            // A pair of surrogates is one character.
            (Some(high @ 0xd800..0xdc00), Some("\\u"), Some(low @ 0xdc00..0xe000)) => {
                (char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap_or(' '), 12)
            }
            (Some(code), ..) => (char::from_u32(code).unwrap_or(' '), 6),
            (None, ..) => ('u', 2),
        },
        Some('x') => unit(2, 2).and_then(char::from_u32).map_or(('x', 2), |c| (c, 4)),
        // White space, which doesn't count.
        Some('n' | 'r' | 't' | 'b' | 'f') | None => (' ', 2),
        // Such as a quote.
        Some(c) => (c, 1 + c.len_utf8()),
    }
}

/// What the entity at the start of a text stands for, and how long it is, with a semicolon at its end or without; its `&` if it
/// is none.
fn entity(text: &str) -> (char, usize) {
    const NAMED: [(&str, char); 6] =
        [("&amp", '&'), ("&lt", '<'), ("&gt", '>'), ("&quot", '"'), ("&apos", '\''), ("&nbsp", ' ')];
    let number = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix)?.bytes().take(12).take_while(|byte| char::from(*byte).is_digit(radix));
        let end = prefix.len() + digits.count();
        let code = u32::from_str_radix(text.get(prefix.len()..end)?, radix).ok();
        Some((code.and_then(char::from_u32)?, end))
    };
    let named = || NAMED.iter().find(|(name, _)| text.starts_with(name)).map(|(name, c)| (*c, name.len()));
    let found = number("&#x", 16).or_else(|| number("&#X", 16)).or_else(|| number("&#", 10)).or_else(named);
    let semicolon = |end: usize| usize::from(text.as_bytes().get(end) == Some(&b';'));
    found.map_or(('&', 1), |(c, end)| (c, end + semicolon(end)))
}

#[cfg(test)]
mod tests {
    use super::{Spellings, shown};

    fn holds(text: &str, secret: &str) -> bool {
        Spellings::of(text).hold(secret)
    }

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
            "5a:c3:a4:68:2f:20:22:26:c3:a9:2b:78",
            // Read as ISO-8859-1, and encoded so.
            "Z\u{c3}\u{a4}h/ \"&\u{c3}\u{a9}+x",
            "Z%E4h%2F%20%22%26%E9%2Bx",
            "Z&#0000228h/ \"&#x0026;&#xe9+x",
        ];
        for text in spellings {
            assert!(holds(text, secret), "{text}");
        }
        for text in ["", "Zäh", "%", "&", "\\", "&#;", "&#x110000;", "\\u12", "Zah/ \"&e+x"] {
            assert!(!holds(text, secret), "{text}");
        }
        assert!(holds(r"a pw\ud83d\ude00 b", "pw\u{1f600}"));
        assert!(!holds("a b", " ") && holds("User does not exist.", "x"));
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_shown() {
        assert_eq!(shown("a\u{202e}b\u{200b}c\u{1b}[2J\n\u{2066}d", 100), "abc [2J d");
        assert_eq!(shown("a\u{fff9}b\u{fe0f}c\u{2800}d", 100), "abcd");
        assert_eq!(shown("abcdef", 3), "abc");
    }

    /// As long as an answer may be, which is searched while others wait.
    #[test]
    fn a_long_text_is_searched_in_no_time() {
        for unit in ["&", "&amp;", "%25", "\\", "\\u12", "\u{e9}", "&#x"] {
            let text = unit.repeat(64 * 1024 / unit.len());
            let begun = std::time::Instant::now();
            assert!(!holds(&text, "secret"), "{unit}");
            assert!(begun.elapsed().as_millis() < 1500, "{unit}: {:?}", begun.elapsed());
        }
    }
}
