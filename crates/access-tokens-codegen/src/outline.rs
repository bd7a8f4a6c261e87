//! The outline of code: its public items with their signatures, sorted, short enough to be read in a review. Of generated code
//! from its text alone; of a crate that people write from its files, with every name followed to what it means.

mod condition;
mod names;
mod public;

use std::{collections::BTreeSet, path::Path};

use quote::ToTokens;
use syn::{Fields, ImplItem, Item, Visibility};

use crate::Error;

/// The public items of `code`, one line each, sorted.
///
/// # Errors
/// `code` doesn't parse as Rust.
///
/// ```
/// let outline = access_tokens_codegen::outline("pub mod types { #[derive(Clone)] pub struct Id { pub text: String, secret: u8 } }")?;
/// assert_eq!(outline, "pub struct types::Id: Clone\npub types::Id.text: String\n");
/// # Ok::<(), syn::Error>(())
/// ```
pub fn outline(code: &str) -> syn::Result<String> {
    let mut lines = Vec::new();
    items("", &syn::parse_file(code)?.items, &mut lines);
    lines.sort();
    lines.dedup();
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

/// One line of a [`crate_outline`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Line {
    /// Such as `pub http::Origins: fn new(…) -> Result<Self, Error> [any(reqwest-middleware, tower)]`: in brackets on what
    /// features it's there. Of names, `Error` is the crate's own at its public path, `crate::error::Inner` one that users
    /// can't name, `std::fmt::Error` the library's, `::url::Url` another crate's.
    pub text: String,
    /// The public module it is in; empty for the root. An `impl` is in the module of its type, and of its trait where the type is
    /// none of the crate's.
    pub module: String,
    /// The other crates whose items it names; of the standard library too.
    pub crates: BTreeSet<String>,
}

/// All that users of a crate can name, call or rely on, one line each, sorted; an item that is exported at several paths is at
/// each of them. What is for tests or `#[doc(hidden)]` isn't. Nothing is built: `lib` is the crate's first file, and the others
/// are found as the compiler finds them.
///
/// # Errors
/// A file can't be read or isn't Rust; or something in it might be public, and can't be told from the source alone: a macro that
/// makes items, a name that comes from another crate's `*`, `#[path]`. The message has file and line.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let lib = folder.path().join("lib.rs");
/// std::fs::write(&lib, "mod inner { pub fn ask(of: &url::Url) -> bool { true } } pub use inner::ask;")?;
/// let lines = access_tokens_codegen::crate_outline(&lib)?;
/// assert_eq!(lines[0].text, "pub fn ask(of: &::url::Url) -> bool");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn crate_outline(lib: &Path) -> Result<Vec<Line>, Error> {
    public::lines(&names::Crate::read(lib)?)
}

fn items(path: &str, items_: &[Item], lines: &mut Vec<String>) {
    for item in items_ {
        match item {
            Item::Mod(item) if public(&item.vis) => {
                if let Some((_, content)) = &item.content {
                    items(&format!("{path}{}::", item.ident), content, lines);
                }
            }
            Item::Struct(item) if public(&item.vis) => {
                let name = format!("{path}{}{}", item.ident, text(&item.generics));
                lines.push(format!("pub struct {name}{}", derives(&item.attrs)));
                for (index, field) in item.fields.iter().enumerate().filter(|(_, field)| public(&field.vis)) {
                    let field_name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
                    lines.push(format!("pub {name}.{field_name}: {}", text(&field.ty)));
                }
            }
            Item::Enum(item) if public(&item.vis) => {
                let name = format!("{path}{}{}", item.ident, text(&item.generics));
                lines.push(format!("pub enum {name}{}", derives(&item.attrs)));
                for variant in &item.variants {
                    let fields =
                        if matches!(variant.fields, Fields::Unit) { String::new() } else { text(&variant.fields) };
                    lines.push(format!("pub {name}::{}{fields}", variant.ident));
                }
            }
            Item::Impl(item) => match &item.trait_ {
                Some((trait_, _)) => {
                    // A type of the library's own is in no module here.
                    let of_library =
                        matches!(&*item.self_ty, syn::Type::Path(path) if path.path.leading_colon.is_some());
                    let path = if of_library { "" } else { path };
                    lines.push(format!("impl {} for {path}{}", text(trait_), text(&item.self_ty)));
                }
                None => {
                    for item_ in &item.items {
                        if let ImplItem::Fn(method) = item_
                            && public(&method.vis)
                        {
                            lines.push(format!("pub {path}{}: {}", text(&item.self_ty), text(&method.sig)));
                        }
                    }
                }
            },
            Item::Use(item) if public(&item.vis) => lines.push(format!("pub use {path}{{{}}}", text(&item.tree))),
            Item::Fn(item) if public(&item.vis) => lines.push(format!("pub {path}{}", text(&item.sig))),
            _ => {}
        }
    }
}

fn public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn derives(attributes: &[syn::Attribute]) -> String {
    let mut derives: Vec<String> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        // An unreadable derive can't come from code that parsed; leaving it out would show in the snapshot.
        let _ = attribute.parse_nested_meta(|meta| {
            derives.extend(meta.path.segments.last().map(|segment| segment.ident.to_string()));
            Ok(())
        });
    }
    derives.sort();
    if derives.is_empty() { String::new() } else { format!(": {}", derives.join(" + ")) }
}

/// Tokens as text, without the spaces that the token printer puts everywhere and without the paths of std.
fn text(tokens: &impl ToTokens) -> String {
    let printed = tokens.to_token_stream().to_string();
    [
        (" :: ", "::"),
        (":: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        (",)", ")"),
        (",>", ">"),
        ("& ", "&"),
        (" :", ":"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        ("::std::option::", ""),
        ("::std::string::", ""),
        ("::std::collections::", ""),
        ("::serde_json::", "serde_json::"),
    ]
    .into_iter()
    .fold(printed, |text, (spaced, tight)| text.replace(spaced, tight))
}
