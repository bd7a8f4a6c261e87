//! Why a spec can't become a client. Each message names the file and, where there is one, the place in it.

use std::fmt;

use crate::invisible;

/// Why generation failed. `Display` tells what was wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder couldn't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file isn't the YAML document it should be.
    #[error("{file}: {reason}")]
    Document {
        /// The file.
        file: String,
        /// What is wrong, with line and column where the parser gave them.
        reason: String,
    },
    /// Overlay actions that no longer fit their spec; of each quirk the first.
    #[error("{}", told(.file, .misfits))]
    Overlay {
        /// The overlay file.
        file: String,
        /// The actions, in their order.
        misfits: Vec<Misfit>,
    },
    /// The generator would panic on this spec, or write code that doesn't compile or is unsafe to use.
    #[error("{file}: the generator can't use this specification:{}", list(.findings))]
    Preflight {
        /// The spec.
        file: String,
        /// All that was found.
        findings: Vec<Finding>,
    },
    /// The generator failed on a case that preflight doesn't know.
    #[error("{file}: the generator failed: {reason}; preflight doesn't know this case yet")]
    Generator {
        /// The spec.
        file: String,
        /// What it said.
        reason: String,
    },
}

/// An overlay action that doesn't find what it expects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misfit {
    /// The action's place in the list, from 0.
    pub index: usize,
    /// The action's `x-quirk`.
    pub quirk: String,
    /// The action's JSONPath.
    pub target: String,
    /// What didn't fit.
    pub reason: String,
}

impl Misfit {
    pub(crate) fn new(index: usize, quirk: &str, target: &str, reason: String) -> Self {
        Self { index, quirk: quirk.to_owned(), target: target.to_owned(), reason }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, quirk, target, reason } = self;
        write!(f, "actions[{index}] (quirk `{quirk}`, target {target}): {reason}; ")?;
        f.write_str("correct the action, or delete it if nothing needs it any more")
    }
}

fn told(file: &str, misfits: &[Misfit]) -> String {
    misfits.iter().map(|misfit| format!("{file}: {misfit}")).collect::<Vec<_>>().join("\n")
}

/// One thing in a spec that the generator can't use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// JSON pointer (RFC 6901) into the overlaid document.
    pub pointer: String,
    /// The operation, as its `operationId` or `METHOD /path`; `None` outside operations.
    pub operation: Option<String>,
    /// What the generator would do, and what to change.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = &self.operation {
            write!(f, "operation `{}`, ", invisible::one_line(operation))?;
        }
        let pointer = invisible::one_line(&self.pointer);
        write!(f, "at {}: {}", if pointer.is_empty() { "the top" } else { &pointer }, self.reason)
    }
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  - {finding}")).collect()
}

impl Error {
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { path: path.display().to_string(), source }
    }

    pub(crate) fn document(file: impl Into<String>, reason: impl fmt::Display) -> Self {
        // It may quote what a stranger wrote.
        Self::Document { file: file.into(), reason: invisible::written_out(&reason.to_string()) }
    }
}
