//! The docs of generated code. Descriptions are Markdown that somebody else wrote, and rustdoc gives much of Markdown a meaning:
//! code becomes a test, a bracket a link to an item, HTML a part of the page. Here it becomes text.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};
use syn::{Attribute, Expr, Lit, Meta, parse_quote, visit_mut::VisitMut};

/// Tames all docs in `file`, and has each line stand by itself, since in a block comment `*` and `*/` have a meaning.
pub(crate) fn tame_all(file: &mut syn::File) {
    struct Docs;
    impl VisitMut for Docs {
        fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
            let docs: Vec<_> = attributes.iter().filter_map(doc).collect();
            if docs.is_empty() {
                return;
            }
            attributes.retain(|attribute| doc(attribute).is_none());
            let lines = tame(&docs.join("\n"));
            let lines = lines.lines().map(|line| if line.is_empty() { String::new() } else { format!(" {line}") });
            attributes.splice(0..0, lines.map(|line| parse_quote!(#[doc = #line])));
        }
    }
    Docs.visit_file_mut(file);
}

fn doc(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(value) => match &value.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Markdown in which rustdoc finds nothing to run, to resolve, or to put into its page as it is: code is marked as text, and
/// what would be HTML, an image, or a link to anything but a page or an address is escaped.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = unindented(text);
    // An edit may show what it hid. Each takes one thing away, so few rounds are enough for all that people write.
    for _ in 0..8 {
        let edits = edits(&tamed);
        if edits.is_empty() {
            return tamed;
        }
        for (place, text) in edits.into_iter().rev() {
            tamed.replace_range(place, &text);
        }
    }
    fenced(&unindented(text))
}

/// As rustdoc takes it: without the indentation that all lines share, in which a tab is one character, and without empty lines at
/// either end.
fn unindented(text: &str) -> String {
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let lines = || text.lines().map(str::trim_end);
    let shared = lines().filter(|line| !line.is_empty()).map(indentation).min().unwrap_or(0);
    let lines: Vec<_> = lines().map(|line| line.get(shared..).unwrap_or_default()).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// All of it as one block, whatever it holds.
fn fenced(text: &str) -> String {
    let fence = fence(text);
    format!("{fence}text\n{text}\n{fence}")
}

/// A fence that `code` doesn't end.
fn fence(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Places in `text`, in order and apart from each other, and what is to stand there.
fn edits(text: &str) -> Vec<(Range<usize>, String)> {
    // As rustdoc reads it.
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_SMART_PUNCTUATION;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let (mut links, mut in_code) = (0_usize, false);
    let events = Parser::new_ext(text, options).into_offset_iter();
    // One that nothing refers to is followed all the same.
    let definitions = events.reference_definitions().iter().filter(|(_, definition)| !is_harmless(&definition.dest));
    edits.extend(definitions.map(|(_, definition)| (definition.span.start..definition.span.start, "\\".to_owned())));
    for (event, range) in events {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                in_code = true;
                match kind {
                    CodeBlockKind::Fenced(info) if &*info == "text" => {}
                    CodeBlockKind::Fenced(_) => edits.push(as_text(text, range)),
                    CodeBlockKind::Indented => edits.extend(with_fences(text, range)),
                }
            }
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                links += 1;
                if !is_harmless(&dest_url) && link_type != LinkType::Email {
                    edits.push((range.start..range.start, "\\".to_owned()));
                }
            }
            Event::End(TagEnd::Link) => links = links.saturating_sub(1),
            Event::Start(Tag::Image { .. } | Tag::FootnoteDefinition(_)) | Event::FootnoteReference(_) => {
                edits.push((range.start..range.start, "\\".to_owned()));
            }
            Event::Html(_) | Event::InlineHtml(_) => {
                let source = text.get(range.clone()).unwrap_or_default();
                let opened = source.match_indices('<').map(|(at, _)| range.start + at);
                edits.extend(opened.map(|at| (at..at, "\\".to_owned())));
            }
            Event::Text(_) if !in_code => edits.extend(in_text(text, range, links > 0)),
            _ => {}
        }
    }
    edits.sort_by_key(|(place, _)| (place.start, place.end));
    edits.dedup();
    // What lies within another edit comes in the next round.
    let mut end = 0;
    edits.retain(|(place, _)| {
        let apart = place.start >= end;
        end = end.max(place.end);
        apart
    });
    edits
}

/// Whether a link leads to a page or an address, and nowhere else.
fn is_harmless(destination: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|scheme| destination.starts_with(scheme))
}

/// The info string of a fenced block.
fn as_text(text: &str, block: Range<usize>) -> (Range<usize>, String) {
    let source = text.get(block.clone()).unwrap_or_default();
    let line = source.lines().next().unwrap_or_default();
    let fence = line.len() - line.trim_start_matches(['`', '~']).len();
    (block.start + fence..block.start + line.len(), "text".to_owned())
}

/// Fences around an indented block, within the list or quote that it stands in.
fn with_fences(text: &str, block: Range<usize>) -> [(Range<usize>, String); 2] {
    let before = text.get(..block.start).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let prefix = before.get(line..).unwrap_or_default();
    // The four columns that make it code stay with the code.
    let container = prefix.strip_suffix("    ").or_else(|| prefix.strip_suffix('\t')).unwrap_or(prefix);
    let start = line + container.len();
    let next: String = container.chars().map(|c| if c == '>' { c } else { ' ' }).collect();
    let code = text.get(block.clone()).unwrap_or_default();
    let fence = fence(code);
    let break_before = if code.ends_with('\n') { "" } else { "\n" };
    let close = format!("{break_before}{next}{fence}{}", if break_before.is_empty() { "\n" } else { "" });
    [(start..start, format!("{fence}text\n{next}")), (block.end..block.end, close)]
}

/// Brackets, which rustdoc would take for links to items, and addresses, which it wants as links.
fn in_text(text: &str, range: Range<usize>, in_link: bool) -> Vec<(Range<usize>, String)> {
    let source = text.get(range.clone()).unwrap_or_default();
    let before = text.get(..range.start).unwrap_or_default();
    let mut edits = Vec::new();
    for (at, _) in source.match_indices('[') {
        let backslashes = [before, source.get(..at).unwrap_or_default()].concat();
        let backslashes = backslashes.len() - backslashes.trim_end_matches('\\').len();
        if backslashes % 2 == 0 {
            edits.push((range.start + at..range.start + at, "\\".to_owned()));
        }
    }
    if !in_link {
        for scheme in ["https://", "http://"] {
            for (at, _) in source.match_indices(scheme) {
                let start = range.start + at;
                let rest = text.get(start..).unwrap_or_default();
                let end =
                    rest.find(|c: char| c.is_whitespace() || "<>\"'`|\\()[]{}*".contains(c)).unwrap_or(rest.len());
                let address = rest.get(..end).unwrap_or_default().trim_end_matches(['.', ',', ';', ':', '!', '?', '_']);
                edits.push((start..start + address.len(), format!("<{address}>")));
            }
        }
    }
    edits
}
