//! The quirk ledger, `specs/quirks.yaml`: every place where spec and server, or spec and generator, disagree.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    Error, document,
    expected::{Extent, differences},
};

/// The ledger's file name in `specs/`.
pub(crate) const FILE: &str = "quirks.yaml";

/// The provider of a quirk that every spec has.
pub const ALL: &str = "all";

/// One place where a spec and the truth disagree.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Quirk {
    /// Unique, in kebab case; overlay actions name it as `x-quirk`.
    pub id: String,
    /// The raw module of the spec, or [`ALL`].
    pub provider: String,
    /// The provider as people know it.
    #[serde(skip)]
    pub provider_name: String,
    /// JSON pointers into the spec as published, and what stands there: of an object the members that matter, `null` for one
    /// that isn't there. Empty for a quirk of the server that no line of the spec shows.
    #[serde(default)]
    pub pointers: BTreeMap<String, Value>,
    /// What the spec says.
    pub spec: String,
    /// What is true, and how we know.
    pub truth: String,
    /// Where it is handled.
    pub handled: Vec<Handling>,
    /// The tests that pin it, as `path::function`; the path is relative to the workspace.
    pub tests: Vec<String>,
}

impl Quirk {
    /// The pointers that no longer show the quirk in `spec`, the document as published; each with what is other than it was.
    pub fn gone(&self, spec: &Value) -> Vec<(&str, String)> {
        let gone = |(pointer, was): (&'_ String, &Value)| match spec.pointer(pointer) {
            Some(found) => differences(pointer, found, was, Extent::Some, false).join("; "),
            None => format!("at {pointer}: expected {was}, found nothing"),
        };
        let gone = self.pointers.iter().map(|place| (place.0.as_str(), gone(place)));
        gone.filter(|(_, difference)| !difference.is_empty()).collect()
    }
}

/// Where a quirk is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Handling {
    /// By an action of the overlay.
    Overlay,
    /// By the hand-written hooks of the raw crate.
    Hook,
    /// By the facade.
    Facade,
    /// Knowing is enough.
    None,
}

/// Reads the ledger from the folder `specs`.
///
/// # Errors
/// The file can't be read, isn't a ledger, or names an id twice.
pub fn read(specs: &Path) -> Result<Vec<Quirk>, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ledger {
        /// Module to name; a module without one is called as it is.
        #[serde(default)]
        providers: BTreeMap<String, String>,
        quirks: Vec<Quirk>,
    }
    let path = specs.join(FILE);
    let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
    // Through the reader of specs first, since it finds doubled keys.
    let value = document::parse(FILE, &text)?;
    let Ledger { providers, mut quirks } = serde_json::from_value(value).map_err(|e| Error::document(FILE, e))?;
    let mut ids = std::collections::BTreeSet::new();
    for quirk in &mut quirks {
        quirk.provider_name = providers.get(&quirk.provider).unwrap_or(&quirk.provider).clone();
        if !ids.insert(quirk.id.clone()) {
            return Err(Error::document(FILE, format!("the id `{}` stands twice", quirk.id)));
        }
    }
    Ok(quirks)
}

#[cfg(feature = "regen")]
/// The ledger as the Markdown table that the README shows.
pub(crate) fn table(quirks: &[Quirk]) -> String {
    let rows = quirks.iter().map(|quirk| {
        let cell = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let handled: Vec<_> = quirk.handled.iter().map(|handling| format!("{handling:?}").to_lowercase()).collect();
        format!(
            "| `{}` | {} | {} | {} | {} |\n",
            quirk.id,
            cell(&quirk.provider_name),
            cell(&quirk.spec),
            cell(&quirk.truth),
            handled.join(", ")
        )
    });
    let head =
        "| quirk | provider | what the spec says | what is true | handled in |\n| --- | --- | --- | --- | --- |\n";
    head.to_owned() + &rows.collect::<String>()
}
