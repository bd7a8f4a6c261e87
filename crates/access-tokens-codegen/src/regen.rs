//! `cargo xtask regen`: takes in a new version of a specification, makes everything that is generated from `specs/`, and says
//! what the change means.
//!
//! All of it happens in a copy under `target/` first ([`stage`]). What is refused has left the work tree as it was.

mod changes;
mod compile;
mod files;
mod left;
mod proofs;
mod provenance;
mod report;
mod stage;
mod surface;
mod text;
mod usage;
mod wire;

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Parser, Subcommand};
use serde_json::Value;

pub use self::{
    changes::{SpecChange, spec_changes},
    files::{Change, Regen},
};
use self::{
    proofs::{Proofs, Sources, Taken},
    report::{Format, Report, Wire},
    stage::Stage,
    surface::Difference,
};
use crate::{Error, document, invisible, ledger, preflight, source};

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
    cargo: PathBuf,
    oasdiff: PathBuf,
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
  curl -sSf https://example.com/access-token.yaml |
    cargo xtask regen worldline --from - --origin https://example.com/access-token.yaml
  cargo xtask regen --format markdown > report.md
  cargo xtask regen --check

Everything is made under target/regen first. What is refused changes nothing, and says why.")]
    Regen(Arguments),
}

#[derive(Debug, clap::Args)]
struct Arguments {
    /// The specification's module, such as onence, whose file --from replaces or adds
    spec: Option<String>,
    /// The new version: a file, or - for standard input
    #[arg(long, value_name = "FILE")]
    from: Option<String>,
    /// Where the file comes from, for its row in specs/README.md
    #[arg(long, value_name = "TEXT")]
    origin: Option<String>,
    /// Write nothing; print a diff and exit 1 if anything generated is out of date
    #[arg(long, conflicts_with_all = ["spec", "from", "origin", "dry_run", "format", "allow_dirty"])]
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
            today: provenance::today(),
            cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into(),
            oasdiff: "oasdiff".into(),
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

    /// The program that compiles, where it isn't the cargo that started this.
    #[must_use]
    pub fn cargo(self, program: impl Into<PathBuf>) -> Self {
        Self { cargo: program.into(), ..self }
    }

    /// The program `oasdiff`, where it isn't the one on the path.
    #[must_use]
    pub fn oasdiff(self, program: impl Into<PathBuf>) -> Self {
        Self { oasdiff: program.into(), ..self }
    }

    /// Whether reports have colors, as they don't unless told otherwise.
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
                    Err(error) => {
                        let gap = if text.is_empty() { "" } else { "\n" };
                        outcome(text + gap, self.refusal(&error, &report), 1)
                    }
                }
            }
        }
    }

    fn refusal(&self, error: &Error, report: &Report) -> String {
        let error = match error {
            // The report has the reasons.
            Error::Overlay { file, misfits } => {
                let actions: Vec<_> = misfits.iter().map(|misfit| format!("actions[{}]", misfit.index)).collect();
                let verb = if actions.len() == 1 { "doesn't" } else { "don't" };
                format!("{} of specs/{file} {verb} fit the file; the quirks above say why", actions.join(", "))
            }
            error => error.to_string(),
        };
        let written = match report.written.as_slice() {
            [] => "Nothing was written.".to_owned(),
            written => format!("{} couldn't be put back: run it again.", written.join(", ")),
        };
        // The copy is nobody's to edit, and where the workspace lies is nobody's business.
        let folders = [self.root.join(stage::WORKSPACE), self.root.clone()];
        let folders = folders.into_iter().flat_map(|folder| [fs::canonicalize(&folder).ok(), Some(folder)]).flatten();
        let error = folders.fold(error, |error, folder| error.replace(&format!("{}/", folder.display()), ""));
        format!("refused: {}\n{written}\n", invisible::written_out(&error))
    }

    fn check(&self) -> Outcome {
        let outcome = |said, complained, exit_code| Outcome { said, complained, exit_code };
        match Regen::received(&self.root, &self.today, &[]) {
            Err(error) => outcome(String::new(), format!("error: {}\n", invisible::written_out(&error.to_string())), 1),
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
        let module = match (&arguments.from, &arguments.origin) {
            (Some(from), _) => Some(module_of(arguments.spec.as_deref(), from)?),
            (None, Some(origin)) => Some(arguments.spec.clone().ok_or_else(|| Error::document(origin, WHICH))?),
            (None, None) => None,
        };
        let bytes = arguments.from.as_deref().map(read).transpose()?;
        let stage = Stage::new(&self.root, || (self.progress)("waiting for another run to end"))?;
        let workspace = stage.workspace();
        let specs = workspace.join("specs");
        report.uncommitted = stage.uncommitted().map(ToOwned::to_owned);
        let mut changes = Vec::new();
        if let (Some(module), Some(bytes)) = (&module, bytes) {
            changes.extend(received(&workspace, module, bytes)?);
        }
        let origins: Vec<_> = module.into_iter().zip(arguments.origin.clone()).collect();

        let modules: BTreeSet<_> = [&workspace, stage.before()].into_iter().flat_map(source::modules).collect();
        if let Some(spec) = arguments.spec.as_ref().filter(|spec| !modules.contains(*spec)) {
            let there: Vec<_> = modules.into_iter().collect();
            let hint = format!("there are {}; give a new one with --from", there.join(", "));
            return Err(Error::document(format!("specs/{spec}{}", source::SPEC_ENDING), hint));
        }
        let mut documents = Vec::new();
        for module in &modules {
            documents.push(self.spec_section(&stage, module, report)?);
        }

        let quirks = ledger::read(&specs)?;
        let regen = Regen::received(&workspace, &self.today, &origins);
        let sources = Sources::read(&self.root);
        for (spec, (before, _)) in report.specs.iter_mut().zip(&documents) {
            if let Ok(regen) = &regen {
                spec.client = Some(client_difference(&stage, regen, &spec.module)?);
                spec.stripped = regen.spec(&spec.module).map(|spec| spec.stripped.clone()).unwrap_or_default();
            }
            let is_there = specs.join(format!("{}{}", spec.module, source::SPEC_ENDING)).exists();
            if is_there && (regen.is_err() || is_news(&stage, &spec.module)?) {
                (self.progress)("trying which corrections are still needed");
                let taken = Taken { specs: &specs, module: &spec.module, before: before.as_ref(), quirks: &quirks };
                spec.proofs = Proofs::of(&taken)?;
                let places = |quirk: &String| (quirk.clone(), sources.places(quirk, &quirks));
                spec.places = spec.proofs.quirks.keys().map(places).collect();
            }
        }
        let gone = |(spec, (_, now)): (&report::Spec, &Documents)| {
            proofs::gone(spec.changes.as_deref().unwrap_or_default(), now.as_ref())
        };
        let mut gone: BTreeSet<_> = report.specs.iter().zip(&documents).flat_map(gone).collect();
        gone.extend(report.specs.iter().flat_map(|spec| left::methods(spec, |surface| &surface.removed)));
        report.mentions = sources.mentions(&gone);
        report.left = report.specs.iter().flat_map(left::of_spec).collect();
        if !report.mentions.is_empty() {
            report.left.push("go through the files that mention what went or moved".to_owned());
        }
        let regen = regen.inspect_err(|error| report.left.extend(left::by(error)))?;
        regen.write()?;
        changes.extend(regen.changes().iter().cloned());
        if !arguments.dry_run && !arguments.allow_dirty {
            refuse_unsaved(&stage, &changes)?;
        }

        // Cargo runs elsewhere.
        let target = std::path::absolute(&self.target).map_err(|e| Error::io(&self.target, e))?;
        if !same_code(&stage)? {
            (self.progress)("compiling the raw clients and the facade");
            let errors = compile::check(&workspace, &target, &self.cargo)?;
            if !errors.raw.is_empty() {
                let reason = format!("wrote Rust that doesn't compile:\n  {}", errors.raw.join("\n  "));
                return Err(Error::Generator { file: files::PINNED.to_owned(), reason });
            }
            report.errors = errors.facade;
        }
        if changes.is_empty() && report.specs.iter().all(report::Spec::is_unchanged) && report.errors.is_empty() {
            return Ok(End::UpToDate);
        }
        let origin_untold = arguments.from.is_some() && arguments.origin.is_none();
        report.left.extend(left::after(report, &workspace, &quirks, origin_untold));
        if arguments.dry_run {
            report.left.insert(0, "run it again without --dry-run, since nothing was written; then".to_owned());
        } else {
            stage.place(&changes, &mut report.written)?;
        }
        Ok(End::Done)
    }

    /// What a specification's new version means for those who speak it. Returns the documents, before and now.
    fn spec_section(&self, stage: &Stage, module: &str, report: &mut Report) -> Result<Documents, Error> {
        let file = format!("{module}{}", source::SPEC_ENDING);
        let document = |root: &Path| -> Result<Option<Value>, Error> {
            let text = files::read(&root.join("specs").join(&file))?;
            text.map(|text| document::parse(&file, &files::lossy(text))).transpose()
        };
        // A specification without a client is as new as one that wasn't there.
        let had_client = stage.before().join(files::PINNED).join(format!("{module}.rs")).exists();
        // One that was committed broken has nothing in common with the next.
        let before = if had_client { document(stage.before()).unwrap_or(Some(Value::Null)) } else { None };
        let now = document(&stage.workspace())?;
        let version = |document: &Option<Value>| {
            let version = document.as_ref()?.pointer("/info/version");
            let version =
                version.map(|version| version.as_str().map_or_else(|| version.to_string(), ToOwned::to_owned));
            Some(invisible::one_line(&version.unwrap_or_else(|| "without a version".to_owned())))
        };
        let mut spec = report::Spec { module: module.to_owned(), ..report::Spec::default() };
        spec.versions = (version(&before), version(&now));
        let is_api = |document: &&Value| ["openapi", "swagger", "paths"].iter().any(|key| document.get(key).is_some());
        if before.is_some() && now.is_some() {
            spec.wire = Wire::Failed("one of the two files isn't a specification".to_owned());
        }
        if let (Some(before), Some(now)) = (before.as_ref().filter(is_api), now.as_ref().filter(is_api)) {
            let changes = spec_changes(before, now);
            spec.usage = usage::Usage::of(&[before, now]);
            spec.wire = Wire::Same;
            if !changes.is_empty() {
                let path = |root: &Path| root.join("specs").join(&file);
                (self.progress)("asking oasdiff what the change means");
                spec.wire = match wire::verdict(
                    &self.oasdiff,
                    &path(stage.before()),
                    &path(&stage.workspace()),
                    &stage.empty(),
                ) {
                    Ok(verdict) => verdict.map_or(Wire::Unknown, Wire::Told),
                    Err(error) => Wire::Failed(error.to_string()),
                };
            }
            spec.changes = Some(changes);
        }
        report.specs.push(spec);
        match now.as_ref().and_then(preflight::other_kind) {
            Some(finding) => Err(Error::Preflight { file, findings: vec![finding] }),
            None => Ok((before, now)),
        }
    }
}

const UP_TO_DATE: &str = "everything generated is up to date\n";
const WHICH: &str = "which specification is it? Say so: cargo xtask regen SPEC …, such as onence";

/// As published, before and now.
type Documents = (Option<Value>, Option<Value>);

enum End {
    UpToDate,
    Done,
}

/// The module that `--from` is for: as said, or as the file is called.
fn module_of(spec: Option<&str>, from: &str) -> Result<String, Error> {
    let name = from.rsplit(['/', '\\']).next().unwrap_or_default();
    let module = spec.or_else(|| name.strip_suffix(source::SPEC_ENDING)).ok_or_else(|| Error::document(from, WHICH))?;
    source::check_module(module).map_err(|reason| Error::document(module, reason))?;
    Ok(module.to_owned())
}

/// Reads the file, or standard input for `-`.
fn read(from: &str) -> Result<Vec<u8>, Error> {
    /// More than a specification has.
    const LIMIT: u64 = 16 << 20;
    let path = Path::new(from);
    let mut bytes = Vec::new();
    let read = match from {
        "-" => std::io::stdin().take(LIMIT + 1).read_to_end(&mut bytes),
        _ => fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes)),
    };
    if read.map_err(|e| Error::io(path, e))? as u64 > LIMIT {
        return Err(Error::document(from, format!("is longer than {} MiB, and so no specification", LIMIT >> 20)));
    }
    Ok(bytes)
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

/// Between the client that was committed and the one that was generated.
fn client_difference(stage: &Stage, regen: &Regen, module: &str) -> Result<Difference, Error> {
    let path = format!("{}/{module}.rs", files::PINNED);
    let before = files::read(&stage.before().join(&path))?.map(files::lossy).unwrap_or_default();
    let now = regen.code(module);
    // Pinned code that somebody broke counts as none.
    let mut difference = Difference::between(&before, now)
        .or_else(|_| Difference::between("", now))
        .map_err(|e| Error::document(path, e))?;
    let before = source::load(&stage.before().join("specs"), module).ok();
    if let (Some(before), Some(now)) = (before, regen.spec(module)) {
        let servers = |spec: &crate::Spec| -> String {
            let servers = spec.document.get("servers").and_then(Value::as_array);
            servers.into_iter().flatten().map(|server| format!("{server}\n")).collect()
        };
        let (before, now) = (servers(&before), servers(now));
        if before != now {
            difference.servers = text::difference(&before, &now);
        }
    }
    Ok(difference)
}

/// Whether the specification or its overlay is another than before.
fn is_news(stage: &Stage, module: &str) -> Result<bool, Error> {
    for ending in [source::SPEC_ENDING, source::OVERLAY_ENDING] {
        let path = format!("specs/{module}{ending}");
        if files::read(&stage.before().join(&path))? != files::read(&stage.workspace().join(&path))? {
            return Ok(true);
        }
    }
    Ok(false)
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
