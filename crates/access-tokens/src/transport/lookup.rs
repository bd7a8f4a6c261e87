//! The addresses of a name.

use std::{
    error::Error as StdError,
    fmt, io,
    net::{Ipv4Addr, UdpSocket},
};

use reqwest::dns::{Name, Resolve, Resolving};

use super::watch::note;

/// Looks names up as the system does, and as the HTTP client does without us.
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            note(|seen| seen.without_address = Some(host.clone()));
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map(Vec::from_iter);
            match found {
                Ok(addresses) => {
                    note(|seen| seen.without_address = Some(host).filter(|_| addresses.is_empty()));
                    Ok(Box::new(addresses.into_iter()) as _)
                }
                Err(source) => Err(NoAddress { source: lack_of_files().unwrap_or(source), name: host }.into()),
            }
        })
    }
}

/// A lookup needs files, and doesn't say so where it can open none.
fn lack_of_files() -> Option<io::Error> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err().filter(is_out_of_files)
}

/// A name that no name server knows an address of.
#[derive(Debug)]
pub(super) struct NoAddress {
    pub(super) name: String,
    pub(super) source: io::Error,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no address of {}", self.name)
    }
}

impl StdError for NoAddress {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// Too many files are open in the whole machine, and in this process: by the numbers that all Unix systems have for it.
pub(super) const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
