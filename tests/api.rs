//! The facade's public API is pinned in a snapshot, so that a review shows each change. And it names only those other crates that
//! it may: users would have to follow the versions of any other.
//!
//! rustdoc lists the public items, from the nightly toolchain that `.ci/nightly` names. To accept a change, run
//! `INSTA_UPDATE=always cargo test --test api`.
#![cfg(test)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use public_api::{Builder, PublicItem};
use serde_json::Value;
use support::work_tree::{copy_work_tree, output_of, skipped};

/// The API may name these crates anywhere.
const ALLOWED_EVERYWHERE: [&str; 5] = ["alloc", "core", "http", "std", "url"];

/// A module may name these crates too. `tests/consumers` compiles each feature alone, so none of them depends on another feature.
const ALLOWED_IN_MODULE: [(&str, &[&str]); 3] = [
    ("http", &["http_body", "reqwest_middleware", "tower_layer", "tower_service"]),
    ("reqwest", &["reqwest"]),
    ("tls", &["rustls"]),
];

/// Items of the standard library, or modules of it, that are written without their path. No two of them share a name.
const WITHOUT_PATH: [&str; 23] = [
    "alloc::boxed::Box",
    "alloc::string::String",
    "alloc::sync::Arc",
    "alloc::vec::Vec",
    "core::clone::",
    "core::cmp::",
    "core::convert::",
    "core::default::",
    "core::fmt::Debug",
    "core::fmt::Display",
    "core::future::future::",
    "core::hash::",
    "core::iter::traits::collect::",
    "core::iter::traits::exact_size::",
    "core::marker::",
    "core::ops::function::",
    "core::option::Option",
    "core::pin::",
    "core::result::Result",
    "core::str::traits::",
    "core::time::",
    "std::path::Path",
    "std::time::",
];

/// Auto traits that users rely on. `Freeze` and `UnsafeUnpin` are unstable, and `UnwindSafe` changes with private fields of our
/// dependencies.
const AUTO_TRAITS: [&str; 3] = ["Send", "Sync", "Unpin"];

#[test]
fn the_facade_has_the_pinned_api() {
    let Some(api) = &*FACADE else { return };
    insta::assert_snapshot!("access_tokens", api.lines.join("\n"));
}

#[test]
fn the_api_names_other_crates_only_where_it_may() {
    let Some(api) = &*FACADE else { return };
    assert_eq!(api.disallowed(), [""; 0]);
    for (module, crates) in ALLOWED_IN_MODULE {
        for name in crates {
            let is_used = api.mentions.iter().any(|mention| mention.module == module && mention.crate_name == *name);
            assert!(is_used, "`{module}` names nothing of {name} any more: don't allow it");
        }
    }
}

/// Changes a copy of the facade in many places at once, because rustdoc takes seconds, and looks for each change in the API.
#[test]
#[ignore = "tries the other tests of this file"]
fn each_change_in_the_api_shows() {
    // File, text, replacement.
    let changes = [
        ("token.rs", "impl AccessToken {", "impl AccessToken { pub fn further(&self, client: &reqwest::Client) {}"),
        (
            "onence.rs",
            "impl Client {",
            "use reqwest as r; impl Client { pub fn inner(&self) -> Option<r::Client> { None }",
        ),
        (
            "scopes.rs",
            "impl Scopes {",
            "use serde_json::{value as v, Map}; impl Scopes { pub fn json(&self) -> Map<String, v::Value> { loop {} }",
        ),
        (
            "store/backend.rs",
            "#[derive(Debug, Clone)]\npub struct Stored {",
            "#[derive(Debug, Clone, serde::Serialize)]\npub struct Stored { further: u8,",
        ),
        (
            "reqwest.rs",
            "use crate::{Error, Transport};",
            "use crate::{Error, Transport}; impl From<::reqwest::Error> for crate::Error { fn from(_: ::reqwest::Error) -> Self { loop {} } }",
        ),
        (
            "http/layer.rs",
            "impl<R> BearerLayer<R> {",
            "type Alias<T> = tokio::sync::watch::Receiver<T>; impl<R> BearerLayer<R> { pub fn told(&self) -> Alias<u8> { loop {} }",
        ),
        ("http/layer.rs", "pub struct Bearer<S, R = ReplayEmpty>", "pub struct Bearer<S, R = ReplayNothing>"),
        (
            "cache/slot.rs",
            "impl TokenGuard {",
            "impl TokenGuard { pub fn raw(&self) -> &arc_swap::Guard<Arc<View>> { loop {} }",
        ),
        ("cache.rs", "pub struct Subscription {", "pub struct Subscription { not_sync: std::cell::Cell<u8>,"),
        (
            "lib.rs",
            "mod answer;",
            "mod answer; pub use access_tokens_raw as raw; pub trait Further { type Body: bytes::Buf; }",
        ),
        ("testing.rs", "use std::{\n", "pub mod time { pub use tokio::time::*; } use std::{\n"),
        (
            "transport.rs",
            "impl Default for Transport {",
            "impl<T> From<T> for Transport where T: rustls::client::danger::ServerCertVerifier { fn from(_: T) -> Self { loop {} } } impl Default for Transport {",
        ),
        (
            "endpoint.rs",
            "    fn provider(&self) -> &str;",
            "    fn provider(&self) -> &str { loop {} } fn body(&self) -> bytes::Bytes { loop {} }",
        ),
        ("worldline.rs", "pub enum Credentials {", "pub enum Credentials { Other(tokio::time::Instant),"),
        (
            "identity.rs",
            "impl Identity {",
            "impl Identity { pub fn further(&self, at: &url::Url) {} #[cfg(feature = \"metrics\")] pub fn counted(&self) {}",
        ),
        ("clock.rs", "#[derive(Debug, Clone)]\npub struct Clock", "#[derive(Debug)]\npub struct Clock"),
        ("error.rs", "    Contract,\n}", "    Contract,\n    Other,\n}"),
        ("setting.rs", "#[non_exhaustive]\npub enum Setting", "pub enum Setting"),
    ];
    let (Some(before), Some(nightly)) = (&*FACADE, nightly()) else { return };
    let workspace = folder().join("changed-workspace");
    if let Err(why) = copy_work_tree(&workspace) {
        return skipped(&why);
    }
    for (file, from, to) in changes {
        let path = workspace.join("crates/access-tokens/src").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }
    let after = Api::read(&rustdoc(&nightly, &workspace, "changed"));
    let new: BTreeSet<_> = after.lines.iter().filter(|line| !before.lines.contains(line)).map(String::as_str).collect();
    let expected = [
        "#[cfg(metrics)] pub fn crate::Identity::counted(&self)",
        "#[cfg(tower)] pub struct crate::http::Bearer<S, R> { .. }, R = ReplayNothing",
        "impl<T> From<T> for crate::Transport where T: rustls::verify::ServerCertVerifier",
        "pub crate::ErrorKind::Other",
        "pub crate::worldline::Credentials::Other(tokio::time::instant::Instant)",
        "pub enum crate::Setting: Clone + Copy + Debug + Display + Eq + Hash + PartialEq + Send + StructuralPartialEq + Sync + Unpin",
        "pub fn crate::AccessToken::further(&self, &reqwest::async_impl::client::Client)",
        "pub fn crate::Identity::further(&self, &url::Url)",
        "pub fn crate::Scopes::json(&self) -> serde_json::map::Map<String, serde_json::value::Value>",
        "pub fn crate::TokenEndpoint::body(&self) -> bytes::bytes::Bytes, provided",
        "pub fn crate::TokenEndpoint::provider(&self) -> &str, provided",
        "pub fn crate::TokenGuard::raw(&self) -> &arc_swap::Guard<Arc<View>>",
        "pub fn crate::http::BearerLayer<R>::told(&self) -> tokio::sync::watch::Receiver<u8>",
        "pub fn crate::onence::Client::inner(&self) -> Option<reqwest::async_impl::client::Client>",
        "pub mod crate::testing::time",
        "pub struct crate::Clock(_): Debug + Default + Send + Sync + Unpin",
        "pub struct crate::Error(_): Clone + Debug + Display + From<reqwest::error::Error> + Send + Sync + Unpin + core::error::Error",
        "pub struct crate::Subscription { .. }: !Sync + Debug + Send + Unpin",
        "pub struct crate::store::Stored { .. }: Clone + Debug + Send + Sync + Unpin + serde_core::ser::Serialize",
        "pub trait crate::Further",
        "pub type crate::Further::Body: bytes::buf::buf_impl::Buf",
        "pub use crate::raw = access_tokens_raw",
        "pub use crate::testing::time::<<tokio::time::*>> = tokio::time",
    ];
    assert_eq!(new.into_iter().collect::<Vec<_>>(), expected);
    let disallowed = [
        "access_tokens_raw: pub use crate::raw",
        "arc_swap: pub fn crate::TokenGuard::raw(&self) -> &arc_swap::Guard<Arc<View>>",
        "bytes: pub fn crate::TokenEndpoint::body(&self) -> bytes::bytes::Bytes",
        "bytes: pub type crate::Further::Body: bytes::buf::buf_impl::Buf",
        "private: pub fn crate::TokenGuard::raw(&self) -> &arc_swap::Guard<Arc<View>>",
        "reqwest: impl From<reqwest::error::Error> for crate::Error",
        "reqwest: pub fn crate::AccessToken::further(&self, &reqwest::async_impl::client::Client)",
        "reqwest: pub fn crate::onence::Client::inner(&self) -> Option<reqwest::async_impl::client::Client>",
        "rustls: impl<T> From<T> for crate::Transport where T: rustls::verify::ServerCertVerifier",
        "serde_core: impl serde_core::ser::Serialize for crate::store::Stored",
        "serde_json: pub fn crate::Scopes::json(&self) -> serde_json::map::Map<String, serde_json::value::Value>",
        "tokio: pub crate::worldline::Credentials::Other(tokio::time::instant::Instant)",
        "tokio: pub fn crate::http::BearerLayer<R>::told(&self) -> tokio::sync::watch::Receiver<u8>",
        "tokio: pub use crate::testing::time::<<tokio::time::*>>",
    ];
    assert_eq!(after.disallowed(), disallowed);
}

static FACADE: LazyLock<Option<Api>> =
    LazyLock::new(|| nightly().map(|nightly| Api::read(&rustdoc(&nightly, Path::new("."), "facade"))));

/// The pinned toolchain, if it is installed.
fn nightly() -> Option<String> {
    let nightly = fs::read_to_string(".ci/nightly").unwrap().trim().to_owned();
    let found = Command::new("rustup").args(["run", &nightly, "rustdoc", "--version"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    let called = format!("Rust {nightly} (`rustup toolchain install {nightly} --profile minimal`)");
    support::is_there("nightly", &called, found, "the facade's public API").then_some(nightly)
}

/// Runs rustdoc on the facade of this workspace, and returns the JSON file that it writes.
fn rustdoc(nightly: &str, workspace: &Path, name: &str) -> PathBuf {
    let target = folder().join(name);
    let json = target.join("doc/access_tokens.json");
    // So that an earlier run's file is never read. The first time there is none.
    let _ = fs::remove_file(&json);
    let mut cargo = Command::new("rustup");
    cargo.args(["run", nightly, "cargo", "rustdoc", "--quiet", "--locked", "--package", "access-tokens", "--lib"]);
    cargo.args(["--all-features", "--", "--cap-lints=warn", "-Zunstable-options", "--output-format=json"]);
    // The workspaces share the compiled dependencies, but not what is documented.
    cargo.envs([("CARGO_TARGET_DIR", &target), ("CARGO_BUILD_BUILD_DIR", &folder().join("build"))]);
    output_of(cargo.current_dir(workspace));
    json
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("api")
}

struct Api {
    lines: Vec<String>,
    mentions: BTreeSet<Mention>,
}

/// An item names something of a crate.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Mention {
    crate_name: String,
    item: String,
    /// The module that the item is in. An item in the root has its own name here.
    module: String,
}

impl Api {
    /// One line for each item, with two exceptions. The line of a type lists the traits that it implements without conditions.
    /// Methods of an implemented trait have no lines, because the trait declares them.
    fn read(json: &Path) -> Self {
        let api = Builder::from_rustdoc_json(json).omit_blanket_impls(true).build().unwrap();
        let rustdoc = Rustdoc(serde_json::from_slice(&fs::read(json).unwrap()).unwrap());
        let items: Items<'_> = api.items().map(|item| (item.id().0, item)).collect();

        let (mut lines, mut mentions) = (Vec::new(), BTreeSet::new());
        let mut traits: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for item in api.items() {
            // Only the root has no parent.
            let Some(parent) = item.parent_id() else { continue };
            let (inner, outer) = (rustdoc.inner(item.id().0), rustdoc.inner(parent.0));
            let (implementation, implemented) = (&inner["impl"], &inner["impl"]["trait"]["path"]);
            let self_type = number(&implementation["for"]["resolved_path"]["id"]).filter(|id| items.contains_key(id));
            // An `impl` is listed under its trait too, and under each type that its trait names.
            let is_repeated = self_type.is_some_and(|id| id != parent.0);
            let is_method_of_trait = inner.get("function").is_some() && outer["impl"]["trait"].is_object();
            let is_other_auto_trait =
                implementation["is_synthetic"] == true && !AUTO_TRAITS.iter().any(|name| implemented == name);
            if is_repeated || is_method_of_trait || is_other_auto_trait {
                continue;
            }

            let (text, condition) = (text(item), rustdoc.condition(item.id().0));
            for crate_name in rustdoc.crates(inner, &items) {
                let module = rustdoc.module(item, &items);
                mentions.insert(Mention { crate_name, item: text.clone(), module });
            }
            // Nothing in it is generic.
            if let Some(simple) = text.strip_prefix("impl ").filter(|_| condition.is_empty()) {
                match (simple.rsplit_once(" for "), self_type) {
                    // Its methods have lines.
                    (None, _) => continue,
                    (Some((name, _)), Some(id)) => {
                        traits.entry(id).or_default().insert(name.to_owned());
                        continue;
                    }
                    (Some(_), None) => {}
                }
            }
            lines.push((item.id().0, format!("{condition}{text}{}", rustdoc.remarks(inner, outer))));
        }
        let with_traits = |(id, line): (u32, String)| match traits.get(&id) {
            None => line,
            Some(traits) => format!("{line}: {}", traits.iter().map(String::as_str).collect::<Vec<_>>().join(" + ")),
        };
        Self { lines: lines.into_iter().map(with_traits).collect(), mentions }
    }

    /// Each crate that an item names where it must not, with the item.
    fn disallowed(&self) -> Vec<String> {
        let is_allowed = |mention: &Mention| {
            let name = mention.crate_name.as_str();
            let in_module = |(module, crates): &(&str, &[&str])| *module == mention.module && crates.contains(&name);
            ALLOWED_EVERYWHERE.contains(&name) || ALLOWED_IN_MODULE.iter().any(in_module)
        };
        let disallowed = self.mentions.iter().filter(|mention| !is_allowed(mention));
        disallowed.map(|mention| format!("{}: {}", mention.crate_name, mention.item)).collect()
    }
}

/// The item as `public-api` writes it, with shorter paths.
fn text(item: &PublicItem) -> String {
    let text = item.to_string().replace("access_tokens::", "crate::");
    WITHOUT_PATH.iter().fold(text, |text, path| text.replace(path, path.rsplit("::").next().unwrap_or_default()))
}

/// Public items by rustdoc's numbers.
type Items<'a> = BTreeMap<u32, &'a PublicItem>;

/// rustdoc's JSON, for what `public-api` leaves out of an item's text.
struct Rustdoc(Value);

impl Rustdoc {
    fn inner(&self, id: u32) -> &Value {
        &self.0["index"][id.to_string()]["inner"]
    }

    /// The crates that an item names, as rustdoc resolves its paths. `private` stands for items of the facade that users can't name.
    fn crates(&self, inner: &Value, items: &Items<'_>) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        ids_in(inner, &mut ids);
        for kind in ["struct", "variant"] {
            for field in inner[kind]["kind"]["tuple"].as_array().into_iter().flatten().filter_map(number) {
                ids_in(self.inner(field), &mut ids);
            }
        }
        let name = |id: u32| match self.0["paths"][id.to_string()]["crate_id"].as_u64() {
            None | Some(0) => (!items.contains_key(&id)).then(|| "private".to_owned()),
            Some(id) => Some(self.0["external_crates"][id.to_string()]["name"].as_str().unwrap().to_owned()),
        };
        ids.into_iter().filter_map(name).collect()
    }

    /// The outermost module that an item is in. An `impl` is where its type is, or its trait if the type isn't the facade's.
    fn module(&self, item: &PublicItem, items: &Items<'_>) -> String {
        let mut outermost = item;
        while let Some(outer) = outermost.parent_id().and_then(|id| items.get(&id.0))
            && self.inner(outer.id().0).get("module").is_none()
        {
            outermost = outer;
        }
        let text = text(outermost);
        let path = text.split("crate::").nth(1).unwrap_or_default();
        path.split("::").next().unwrap_or_default().to_owned()
    }

    /// What breaks users if it changes, and `public-api` leaves out.
    fn remarks(&self, inner: &Value, outer: &Value) -> String {
        let mut remarks = String::new();
        // Private fields: users can't build it.
        if let Some(fields) = inner.pointer("/struct/kind/plain") {
            remarks += if fields["has_stripped_fields"] == true { " { .. }" } else { " {}" };
        }
        // Users need not implement it.
        if outer.get("trait").is_some() && inner["function"]["has_body"] == true {
            remarks += ", provided";
        }
        // Users need not give the parameter.
        let kinds = inner.as_object().into_iter().flat_map(|inner| inner.values());
        for parameter in kinds.filter_map(|kind| kind["generics"]["params"].as_array()).flatten() {
            let default = &parameter["kind"]["type"]["default"];
            if !default.is_null() {
                let path = default["resolved_path"]["path"].as_str().map(ToOwned::to_owned);
                let default = path.unwrap_or_else(|| default.to_string());
                remarks += &format!(", {} = {default}", parameter["name"].as_str().unwrap());
            }
        }
        // What another crate's item is.
        if let Some(source) = inner["use"]["source"].as_str() {
            remarks += &format!(" = {source}");
        }
        remarks
    }

    /// The features that an item or its `use` needs, beyond those of its module.
    fn condition(&self, id: u32) -> String {
        let index = self.0["index"].as_object().into_iter().flat_map(|index| index.values());
        let its = index.filter(|item| item["id"] == id || item["inner"]["use"]["id"] == id);
        let attributes = its.flat_map(|item| item["attrs"].as_array()).flatten();
        let traces = attributes.filter_map(|attribute| attribute["other"].as_str()?.strip_prefix("#[attr = CfgTrace("));
        // `NameValue { name: "feature", value: Some("tower"), span: … }`, within `Any([…])`, `All([…])` or `Not(…)`.
        let conditions = traces.map(|trace| {
            let mut words = Vec::new();
            for (index, part) in trace.split('"').enumerate() {
                if index % 2 == 0 {
                    let operators = [("Any(", "any"), ("All(", "all"), ("Not(", "not")];
                    words.extend(operators.into_iter().filter(|(name, _)| part.contains(name)).map(|(_, word)| word));
                } else if part != "feature" {
                    words.push(part);
                }
            }
            format!("#[cfg({})] ", words.join(" "))
        });
        conditions.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Collects the ids of all paths. The ids of an item's own parts are in plain lists, and aren't collected.
fn ids_in(value: &Value, ids: &mut BTreeSet<u32>) {
    match value {
        Value::Object(members) => {
            ids.extend(members.get("id").and_then(number));
            members.values().for_each(|value| ids_in(value, ids));
        }
        Value::Array(values) => values.iter().for_each(|value| ids_in(value, ids)),
        _ => {}
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}
