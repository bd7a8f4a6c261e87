//! The outline of generated code: its public items with their signatures, sorted, short enough to be read in a review.

use quote::ToTokens;
use syn::{Fields, ImplItem, Item, Visibility};

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
