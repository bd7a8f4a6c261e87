//! What a change means in Rust: how the generated client moved, and what that asks of the version (Cargo's reading of SemVer).

use std::collections::BTreeMap;

use quote::ToTokens;
use syn::{File, ImplItem, Item, visit_mut::VisitMut};

use super::text::around;
use crate::outline;

/// The items of an outline that came, went or are otherwise now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
    /// Before and now.
    pub(crate) changed: Vec<(String, String)>,
    /// Whether something that was added breaks who builds or matches what was there: a field of an open struct, a variant.
    breaking_addition: bool,
}

impl Moves {
    pub(crate) fn between(before: &str, now: &str) -> Self {
        let by_item = |outline: &str| {
            let mut items: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for line in outline.lines() {
                items.entry(item(line).to_owned()).or_default().push(line.to_owned());
            }
            items
        };
        let (before, mut now) = (by_item(before), by_item(now));
        let added = now.iter().filter(|(item, _)| !before.contains_key(*item)).flat_map(|(_, lines)| lines);
        let breaking_addition = added.into_iter().any(|line| breaks_users(line, &before));
        let mut moves = Self { breaking_addition, ..Self::default() };
        for (item, mut before) in before {
            let mut now = now.remove(&item).unwrap_or_default();
            // What is the same in both has not moved, whatever stands beside it.
            before.retain(|line| match now.iter().position(|other| other == line) {
                Some(same) => {
                    now.remove(same);
                    false
                }
                None => true,
            });
            let (mut before, mut now) = (before.into_iter(), now.into_iter());
            loop {
                match (before.next(), now.next()) {
                    (Some(before), Some(now)) => moves.changed.push((before, now)),
                    (Some(before), None) => moves.removed.push(before),
                    (None, Some(now)) => moves.added.push(now),
                    (None, None) => break,
                }
            }
        }
        moves.added.extend(now.into_values().flatten());
        moves
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn bump(&self) -> Bump {
        if !self.removed.is_empty() || !self.changed.is_empty() || self.breaking_addition {
            Bump::Breaking
        } else if self.added.is_empty() {
            Bump::Patch
        } else {
            Bump::Minor
        }
    }

    /// Whether a line that came, went or changed is about the function or type `name`.
    fn speaks_of(&self, name: &str) -> bool {
        let name = name.rsplit("::").next().unwrap_or(name);
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let lines = self.changed.iter().flat_map(|(before, now)| [before, now]).chain(&self.added).chain(&self.removed);
        lines.into_iter().any(|line| item(line).split(|c| !is_name(c)).any(|word| word == name))
    }
}

/// Whether an added line breaks users of what was there: who builds a struct has a field more to fill, who matches an enum a variant.
fn breaks_users(line: &str, before: &BTreeMap<String, Vec<String>>) -> bool {
    let was_there = |kind: &str, whole: &str| before.contains_key(&format!("pub {kind} {whole}"));
    let item = item(line).trim_start_matches("pub ");
    match item.rsplit_once('.') {
        Some((whole, _)) => was_there("struct", whole),
        None => item.rsplit_once("::").is_some_and(|(whole, _)| was_there("enum", whole)),
    }
}

/// What a line speaks of: the part before its type, its arguments or its derives.
fn item(line: &str) -> &str {
    let start = line.find("fn ").map_or(0, |at| at + 3);
    let ends = if start == 0 { &[": ", "(", "{", " = "][..] } else { &["(", "<"] };
    if line.starts_with("impl ") || line.starts_with("pub use ") {
        return line;
    }
    let rest = line.get(start..).unwrap_or_default();
    let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
    line.get(..start + end).unwrap_or(line)
}

/// How one generated client differs from another.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) surface: Moves,
    /// What looks the same to a caller and does something else: the function or type, and its lines that went and came, each with
    /// its neighbors.
    pub(crate) inside: Vec<(String, Vec<String>)>,
    /// The servers that went and came.
    pub(crate) servers: Vec<String>,
}

impl Difference {
    /// Between two generated files; of one that isn't there the code is empty.
    pub(crate) fn between(before: &str, now: &str) -> syn::Result<Self> {
        let surface = Moves::between(&outline(before)?, &outline(now)?);
        let mut inside = Vec::new();
        let before = parts(syn::parse_file(before)?);
        for (name, now) in parts(syn::parse_file(now)?) {
            let Some(before) = before.get(&name).filter(|before| **before != now) else { continue };
            if !surface.speaks_of(&name) {
                inside.push((name, around(before, &now)));
            }
        }
        Ok(Self { surface, inside, servers: Vec::new() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.surface.is_empty() && self.inside.is_empty() && self.servers.is_empty()
    }

    /// Whether users of the client must change their code, or get another answer to it.
    pub(crate) fn bump(&self) -> Bump {
        if self.inside.is_empty() && self.servers.is_empty() { self.surface.bump() } else { Bump::Breaking }
    }
}

/// The code without what is for people: comments and docs.
pub(crate) fn without_words(mut file: File) -> File {
    struct Docs;
    impl VisitMut for Docs {
        fn visit_attributes_mut(&mut self, attributes: &mut Vec<syn::Attribute>) {
            attributes.retain(|attribute| !attribute.path().is_ident("doc"));
        }
    }
    Docs.visit_file_mut(&mut file);
    file
}

/// Each function and type by its name, formatted, without words.
fn parts(file: File) -> BTreeMap<String, String> {
    fn add(path: &str, items: Vec<Item>, parts: &mut BTreeMap<String, String>) {
        for item in items {
            let (name, code) = match item {
                Item::Mod(item) => {
                    let path = format!("{path}{}::", item.ident);
                    add(&path, item.content.map(|(_, items)| items).unwrap_or_default(), parts);
                    continue;
                }
                Item::Impl(item) => {
                    // What a trait says of a type is in the type's own attributes; the version isn't sent.
                    let owner = item.self_ty.to_token_stream().to_string();
                    for method in item.items {
                        if let (ImplItem::Fn(method), None) = (method, &item.trait_) {
                            let name = format!("{path}{owner}::{}", method.sig.ident);
                            let tokens = method.to_token_stream();
                            let text = tokens.to_string();
                            parts.insert(name, syn::parse2(tokens).map_or(text, formatted));
                        }
                    }
                    continue;
                }
                Item::Struct(_) | Item::Enum(_) | Item::Fn(_) => (name(&item), item),
                _ => continue,
            };
            parts.insert(format!("{path}{name}"), formatted(code));
        }
    }
    let mut parts = BTreeMap::new();
    add("", without_words(file).items, &mut parts);
    parts
}

fn name(item: &Item) -> String {
    match item {
        Item::Struct(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        _ => String::new(),
    }
}

fn formatted(item: Item) -> String {
    prettyplease::unparse(&File { shebang: None, frontmatter: None, attrs: Vec::new(), items: vec![item] })
}

/// What the next version must be at least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bump {
    #[default]
    Patch,
    Minor,
    Breaking,
}

impl Bump {
    /// The next version after `version`, `major.minor.patch`. Before 1.0.0 the second number does what the first does from then on,
    /// and the third what the second does.
    pub(crate) fn after(self, version: &str) -> Option<String> {
        let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
        let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(match (self, major, minor) {
            (Self::Breaking, 0, 0) => format!("0.0.{}", patch + 1),
            (Self::Breaking, 0, _) => format!("0.{}.0", minor + 1),
            (Self::Breaking, ..) => format!("{}.0.0", major + 1),
            (Self::Minor, 1.., _) => format!("{major}.{}.0", minor + 1),
            _ => format!("{major}.{minor}.{}", patch + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Bump, Moves};

    #[test]
    fn what_moved_says_whether_users_break() {
        let before =
            "pub struct Open: Clone\npub Open.a: u8\npub enum E: Debug\npub E::A\npub Open: fn a(&self) -> u8\n";
        let cases = [
            ("", Bump::Patch),
            ("pub Open.b: u8\n", Bump::Breaking),
            ("pub E::B(u8)\n", Bump::Breaking),
            ("pub Open: fn b(&self)\n", Bump::Minor),
            ("pub struct New: Clone\npub New.a: u8\n", Bump::Minor),
            ("impl Clone for E\n", Bump::Minor),
        ];
        for (added, bump) in cases {
            let moves = Moves::between(before, &format!("{before}{added}"));
            assert_eq!((moves.bump(), moves.removed.len(), moves.changed.len()), (bump, 0, 0), "{added}");
        }
        let (was, is) = ("pub Open: fn a(&self) -> u8", "pub Open: fn a(&self) -> u16");
        let moves = Moves::between(before, &before.replace(was, is));
        assert_eq!(moves.changed, [(was.to_owned(), is.to_owned())]);
        assert_eq!(moves.bump(), Bump::Breaking);
        let moves = Moves::between(before, &before.replace(&format!("{was}\n"), ""));
        assert_eq!((moves.bump(), moves.removed), (Bump::Breaking, vec![was.to_owned()]));
    }

    /// The report has but one version, this workspace's.
    #[test]
    fn the_next_version_follows_semver() {
        let cases = [
            ("0.0.3", ["0.0.4", "0.0.4", "0.0.4"]),
            ("0.1.2", ["0.1.3", "0.1.3", "0.2.0"]),
            ("1.2.3", ["1.2.4", "1.3.0", "2.0.0"]),
        ];
        for (version, next) in cases {
            let bumps = [Bump::Patch, Bump::Minor, Bump::Breaking];
            assert_eq!(bumps.map(|bump| bump.after(version)), next.map(|next| Some(next.to_owned())), "{version}");
        }
    }
}
