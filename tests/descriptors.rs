//! A process that may open no more files says so, wherever on its way to a server it needs one.
#![cfg(target_os = "linux")]
#![cfg(test)]

use std::fs::File;

use access_tokens::{ErrorKind, TokenEndpoint, Transport, onence};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Alone in its process, for which the limit holds.
#[tokio::test]
async fn a_lack_of_file_descriptors_is_named_whatever_needs_one() {
    let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let clients =
        ["http://127.0.0.1:1", "http://localhost:1", "https://127.0.0.1:1", "https://localhost:1"].map(|url| {
            let client = onence::Client::builder(onence::Credentials::new("u", "p")).base_url(url);
            client.transport(Transport::new().add_roots_pem(root.as_str())).build().unwrap()
        });
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..limit }).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    for client in clients {
        let error = client.exchange().await.unwrap_err();
        assert_eq!((error.kind(), error.obstacle()), (ErrorKind::Unavailable, None), "{client:?}: {error}");
        assert!(error.to_string().contains("no file descriptor left (EMFILE)"), "{client:?}: {error}");
    }
}
