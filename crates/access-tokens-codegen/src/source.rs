//! Finds the specs and reads them: files -> YAML -> JSON document -> overlay.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, Stripped, document, invisible, ledger, overlay::Overlay};

pub(crate) const SPEC_ENDING: &str = ".openapi.yaml";
/// What the snapshot of a specification after its overlay is called, beside that of its client.
pub(crate) const OVERLAID: &str = "_overlaid";
pub(crate) const OVERLAY_ENDING: &str = ".overlay.yaml";
/// Names that the raw crate or its generated code has for something else, and the ledger's word for every provider.
const RESERVED: [&str; 12] = [
    ledger::ALL,
    "core",
    "generated",
    "hooks",
    "mod",
    "progenitor_client",
    "reqwest",
    "secret",
    "serde",
    "serde_json",
    "serde_urlencoded",
    "std",
];

/// One spec with its overlay applied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Spec {
    /// The raw module's name: `onence` for `onence.openapi.yaml`.
    pub module: String,
    /// The document as published.
    pub upstream: Value,
    /// The document that the client is generated from.
    pub document: Value,
    /// What was taken out of its texts, since nobody sees it.
    pub stripped: Vec<Stripped>,
    /// The `x-quirk` of each overlay action, in order.
    pub quirks: Vec<String>,
    /// File name and SHA-256 (lower-case hex) of the spec and, where there is one, its overlay.
    pub inputs: Vec<(String, String)>,
}

impl Spec {
    /// The spec's file name.
    pub fn file(&self) -> String {
        format!("{}{SPEC_ENDING}", self.module)
    }

    /// The document that the client is generated from, as YAML.
    ///
    /// # Errors
    /// It can't be written as YAML.
    pub fn overlaid_yaml(&self) -> Result<String, Error> {
        serde_yaml::to_string(&self.document).map_err(|e| Error::document(self.file(), e))
    }
}

/// Reads every `<module>.openapi.yaml` in `folder`, in the order of their names.
pub(crate) fn load_all(folder: &Path) -> Result<Vec<Spec>, Error> {
    let names = names(folder)?;
    let modules: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(SPEC_ENDING)).collect();
    if let Some(orphan) =
        names.iter().filter_map(|name| name.strip_suffix(OVERLAY_ENDING)).find(|module| !modules.contains(module))
    {
        return Err(Error::document(
            format!("{orphan}{OVERLAY_ENDING}"),
            format!("there is no {orphan}{SPEC_ENDING} that it could apply to; rename or delete it"),
        ));
    }
    if modules.is_empty() {
        return Err(Error::document(
            folder.display().to_string(),
            format!("holds no <module>{SPEC_ENDING}; put a specification there"),
        ));
    }
    modules.into_iter().map(|module| load(folder, module)).collect()
}

/// The modules of the specs in the folder `specs` of `root`, in the order of their names; none where there is no folder.
#[cfg(feature = "regen")]
pub(crate) fn modules(root: &Path) -> Vec<String> {
    let names = names(&root.join("specs")).unwrap_or_default();
    names.iter().filter_map(|name| name.strip_suffix(SPEC_ENDING)).map(ToOwned::to_owned).collect()
}

/// Whether a spec may be called so.
pub(crate) fn check_module(module: &str) -> Result<(), String> {
    if RESERVED.contains(&module) {
        return Err(format!("`{module}` has another meaning in the raw crate; name the file otherwise"));
    }
    if module == "gen" || syn::parse_str::<syn::Ident>(module).is_err() || module != module.to_lowercase() {
        return Err(format!(
            "`{module}` can't be a Rust module; name the file with a lower-case letter first, then letters, digits and `_`"
        ));
    }
    if module.ends_with(OVERLAID) {
        return Err(format!(
            "`{module}` ends in {OVERLAID}, as the snapshots of overlaid specifications do; name the file otherwise"
        ));
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let name = entry.map_err(|e| Error::io(folder, e))?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(SPEC_ENDING) || name.ends_with(OVERLAY_ENDING) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

pub(crate) fn load(folder: &Path, module: &str) -> Result<Spec, Error> {
    let (mut spec, overlay) = read_pair(folder, module)?;
    if let Some(overlay) = overlay {
        overlay.apply(&mut spec.document)?;
        spec.quirks = overlay.quirks;
    }
    spec.stripped = invisible::strip(&mut spec.document);
    Ok(spec)
}

/// A specification as published, and the overlay beside it, not applied yet.
pub(crate) fn read_pair(folder: &Path, module: &str) -> Result<(Spec, Option<Overlay>), Error> {
    let (file, text) = read(folder.join(format!("{module}{SPEC_ENDING}")))?;
    check_module(module).map_err(|reason| Error::document(&file, reason))?;
    let upstream = document::parse(&file, &text)?;
    let mut spec = Spec {
        module: module.to_owned(),
        document: upstream.clone(),
        upstream,
        stripped: Vec::new(),
        quirks: Vec::new(),
        inputs: vec![(file, sha256(&text))],
    };
    let path = folder.join(format!("{module}{OVERLAY_ENDING}"));
    if !path.exists() {
        return Ok((spec, None));
    }
    let (file, text) = read(path)?;
    let overlay = document::parse(&file, &text)?;
    spec.inputs.push((file.clone(), sha256(&text)));
    let quirks = ledger::read(folder)?.into_iter().map(|quirk| quirk.id).collect();
    Ok((spec, Some(Overlay::read(&file, overlay, &quirks)?)))
}

fn read(path: PathBuf) -> Result<(String, String), Error> {
    let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, text))
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
