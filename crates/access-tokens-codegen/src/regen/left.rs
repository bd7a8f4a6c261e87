//! What is left for a person to do.

use std::{fs, path::Path};

use super::{
    provenance,
    report::{self, Report, Wire},
    surface, wire,
};
use crate::{Error, ledger, source};

/// The methods of a client's lines that came or went, by their names.
pub(super) fn methods(spec: &report::Spec, lines: fn(&surface::Moves) -> &Vec<String>) -> Vec<String> {
    let lines = spec.client.iter().flat_map(|client| lines(&client.surface));
    let methods = lines.filter_map(|line| line.split_once("async fn ")?.1.split(['(', '<']).next());
    methods.map(ToOwned::to_owned).collect()
}

/// What is left to do where the command refuses, beside what its report says.
pub(super) fn by(error: &Error) -> Vec<String> {
    let preflight = match error {
        Error::Preflight { file, .. } => Some(format!(
            "for each place that is named below, add an action to specs/{}, with a quirk in specs/{} that says what is true and \
             how we know",
            file.replace(source::SPEC_ENDING, source::OVERLAY_ENDING),
            ledger::FILE
        )),
        _ => None,
    };
    let again = "run it again, since it stopped before it compiled or wrote anything".to_owned();
    preflight.into_iter().chain([again]).collect()
}

/// What a specification leaves to do, whether it can be taken in or not.
pub(super) fn of_spec(spec: &report::Spec) -> Vec<String> {
    let report::Spec { module, proofs, .. } = spec;
    let overlay = format!("specs/{module}{}", source::OVERLAY_ENDING);
    let actions = |actions: &[usize]| {
        let actions: Vec<_> = actions.iter().map(|index| format!("actions[{index}]")).collect();
        (!actions.is_empty()).then(|| format!("{} in {overlay}", actions.join(", ")))
    };
    let breaks = matches!(&spec.wire, Wire::Told(verdict) if verdict.findings.iter().any(wire::Finding::breaks));
    let ask = breaks.then(|| {
        format!(
            "ask the provider of {module} whether its server does what oasdiff lists as errors or warnings above, and since when"
        )
    });
    let or = "or delete what nothing needs any more";
    let astray = actions(&proofs.astray).map(|actions| format!("correct `target` of {actions}, {or}"));
    let surprised = actions(&proofs.surprised).map(|actions| format!("correct `x-was` of {actions}, {or}"));
    let needless = actions(&proofs.needless).map(|actions| format!("delete {actions}, which nothing needs any more"));
    let ids: Vec<_> = proofs.quirks.keys().map(|quirk| format!("`{quirk}`")).collect();
    let quirks = (!ids.is_empty()).then(|| {
        format!("correct {} in specs/{}, and then the places where they are mentioned", ids.join(", "), ledger::FILE)
    });
    [ask, astray, surprised, needless, quirks].into_iter().flatten().collect()
}

/// What is left to do once all is written; `origin_untold`: a file came, and nobody said from where.
pub(super) fn after(report: &Report, workspace: &Path, quirks: &[ledger::Quirk], origin_untold: bool) -> Vec<String> {
    let mut left = Vec::new();
    if !report.errors.is_empty() {
        left.push("correct the facade where the compiler points above".to_owned());
    }
    let modules = source::modules(workspace);
    let is_known = |provider: &String| *provider == ledger::ALL || modules.contains(provider);
    let strangers: Vec<_> = quirks.iter().filter(|quirk| !is_known(&quirk.provider)).collect();
    if let Some(stranger) = strangers.first() {
        left.push(format!(
            "specs/{}: {} quirks name a provider that has no specification, such as `{}` the provider `{}`",
            ledger::FILE,
            strangers.len(),
            stranger.id,
            stranger.provider
        ));
    }
    for spec in &report.specs {
        let module = &spec.module;
        match &spec.versions {
            (None, Some(_)) => {
                left.push(format!("to make `{module}` public, follow \"A further API\" in CONTRIBUTING.md"));
            }
            (Some(_), None) => left.push(format!("look at what the facade has of `{module}`, and at its quirks")),
            _ => {
                let methods = methods(spec, |surface| &surface.added);
                let methods: Vec<_> = methods.iter().map(|method| format!("`{module}::Client::{method}`")).collect();
                if !methods.is_empty() {
                    left.push(format!(
                        "{} came to the raw client; see whether the facade needs it",
                        methods.join(", ")
                    ));
                }
            }
        }
    }
    let rows = fs::read_to_string(workspace.join(provenance::FILE)).unwrap_or_default();
    if rows.contains(provenance::UNKNOWN_ORIGIN) {
        left.push(format!("say in {} where the new file comes from", provenance::FILE));
    } else if origin_untold {
        left.push(format!("if the file comes from another place now, correct that in {}", provenance::FILE));
    }
    left.extend([
        "run `cargo test`; a failure in tests/wire.rs or tests/quirks.rs is a change in behavior: accept its snapshot only if \
         that change is wanted"
            .to_owned(),
        "tell users in CHANGELOG.md, and commit all of it together".to_owned(),
    ]);
    left
}
