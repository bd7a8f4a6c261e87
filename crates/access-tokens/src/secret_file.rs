//! Files that hold secrets, keys and certificates. Nothing else in this crate reads a file.

use std::{
    fmt,
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{Error, Setting};

/// More than any secret, key with its chain, or list of roots takes.
const LARGEST: usize = 1024 * 1024;

/// In `--password-file <(pass show 1nce)` a person types a passphrase first.
const PIPE_TIMEOUT: Duration = Duration::from_secs(30);

/// The content of a file that holds a secret, a key or certificates. It is wiped from memory when it is dropped.
///
/// ```
/// use access_tokens::{SecretFile, Setting};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("1nce");
/// std::fs::write(&path, "correct horse\n")?; // such as /run/secrets/1nce
/// let file = SecretFile::read(&path)?;
/// assert_eq!(file.secret(Setting::Password)?, "correct horse");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SecretFile {
    path: PathBuf,
    content: Zeroizing<Vec<u8>>,
    is_pipe: bool,
    warning: Option<String>,
}

impl SecretFile {
    /// Reads a regular file of at most 1 MiB, or a pipe for at most 30 s.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): it can't be read, is too large, or is a folder, device or socket.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let read = || {
            let metadata = fs::metadata(path)?;
            let is_pipe = is_pipe(&metadata)?;
            let content = if is_pipe { read_pipe(path, PIPE_TIMEOUT)? } else { read_whole(path, metadata.len())? };
            Ok((content, is_pipe, warning(path, &metadata)))
        };
        let (content, is_pipe, warning) = read().map_err(|error: io::Error| {
            Error::configuration(format!("{} can't be read", path.display())).with_source(error)
        })?;
        if let Some(warning) = &warning {
            tracing::warn!("{warning}");
        }
        Ok(Self { path: path.to_owned(), content, is_pipe, warning })
    }

    /// The content, byte for byte.
    pub fn bytes(&self) -> &[u8] {
        &self.content
    }

    /// The content as the text of a setting, without one line break at its end.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): it isn't UTF-8, or [`Setting::check`] refuses it.
    pub fn secret(&self, setting: Setting) -> Result<&str, Error> {
        let path = self.path.display();
        let text = std::str::from_utf8(&self.content)
            .map_err(|_| setting.error(format_args!("in {path} isn't UTF-8; save it as UTF-8")))?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        setting.check_in(text, &format!(" in {path}")).map(|()| text)
    }

    /// Whether it is a pipe, whose content is there only once.
    pub fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    /// What is wrong with the file's permissions: every user of this machine may write to it. It is logged too.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What is in a regular file, for whoever looks whether it has changed: a pipe would be empty for the next who reads it.
pub(crate) fn read_regular(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    match fs::metadata(path)? {
        metadata if metadata.is_file() => read_whole(path, metadata.len()),
        _ => Err(invalid("it isn't a regular file")),
    }
}

/// Looked at before it is opened, since opening a pipe waits for its writer, and a device may have no end.
fn is_pipe(metadata: &Metadata) -> io::Result<bool> {
    if metadata.is_file() {
        return Ok(false);
    }
    if metadata.is_dir() {
        return Err(invalid("it is a folder; name the file in it"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type()) {
        return Ok(true);
    }
    Err(invalid("it is a device or a socket; name a regular file or a pipe"))
}

fn read_whole(path: &Path, length: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(length).ok().filter(|length| *length <= LARGEST).ok_or_else(too_large)?;
    read_to_end(File::open(path)?, length)
}

/// On a thread of its own, since neither opening nor reading a pipe can be given a time limit.
fn read_pipe(path: &Path, limit: Duration) -> io::Result<Zeroizing<Vec<u8>>> {
    let path = path.to_owned();
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new().name("access-tokens-pipe".to_owned()).spawn(move || {
        // Nobody receives it once the time is up.
        let _ = sender.send(File::open(path).and_then(|file| read_to_end(file, LARGEST)));
    })?;
    receiver.recv_timeout(limit).map_err(|_| {
        let message = format!("the pipe wasn't written and closed within {limit:?}");
        io::Error::new(io::ErrorKind::TimedOut, message)
    })?
}

fn read_to_end(file: File, length: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // As large as it gets at the start: growing would leave copies behind that nobody wipes.
    let mut content = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(LARGEST as u64 + 1).read_to_end(&mut content)?;
    if content.len() > LARGEST { Err(too_large()) } else { Ok(content) }
}

#[cfg(unix)]
fn warning(path: &Path, metadata: &Metadata) -> Option<String> {
    let others_may_write = std::os::unix::fs::MetadataExt::mode(metadata) & 0o002 != 0;
    let path = path.display();
    (others_may_write && metadata.is_file())
        .then(|| format!("{path} can be written by every user of this machine; run chmod o-w {path}"))
}

#[cfg(not(unix))]
fn warning(_: &Path, _: &Metadata) -> Option<String> {
    None
}

fn too_large() -> io::Error {
    invalid("it is larger than 1 MiB")
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Here and not through the public function, since that waits for half a minute.
    #[test]
    fn a_pipe_without_a_writer_ends_in_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = read_pipe(&path, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "the pipe wasn't written and closed within 50ms");
    }
}
