//! `cargo xtask regen`: takes in a new version of a specification, makes everything that is generated from `specs/`, and says
//! what the change means.
//!
//! All of it happens in a copy under `target/` first ([`stage`]). What is refused has left the work tree as it was.

mod changes;
mod compile;
mod files;
mod incoming;
mod provenance;
mod quirks;
mod report;
mod stage;
mod surface;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::{Parser, Subcommand};
use serde_json::Value;

use self::{
    changes::show as short,
    quirks::Status,
    report::{Format, Report},
    stage::Stage,
    surface::Moves,
};
pub use self::{
    changes::{Effect, SpecChange, spec_changes},
    files::{Change, Regen},
};
use crate::{Error, document, ledger, outline, preflight, source};

/// `cargo xtask`, in one workspace.
///
/// ```no_run
/// let outcome = access_tokens_codegen::Xtask::new(".".as_ref()).run(&["regen", "--check"]);
/// assert_eq!(outcome.exit_code, 0, "{}", outcome.complained);
/// ```
#[derive(Debug, Clone)]
pub struct Xtask {
    root: PathBuf,
    target: PathBuf,
    today: String,
    semver_checks: bool,
    styled: bool,
    progress: fn(&str),
}

/// What a run of the command says, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// For stdout.
    pub said: String,
    /// For stderr.
    pub complained: String,
    /// 0 done or up to date, 1 out of date or refused, 2 wrong usage.
    pub exit_code: u8,
}

/// What this workspace's maintainers run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take in a new version of a specification, or regenerate after a change in specs/, and say what it means
    #[command(after_help = "\
Examples:
  cargo xtask regen onence --from ~/Downloads/openapi.yml --dry-run
  cargo xtask regen worldline --from https://example.com/access-token.yaml
  cargo xtask regen --format markdown > report.md
  cargo xtask regen --check

Everything is made under target/regen first. What is refused changes nothing, and says why.")]
    Regen(Arguments),
}

#[derive(Debug, clap::Args)]
struct Arguments {
    /// The specification's module, such as onence, whose file --from replaces or adds
    spec: Option<String>,
    /// The new version: a file, or an https URL
    #[arg(long, value_name = "FILE|URL")]
    from: Option<String>,
    /// Write nothing; print a diff and exit 1 if anything generated is out of date
    #[arg(long, conflicts_with_all = ["spec", "from", "dry_run", "format", "allow_dirty"])]
    check: bool,
    /// Print the report, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// The report's form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Overwrite files whose contents no commit has
    #[arg(long)]
    allow_dirty: bool,
}

impl Xtask {
    /// In the workspace `root`, with today's date.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            target: root.join(stage::TARGET),
            today: today(),
            semver_checks: true,
            styled: false,
            progress: |_| {},
        }
    }

    /// Another folder for what is compiled, which no other command than this may use.
    #[must_use]
    pub fn target(self, target: impl Into<PathBuf>) -> Self {
        Self { target: target.into(), ..self }
    }

    /// Another day, `YYYY-MM-DD`, on which files were received.
    #[must_use]
    pub fn today(self, today: impl Into<String>) -> Self {
        Self { today: today.into(), ..self }
    }

    /// Whether cargo-semver-checks is asked where it is installed, as it is unless told otherwise.
    #[must_use]
    pub fn semver_checks(self, semver_checks: bool) -> Self {
        Self { semver_checks, ..self }
    }

    /// Whether reports have colours, as they don't unless told otherwise.
    #[must_use]
    pub fn styled(self, styled: bool) -> Self {
        Self { styled, ..self }
    }

    /// Is told what is being done, where that may take more than a moment.
    #[must_use]
    pub fn progress(self, progress: fn(&str)) -> Self {
        Self { progress, ..self }
    }

    /// Runs the command with these arguments, such as `["regen", "--check"]`.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let outcome = |said, complained, exit_code| Outcome { said, complained, exit_code };
        match Cli::try_parse_from([&["cargo xtask"], arguments].concat()) {
            Err(e) if e.exit_code() == 0 => outcome(e.render().to_string(), String::new(), 0),
            Err(e) => outcome(String::new(), e.render().to_string(), 2),
            Ok(Cli { command: Command::Regen(arguments) }) if arguments.check => self.check(),
            Ok(Cli { command: Command::Regen(arguments) }) => {
                let mut report = Report::default();
                let end = self.regen(&arguments, &mut report);
                report.specs.retain(|spec| arguments.spec.as_ref() == Some(&spec.module) || !spec.is_unchanged());
                let text = report.render(arguments.format, self.styled, env!("CARGO_PKG_VERSION"));
                match end {
                    Ok(End::UpToDate) => outcome(UP_TO_DATE.to_owned(), String::new(), 0),
                    Ok(End::Done) => outcome(text, String::new(), 0),
                    Err(error) => outcome(text, self.refusal(&error, &report), 1),
                }
            }
        }
    }

    fn refusal(&self, error: &Error, report: &Report) -> String {
        // The copy is nobody's to edit.
        let copy = self.root.join(stage::WORKSPACE);
        let copies = [fs::canonicalize(&copy).unwrap_or_default(), copy].map(|copy| format!("{}/", copy.display()));
        let error = copies.iter().fold(error.to_string(), |error, copy| error.replace(copy.as_str(), ""));
        let written = match report.written.as_slice() {
            [] => "Nothing was written.".to_owned(),
            written => format!("{} couldn't be put back: run it again.", written.join(", ")),
        };
        format!("refused: {error}\n{written}\n")
    }

    fn check(&self) -> Outcome {
        let outcome = |said, complained, exit_code| Outcome { said, complained, exit_code };
        match Regen::received(&self.root, &self.today, &[]) {
            Err(error) => outcome(String::new(), format!("error: {error}\n"), 1),
            Ok(regen) if regen.changes().is_empty() => outcome(UP_TO_DATE.to_owned(), String::new(), 0),
            Ok(regen) => {
                let list: String = regen.changes().iter().map(|change| format!("  {}\n", change.path)).collect();
                let complained = format!("\nout of date:\n{list}run `cargo xtask regen`\n");
                outcome(regen.changes().iter().map(Change::diff).collect(), complained, 1)
            }
        }
    }

    /// Fills the report as far as it comes. An error is a refusal.
    fn regen(&self, arguments: &Arguments, report: &mut Report) -> Result<End, Error> {
        let incoming = match &arguments.from {
            Some(from) => {
                let module = module_of(arguments.spec.as_deref(), from)?;
                (self.progress)("reading the specification");
                Some((module, incoming::read(from)?))
            }
            None => None,
        };
        let stage = Stage::new(&self.root, || (self.progress)("waiting for another run to end"))?;
        let workspace = stage.workspace();
        report.uncommitted = stage.uncommitted().map(ToOwned::to_owned);
        let mut changes = Vec::new();
        let mut origins = Vec::new();
        if let Some((module, incoming)) = incoming {
            changes.extend(received(&workspace, &module, incoming.bytes)?);
            origins.extend(incoming.origin.map(|origin| (module, origin)));
        }

        let quirks = ledger::read(&workspace.join("specs"))?;
        let modules: BTreeSet<_> = [&workspace, stage.before()].into_iter().flat_map(source::modules).collect();
        if let Some(spec) = arguments.spec.as_ref().filter(|spec| !modules.contains(*spec)) {
            let there: Vec<_> = modules.into_iter().collect();
            let hint = format!("there are {}; give a new one with --from", there.join(", "));
            return Err(Error::document(format!("specs/{spec}{}", source::SPEC_ENDING), hint));
        }
        for module in &modules {
            report.specs.push(spec_section(&stage, &quirks, module)?);
        }

        let regen = Regen::received(&workspace, &self.today, &origins).inspect_err(|error| {
            let left: Vec<_> = report.specs.iter().flat_map(left_of_spec).chain(left_by(error)).collect();
            report.left.extend(left);
        })?;
        regen.write()?;
        changes.extend(regen.changes().iter().cloned());
        for spec in &mut report.specs {
            spec.raw = Some(raw_moves(&stage, &spec.module)?);
            spec.stripped = regen.stripped(&spec.module).to_vec();
        }
        if !arguments.dry_run && !arguments.allow_dirty {
            refuse_unsaved(&stage, &changes)?;
        }

        // Cargo runs elsewhere.
        let target = std::path::absolute(&self.target).map_err(|e| Error::io(&self.target, e))?;
        if !same_code(&stage)? {
            (self.progress)("compiling the raw clients and the facade");
            let errors = compile::check(&workspace, &target)?;
            if !errors.raw.is_empty() {
                let reason = format!("wrote Rust that doesn't compile:\n  {}", errors.raw.join("\n  "));
                return Err(Error::Generator { file: files::PINNED.to_owned(), reason });
            }
            report.facade.compiles = Some(errors.facade.is_empty());
            report.facade.errors = errors.facade;
        }
        let is_news = |spec: &report::Spec| !spec.is_unchanged();
        if changes.is_empty() && !report.specs.iter().any(is_news) && !report.facade.is_news() {
            return Ok(End::UpToDate);
        }
        let to_compare = self.semver_checks && stage.uncommitted().is_none() && report.facade.compiles == Some(true);
        if to_compare && compile::has_semver_checks(&workspace, &target) {
            (self.progress)("asking cargo-semver-checks");
            report.facade.second_opinion = Some(compile::second_opinion(&workspace, stage.before(), &target));
        }

        report.left = left(report, &workspace, &quirks, arguments.from.is_some() && origins.is_empty());
        if !arguments.dry_run {
            stage.place(&changes, &mut report.written)?;
        }
        Ok(End::Done)
    }
}

const UP_TO_DATE: &str = "everything generated is up to date\n";

enum End {
    UpToDate,
    Done,
}

/// Today in UTC, `YYYY-MM-DD`.
fn today() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}

/// The module that `--from` is for: as said, or as the file is called.
fn module_of(spec: Option<&str>, from: &str) -> Result<String, Error> {
    let shown = incoming::shown(from);
    let name = shown.rsplit(['/', '\\']).next().unwrap_or_default();
    let module = spec.or_else(|| name.strip_suffix(source::SPEC_ENDING)).ok_or_else(|| {
        Error::document(&shown, "which specification is it? Say so: cargo xtask regen SPEC --from …, such as onence")
    })?;
    source::check_module(module).map_err(|reason| Error::document(module, reason))?;
    Ok(module.to_owned())
}

/// Puts the new version into the copy, byte for byte; `None` if it is the same.
fn received(workspace: &Path, module: &str, bytes: Vec<u8>) -> Result<Option<Change>, Error> {
    let file = format!("specs/{module}{}", source::SPEC_ENDING);
    let new = String::from_utf8(bytes).map_err(|e| Error::document(&file, format!("isn't UTF-8: {e}")))?;
    // Before it stands anywhere: an empty file or an error page says nothing of a specification.
    document::parse(&file, &new)?;
    let path = workspace.join(&file);
    let old = files::read(&path)?;
    if old.as_deref() == Some(new.as_bytes()) {
        return Ok(None);
    }
    fs::write(&path, &new).map_err(|e| Error::io(&path, e))?;
    Ok(Some(Change { path: file, old, new: Some(new) }))
}

fn spec_section(stage: &Stage, quirks: &[ledger::Quirk], module: &str) -> Result<report::Spec, Error> {
    let workspace = stage.workspace();
    let file = format!("{module}{}", source::SPEC_ENDING);
    let document = |root: &Path| -> Result<Option<Value>, Error> {
        let text = files::read(&root.join("specs").join(&file))?;
        text.map(|text| document::parse(&file, &files::lossy(text))).transpose()
    };
    // A specification without a client is as new as one that wasn't there.
    let had_client = stage.before().join(files::PINNED).join(format!("{module}.rs")).exists();
    // One that was committed broken has nothing in common with the next.
    let before = if had_client { document(stage.before()).unwrap_or(Some(Value::Null)) } else { None };
    let now = document(&workspace)?;
    // What a document of another kind means for each quirk says nothing.
    if let Some(finding) = now.as_ref().and_then(preflight::other_kind) {
        return Err(Error::Preflight { file, findings: vec![finding] });
    }
    let version = |document: &Option<Value>| {
        let version = document.as_ref()?.pointer("/info/version").map_or("without a version".to_owned(), short);
        Some(version.trim_matches('`').to_owned())
    };
    let found = now.as_ref().map(|now| quirks::found(quirks, module, now)).unwrap_or_default();
    let handled = |found: quirks::Found| {
        let quirk = quirks.iter().find(|quirk| quirk.id == found.id && found.status == Status::Fixed);
        let places = quirk.map(|quirk| quirks::handling(&workspace, quirk, quirks)).unwrap_or_default();
        (found, places)
    };
    Ok(report::Spec {
        module: module.to_owned(),
        versions: (version(&before), version(&now)),
        changes: before.as_ref().zip(now.as_ref()).map(|(before, now)| spec_changes(before, now)).unwrap_or_default(),
        quirks: found.into_iter().map(handled).collect(),
        raw: None,
        stripped: Vec::new(),
    })
}

fn raw_moves(stage: &Stage, module: &str) -> Result<Moves, Error> {
    let outline = |root: &Path| {
        let path = format!("{}/{module}.rs", files::PINNED);
        let code = files::read(&root.join(&path))?.map(files::lossy).unwrap_or_default();
        outline(&code).map_err(|e| Error::document(path, e))
    };
    // Pinned code that somebody broke counts as none.
    Ok(Moves::between(&outline(stage.before()).unwrap_or_default(), &outline(&stage.workspace())?))
}

/// Whether what the facade is compiled with is the same as before. Words count too: they may be what doesn't compile.
fn same_code(stage: &Stage) -> Result<bool, Error> {
    let names = |root: &Path| -> BTreeSet<_> {
        let entries = fs::read_dir(root.join(files::PINNED)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect()
    };
    let (before, workspace) = (stage.before(), stage.workspace());
    if names(before) != names(&workspace) {
        return Ok(false);
    }
    for name in names(&workspace) {
        let code = |root: &Path| files::read(&root.join(files::PINNED).join(&name));
        if code(before)? != code(&workspace)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn refuse_unsaved(stage: &Stage, changes: &[Change]) -> Result<(), Error> {
    let unsaved = stage.unsaved(changes)?;
    if unsaved.is_empty() {
        return Ok(());
    }
    let hint = match stage.uncommitted() {
        None => "holds what no commit has; commit or stash it, or add --allow-dirty".to_owned(),
        Some(why) => {
            format!(
                "would be overwritten, and there is no commit to go back to ({why}); commit it, or add --allow-dirty"
            )
        }
    };
    Err(Error::document(unsaved.join(", "), hint))
}

/// What is left to do where the command refuses, beside what its report says.
fn left_by(error: &Error) -> Option<String> {
    match error {
        Error::Overlay { file, .. } => Some(format!(
            "for each action of specs/{file} that is named below: if upstream fixed what it works around, delete it and what else \
             handles its quirk; if that only moved, correct `target` and `x-was`"
        )),
        Error::Preflight { file, .. } => Some(format!(
            "for each place that is named below, add an action to specs/{}, with a quirk in specs/{} that says what is true and \
             how we know",
            file.replace(source::SPEC_ENDING, ".overlay.yaml"),
            ledger::FILE
        )),
        _ => None,
    }
}

fn left_of_spec(spec: &report::Spec) -> Vec<String> {
    let quirks = |wanted: fn(&Status) -> bool| {
        let quirks = spec.quirks.iter().filter(|(found, _)| wanted(&found.status));
        let ids: Vec<_> = quirks.map(|(found, _)| format!("`{}`", found.id)).collect();
        (!ids.is_empty()).then(|| ids.join(", "))
    };
    let changes = |effects: &[Effect]| spec.changes.iter().any(|change| effects.contains(&change.effect));
    let module = &spec.module;
    let breaking = changes(&[Effect::BreakingForRequests, Effect::BreakingForResponses]).then(|| {
        format!(
            "ask since when the server of {module} does what breaks above; the facade and the sandbox must follow it"
        )
    });
    let unknown = changes(&[Effect::Unknown]).then(|| format!("read what is unknown about {module}: no rule knows it"));
    let fixed = quirks(|status| *status == Status::Fixed)
        .map(|ids| format!("delete what the report lists as handling what upstream fixed: {ids}"));
    let changed = quirks(|status| matches!(status, Status::Changed(_)))
        .map(|ids| format!("read whether it is still true, and correct its pointers in specs/{}: {ids}", ledger::FILE));
    [breaking, unknown, fixed, changed].into_iter().flatten().collect()
}

fn left(report: &Report, workspace: &Path, quirks: &[ledger::Quirk], from_file: bool) -> Vec<String> {
    let mut left: Vec<_> = report.specs.iter().flat_map(left_of_spec).collect();
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
            (None, Some(_)) => left.push(publication(module)),
            (Some(_), None) => left.push(format!("delete what the facade has of `{module}`, and its quirks")),
            _ => {
                let methods = spec.raw.iter().flat_map(|raw| &raw.added).filter_map(|line| {
                    let (_, method) = line.split_once("async fn ")?;
                    Some(format!("{module}::Client::{}", method.split(['(', '<']).next()?))
                });
                let methods: Vec<_> = methods.map(|method| format!("`{method}`")).collect();
                if !methods.is_empty() {
                    left.push(format!(
                        "give the facade a method for what services need of {}, which nothing calls yet",
                        methods.join(", ")
                    ));
                }
            }
        }
    }
    let rows = fs::read_to_string(workspace.join(provenance::FILE)).unwrap_or_default();
    if rows.contains(provenance::UNKNOWN_ORIGIN) {
        left.push(format!("say in {} where the new file comes from", provenance::FILE));
    } else if from_file {
        left.push(format!("see that {} still says where the file comes from", provenance::FILE));
    }
    if !report.facade.errors.is_empty() {
        left.push("mend the facade where the compiler points above".to_owned());
    }
    left.extend([
        "run `cargo test`; what fails in tests/wire.rs or tests/quirks.rs is a change in behaviour, and those snapshots are \
         yours to accept"
            .to_owned(),
        "tell users in CHANGELOG.md, and commit all of it together".to_owned(),
    ]);
    left
}

/// The lines that make a raw module public. They compile as they stand.
fn publication(module: &str) -> String {
    format!(
        r#"to make `{module}` public, add these lines, and a method for each call that services need, in types of the facade's own

in crates/access-tokens/src/lib.rs:

    pub mod {module};

in crates/access-tokens/src/{module}.rs:

    //! What it is, and whose (`specs/{module}{ending}`).

    use access_tokens_raw::{{hooks::Authentication, {module} as raw}};

    use crate::{{
        Error, Transport,
        transport::{{self, BaseUrl}},
    }};

    /// A client of this API.
    #[derive(Debug)]
    pub struct Client {{
        raw: raw::Client,
    }}

    impl Client {{
        /// A client of the server at `base_url`.
        ///
        /// # Errors
        /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): a base URL that isn't `https`.
        pub fn new(base_url: impl Into<String>, transport: &Transport) -> Result<Self, Error> {{
            let base_url = BaseUrl(base_url.into()).checked()?;
            let (client, _) = transport.client(&base_url)?;
            let raw = raw::Client::new_with_client(transport::without_slash(&base_url), client, Authentication::none());
            Ok(Self {{ raw }})
        }}
    }}"#,
        ending = source::SPEC_ENDING
    )
}
