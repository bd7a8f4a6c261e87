//! The facade's public API, pinned: a change in it shows in a review. And whose types it shows its users, who else would have to
//! follow the versions of what it's built from.
//!
//! Where the change is meant, `INSTA_UPDATE=always cargo test --test api` accepts it; semver says which version it is for.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use access_tokens_codegen::{Line, crate_outline};

const FACADE: &str = "crates/access-tokens/src";

/// Crates whose items may be anywhere.
const EVERYWHERE: [&str; 5] = ["alloc", "core", "http", "std", "url"];

/// Crates whose items may be in this module, where the line asks for this feature.
const IN_MODULES: [(&str, &str, &[&str]); 4] = [
    ("reqwest", "reqwest", &["reqwest"]),
    ("tls", "tls", &["rustls"]),
    ("http", "reqwest-middleware", &["reqwest_middleware"]),
    ("http", "tower", &["http_body", "tower_layer", "tower_service"]),
];

#[test]
fn the_facade_has_the_pinned_api() {
    let mut modules: BTreeMap<&str, String> = BTreeMap::new();
    let lines = facade();
    for line in &lines {
        *modules.entry(&line.module).or_default() += &format!("{}\n", line.text);
    }
    let texts = modules.into_iter().map(|(module, lines)| match module {
        "" => lines,
        module => format!("# {module}\n{lines}"),
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("access_tokens", text);
}

#[test]
fn no_other_crates_item_is_in_the_api_but_where_it_may_be() {
    let lines = facade();
    assert_eq!(strangers(&lines), [""; 0]);
    // What isn't there any more need not be allowed any more.
    let named: BTreeSet<_> = lines.iter().flat_map(|line| &line.crates).map(String::as_str).collect();
    for (module, _, crates) in IN_MODULES {
        for name in crates {
            assert!(named.contains(name), "nothing in `{module}` is of {name}");
        }
    }
}

/// File, what stands there, what for it, the lines that come, and the crates that the first of those mustn't name.
type Changed = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// The facade changed in many places, none of which may go unnoticed.
#[test]
fn each_change_in_the_api_shows() {
    let cases: [Changed; 13] = [
        (
            "token.rs",
            "impl AccessToken {",
            "impl AccessToken { pub fn further(&self, client: &reqwest::Client) {}",
            &["pub AccessToken: fn further(&self, client: &::reqwest::Client)"],
            &["reqwest"],
        ),
        (
            "onence.rs",
            "impl Client {",
            "use reqwest as r; impl Client { pub fn inner(&self) -> Option<r::Client> { None }",
            &["pub onence::Client: fn inner(&self) -> Option<::reqwest::Client>"],
            &["reqwest"],
        ),
        (
            "scopes.rs",
            "impl Scopes {",
            "use serde_json::{value::{self as v}, Map}; impl Scopes { pub fn json(&self) -> Map<String, v::Value> { Map::new() }",
            &["pub Scopes: fn json(&self) -> ::serde_json::Map<String, ::serde_json::value::Value>"],
            &["serde_json"],
        ),
        (
            "store/backend.rs",
            "#[derive(Debug, Clone)]\npub struct Stored",
            "#[derive(Debug, Clone, serde::Serialize)]\npub struct Stored",
            &["pub struct store::Stored: ::serde::Serialize + Clone + Debug"],
            &["serde"],
        ),
        (
            "reqwest.rs",
            "/// Hands our builder",
            "impl From<::reqwest::Error> for crate::Error { fn from(e: ::reqwest::Error) -> Self { loop {} } }\n/// Hands our builder",
            &["impl From<::reqwest::Error> for Error [reqwest]"],
            &["reqwest"],
        ),
        (
            "http/layer.rs",
            "type BoxError = Box<dyn std::error::Error + Send + Sync>;",
            "type BoxError = reqwest_middleware::Error;",
            &["type crate::http::layer::BoxError = ::reqwest_middleware::Error [tower]"],
            &["reqwest_middleware"],
        ),
        (
            "cache/slot.rs",
            "impl TokenGuard {",
            "impl TokenGuard { pub fn raw(&self) -> &arc_swap::Guard<Arc<View>> { loop {} }",
            &[
                "pub TokenGuard: fn raw(&self) -> &::arc_swap::Guard<std::sync::Arc<crate::cache::slot::View>>",
                "struct crate::cache::slot::View: Debug, private fields",
            ],
            &["arc_swap"],
        ),
        (
            "lib.rs",
            "mod answer;",
            "mod answer; pub use access_tokens_raw as raw;",
            &["pub use raw = ::access_tokens_raw"],
            &["access_tokens_raw"],
        ),
        (
            "testing.rs",
            "use std::{\n",
            "pub mod time { pub use tokio::time::*; } use std::{",
            &["pub use testing::time::* = ::tokio::time::*", "pub mod testing::time"],
            &["tokio"],
        ),
        (
            "transport.rs",
            "impl Default for Transport {",
            "#[cfg(feature = \"reqwest\")] impl<T> From<T> for Transport where T: rustls::client::danger::ServerCertVerifier { fn from(_: T) -> Self { loop {} } } impl Default for Transport {",
            &["impl<T> From<T> for Transport where T: ::rustls::client::danger::ServerCertVerifier [reqwest]"],
            &["rustls"],
        ),
        (
            "endpoint.rs",
            "    fn provider(&self) -> &str;",
            "    fn provider(&self) -> &str; fn body(&self) -> missing::Bytes;",
            &["pub TokenEndpoint: fn body(&self) -> ::missing::Bytes"],
            &["missing"],
        ),
        (
            "identity.rs",
            "impl Identity {",
            "impl Identity { pub fn further(&self, at: &url::Url) {} #[cfg(feature = \"metrics\")] pub fn counted(&self) {}",
            &["pub Identity: fn counted(&self) [metrics]", "pub Identity: fn further(&self, at: &::url::Url)"],
            &[],
        ),
        ("error.rs", "    Contract,\n}", "    Contract,\n    Other,\n}", &["pub ErrorKind::Other"], &[]),
    ];
    let changed = tempfile::tempdir().unwrap();
    copy_folder(Path::new(FACADE), changed.path());
    let (mut expected, mut unwelcome) = (BTreeSet::new(), BTreeSet::new());
    for (file, from, to, come, mustnt) in cases {
        let path = changed.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        unwelcome.extend(mustnt.iter().map(|name| format!("{name}: {}", come[0])));
        expected.extend(come);
    }
    let (before, after) = (facade(), crate_outline(&changed.path().join("lib.rs")).unwrap());
    let new: BTreeSet<_> = after.iter().filter(|line| !before.contains(line)).map(|line| line.text.as_str()).collect();
    assert_eq!(new, expected);
    assert_eq!(strangers(&after).into_iter().collect::<BTreeSet<_>>(), unwelcome);
}

fn facade() -> Vec<Line> {
    crate_outline(&Path::new(FACADE).join("lib.rs")).unwrap()
}

/// The crates whose items are where they mustn't be, each with the line.
fn strangers(lines: &[Line]) -> Vec<String> {
    let may = |line: &Line, name: &str| {
        EVERYWHERE.contains(&name)
            || IN_MODULES.iter().any(|(module, feature, crates)| {
                crates.contains(&name)
                    && line.module.split("::").next() == Some(module)
                    && line.text.ends_with(&format!(" [{feature}]"))
            })
    };
    lines
        .iter()
        .flat_map(|line| line.crates.iter().map(move |name| (line, name)))
        .filter(|(line, name)| !may(line, name))
        .map(|(line, name)| format!("{name}: {}", line.text))
        .collect()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
