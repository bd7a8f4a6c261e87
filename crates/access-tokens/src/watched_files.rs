//! Files whose content is looked at now and then, all by one thread: a process may have hundreds of them.
//!
//! Looked at rather than waited for: notifications stop at a mount that is replaced, at a link that is switched in a folder
//! further up and at a network's file system, and a few small files cost next to nothing to read.

use std::{
    error::Error as _,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;

use crate::{Error, caught::caught_call, secret_file::read_regular};

const INTERVAL: Duration = Duration::from_millis(250);

/// After how many looks what failed is tried again.
const RETRY: u32 = 40;

/// Files as they were at a moment.
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    seen: Seen,
}

/// Some files, and what is called when they have changed.
pub(crate) struct Watched {
    paths: Vec<PathBuf>,
    changed: Changed,
    looks: Mutex<Looks>,
}

type Changed = Box<dyn Fn() -> Result<(), Error> + Send + Sync>;

struct Looks {
    /// What `changed` was last called for.
    applied: Content,
    last: Seen,
    /// How many looks ago it failed.
    failed: Option<u32>,
}

/// A digest of each file; none of one that can't be read.
type Content = Vec<Option<Vec<u8>>>;

#[derive(PartialEq)]
struct Seen {
    content: Content,
    /// When each was last written to. Who writes in place begins with an empty file, which looks the same each time.
    written: Vec<Option<SystemTime>>,
}

/// What the thread looks at. It runs while there is anything.
static WATCHED: Mutex<Vec<Weak<Watched>>> = Mutex::new(Vec::new());

impl Files {
    pub(crate) fn look_at(paths: Vec<PathBuf>) -> Self {
        Self { seen: look(&paths), paths }
    }

    /// Calls `changed` when they are no longer as they were, until the last handle is dropped.
    pub(crate) fn watch(self, changed: Changed) -> Result<Arc<Watched>, Error> {
        let Self { paths, seen } = self;
        let looks = Mutex::new(Looks { applied: seen.content.clone(), last: seen, failed: None });
        let watched = Arc::new(Watched { paths, changed, looks });
        let mut all = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            thread::Builder::new().name("access-tokens-files".to_owned()).spawn(run).map_err(|e| {
                let message = "the thread that looks at files of credentials and keys can't be started";
                Error::configuration(message).with_source(e)
            })?;
        }
        all.push(Arc::downgrade(&watched));
        Ok(watched)
    }
}

impl Watched {
    fn look(&self) {
        let seen = look(&self.paths);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let again = seen.content == looks.applied;
        // A change counts once it is seen twice: until then somebody may be writing.
        let due = if again { looks.failed.is_some_and(|ago| ago >= RETRY) } else { seen == looks.last };
        looks.last = seen;
        if !due {
            looks.failed = looks.failed.map(|ago| ago + 1);
            return;
        }
        looks.applied = looks.last.content.clone();
        let outcome =
            caught_call(&self.changed).unwrap_or_else(|| Err(Error::configuration("reading changed files panicked")));
        looks.failed = outcome.is_err().then_some(0);
        if let (Err(error), false) = (outcome, again) {
            let source = error.source().map(ToString::to_string);
            tracing::warn!(
                %error,
                source,
                files = ?self.paths,
                "what changed files hold can't be used; what they held before stays in use"
            );
        }
    }
}

fn run() {
    loop {
        thread::sleep(INTERVAL);
        let mut watched = Vec::new();
        {
            let mut all = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|weak| weak.upgrade().map(|strong| watched.push(strong)).is_some());
            if all.is_empty() {
                return;
            }
        }
        for watched in watched {
            // What a user gave us also panics in a log or when it is dropped; none of that must end the thread for the others.
            caught_call(move || watched.look());
        }
    }
}

fn look(paths: &[PathBuf]) -> Seen {
    let digest = |path: &PathBuf| {
        let content = read_regular(path).ok()?;
        Some(digest::digest(&digest::SHA256, &content).as_ref().to_vec())
    };
    let written = |path: &PathBuf| fs::metadata(path).ok()?.modified().ok();
    Seen { content: paths.iter().map(digest).collect(), written: paths.iter().map(written).collect() }
}
