//! How a public surface moved: its outline before and now, and what that means for the version (Cargo's reading of SemVer).

use std::collections::BTreeMap;

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

    pub(crate) fn verdict(&self) -> Verdict {
        if !self.removed.is_empty() || !self.changed.is_empty() || self.breaking_addition {
            Verdict::Breaking
        } else if !self.added.is_empty() {
            Verdict::Addition
        } else {
            Verdict::Same
        }
    }
}

/// Whether an added line breaks users of what was there: who builds an open struct has a field more to fill, who matches an open
/// enum a variant, who implements a trait a method.
fn breaks_users(line: &str, before: &BTreeMap<String, Vec<String>>) -> bool {
    let is_open = |kind: &str, whole: &str| {
        let lines = before.get(&format!("pub {kind} {whole}"));
        lines.is_some_and(|lines| {
            !lines.iter().any(|line| line.contains("private fields") || line.contains("non_exhaustive"))
        })
    };
    let item = item(line).trim_start_matches("pub ");
    if let Some((whole, _)) = item.split_once(": ") {
        is_open("trait", whole) && !line.contains(", provided")
    } else if let Some((whole, _)) = item.rsplit_once('.') {
        is_open("struct", whole)
    } else {
        item.rsplit_once("::").is_some_and(|(whole, _)| is_open("enum", whole))
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

/// What a surface that moved so asks of the next version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Same,
    Addition,
    Breaking,
}

impl Verdict {
    /// The verdict, and the next version after `version`, `major.minor.patch`.
    pub(crate) fn told(self, version: &str) -> String {
        let what = match self {
            Self::Same => "the same surface",
            Self::Addition => "a compatible addition",
            Self::Breaking => "a breaking change",
        };
        match self.next(version) {
            Some(next) => format!("{what}, {next}"),
            None => what.to_owned(),
        }
    }

    /// Before 1.0.0 the second number does what the first does from then on, and the third what the second does.
    fn next(self, version: &str) -> Option<String> {
        let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
        let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(match (self, major, minor) {
            (Self::Breaking, 0, 0) => format!("0.0.{}", patch + 1),
            (Self::Breaking, 0, _) => format!("0.{}.0", minor + 1),
            (Self::Breaking, ..) => format!("{}.0.0", major + 1),
            (Self::Addition, 1.., _) => format!("{major}.{}.0", minor + 1),
            _ => format!("{major}.{minor}.{}", patch + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Moves, Verdict};

    #[test]
    fn what_moved_says_whether_users_break() {
        let before = "pub struct Open: Clone\npub Open.a: u8\npub struct Shut: private fields\npub enum E: Debug\npub E::A\n\
                      pub enum Later: non_exhaustive\npub trait T\npub T: fn a(&self)\npub Shut: fn a(&self) -> u8\n";
        let cases = [
            ("", Verdict::Same),
            ("pub Open.b: u8\n", Verdict::Breaking),
            ("pub E::B(u8)\n", Verdict::Breaking),
            ("pub T: fn b(&self)\n", Verdict::Breaking),
            ("pub T: fn b(&self), provided\n", Verdict::Addition),
            ("pub Later::B\n", Verdict::Addition),
            ("pub Shut: fn b(&self)\n", Verdict::Addition),
            ("pub struct New: Clone\npub New.a: u8\n", Verdict::Addition),
            ("impl Clone for E\n", Verdict::Addition),
        ];
        for (added, verdict) in cases {
            let moves = Moves::between(before, &format!("{before}{added}"));
            assert_eq!((moves.verdict(), moves.removed.len(), moves.changed.len()), (verdict, 0, 0), "{added}");
        }
        let (was, is) = ("pub Shut: fn a(&self) -> u8", "pub Shut: fn a(&self) -> u16");
        let moves = Moves::between(before, &before.replace(was, is));
        assert_eq!(moves.changed, [(was.to_owned(), is.to_owned())]);
        assert_eq!(moves.verdict(), Verdict::Breaking);
        let moves = Moves::between(before, &before.replace(&format!("{was}\n"), ""));
        assert_eq!((moves.verdict(), moves.removed), (Verdict::Breaking, vec![was.to_owned()]));
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
            let verdicts = [Verdict::Same, Verdict::Addition, Verdict::Breaking];
            assert_eq!(
                verdicts.map(|verdict| verdict.next(version)),
                next.map(|next| Some(next.to_owned())),
                "{version}"
            );
        }
    }
}
