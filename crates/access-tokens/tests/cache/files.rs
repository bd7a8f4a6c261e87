//! Secrets, keys and certificates in files that are replaced, as an operator or Kubernetes does it, in real time.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use access_tokens::{
    Error, ErrorKind, Identity, RotatingEndpoint, TokenCache, TokenEndpoint, assertion::ClientAssertion, onence,
    worldline,
};
use access_tokens_sandbox::{self as sandbox, Client, ClientAuth, Endpoint, Onence, Sandbox, Worldline};
use rcgen::{CertificateParams, KeyPair};
use tokio::time::sleep;

/// A folder with the files of one credential, replaced in one of two ways.
struct Mount {
    folder: tempfile::TempDir,
    way: Way,
    version: usize,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    /// Each file on its own, by an atomic rename.
    Rename,
    /// All files at once, as in a Kubernetes secret mount: each is a link into `..data`, a link that is switched.
    Link,
}

impl Mount {
    fn new(way: Way, files: &[(&str, String)]) -> Self {
        let mut mount = Self { folder: tempfile::tempdir().unwrap(), way, version: 0 };
        mount.replace(files);
        if let Way::Link = way {
            for (name, _) in files {
                link(&Path::new("..data").join(name), &mount.path(name));
            }
        }
        mount
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn replace(&mut self, files: &[(&str, String)]) {
        self.version += 1;
        match self.way {
            Way::Rename => {
                for (name, content) in files {
                    let new = self.path(".new");
                    fs::write(&new, content).unwrap();
                    fs::rename(new, self.path(name)).unwrap();
                }
            }
            Way::Link => {
                let (old, new) = (format!("..{}", self.version - 1), format!("..{}", self.version));
                fs::create_dir(self.path(&new)).unwrap();
                for (name, content) in files {
                    fs::write(self.path(&new).join(name), content).unwrap();
                }
                link(Path::new(&new), &self.path("..new"));
                fs::rename(self.path("..new"), self.path("..data")).unwrap();
                let _ = fs::remove_dir_all(self.path(&old));
            }
        }
    }

    /// Writes over the files in place, and not to the end.
    fn cut_off(&self, files: &[(&str, String)], part: usize) {
        for (name, content) in files {
            fs::write(self.path(name), content.split_at(content.len() * part / 100).0).unwrap();
        }
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) {
    std::os::unix::fs::symlink(to, at).unwrap();
}

/// A credential in files, the endpoint that reads them, and the provider that is told of each new one.
trait Source: Send {
    const ENDPOINT: Endpoint;

    /// The files of the `number`-th credential, what the provider is to know of it, and how the provider shows it.
    fn make(&self, number: usize) -> (Vec<(&'static str, String)>, Known, String);

    fn endpoint(&self, mount: &Mount, sandbox: &Sandbox) -> RotatingEndpoint;
}

/// What a provider knows of a credential.
enum Known {
    Password(String),
    Client(ClientAuth),
}

fn tell(sandbox: &Sandbox, known: Known) {
    match known {
        Known::Password(password) => sandbox.set_onence_credentials("user", password),
        Known::Client(auth) => {
            sandbox.set_worldline_clients(vec![Client { client_id: "client".to_owned(), auth }]).unwrap();
        }
    }
}

struct Password;
struct Secret;
struct Assertion;

impl Source for Password {
    const ENDPOINT: Endpoint = Endpoint::Onence;

    fn make(&self, number: usize) -> (Vec<(&'static str, String)>, Known, String) {
        let password = format!("password number {number}");
        (vec![("password", password.clone())], Known::Password(password.clone()), sha256(&password))
    }

    fn endpoint(&self, mount: &Mount, sandbox: &Sandbox) -> RotatingEndpoint {
        let (path, base_url) = (mount.path("password"), sandbox.onence_base_url());
        let build = move || {
            let credentials = onence::Credentials::new("user", text(&path)?);
            onence::Client::builder(credentials).base_url(&base_url).build()
        };
        RotatingEndpoint::watching([mount.path("password")], build).unwrap()
    }
}

impl Source for Secret {
    const ENDPOINT: Endpoint = Endpoint::Worldline;

    fn make(&self, number: usize) -> (Vec<(&'static str, String)>, Known, String) {
        let secret = format!("secret number {number}");
        (vec![("secret", secret.clone())], Known::Client(ClientAuth::Secret(secret.clone())), sha256(&secret))
    }

    fn endpoint(&self, mount: &Mount, sandbox: &Sandbox) -> RotatingEndpoint {
        let (path, base_url) = (mount.path("secret"), sandbox.worldline_base_url());
        let build = move || worldline(&base_url, worldline::ClientSecret::new("client", text(&path)?));
        RotatingEndpoint::watching([mount.path("secret")], build).unwrap()
    }
}

impl Source for Assertion {
    const ENDPOINT: Endpoint = Endpoint::Worldline;

    fn make(&self, _: usize) -> (Vec<(&'static str, String)>, Known, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let shown = hex(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.der());
        let files = vec![("key.pem", key.serialize_pem()), ("cert.pem", certificate.pem())];
        (files, Known::Client(ClientAuth::Certificate(certificate.pem().into_bytes())), shown)
    }

    fn endpoint(&self, mount: &Mount, sandbox: &Sandbox) -> RotatingEndpoint {
        let files = [mount.path("key.pem"), mount.path("cert.pem")];
        let ([key, certificate], base_url) = (files.clone(), sandbox.worldline_base_url());
        let build = move || {
            worldline(
                &base_url,
                ClientAssertion::new("client", Identity::read(&key, Some(certificate.as_ref()), None)?)?,
            )
        };
        RotatingEndpoint::watching(files, build).unwrap()
    }
}

fn worldline(base_url: &str, credentials: impl Into<worldline::Credentials>) -> Result<worldline::Client, Error> {
    worldline::Client::builder(base_url, "sandbox".parse()?, "VOP".parse()?, credentials).build()
}

fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|e| Error::new(ErrorKind::Configuration, "unreadable").with_source(e))
}

fn sha256(text: &str) -> String {
    hex(&aws_lc_rs::digest::SHA256, text.as_bytes())
}

fn hex(algorithm: &'static aws_lc_rs::digest::Algorithm, bytes: &[u8]) -> String {
    aws_lc_rs::digest::digest(algorithm, bytes).as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_swapped_ten_times_under_load() {
    all_swaps(10).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute"]
async fn files_are_swapped_a_hundred_times_under_load() {
    all_swaps(100).await;
}

async fn all_swaps(rounds: usize) {
    let slowest = tokio::join!(
        swaps(Password, Way::Rename, rounds),
        swaps(Secret, Way::Rename, rounds),
        swaps(Secret, Way::Link, rounds),
        swaps(Assertion, Way::Rename, rounds),
        swaps(Assertion, Way::Link, rounds),
    );
    println!("the slowest of {rounds} swaps each was in use after {slowest:?}");
}

/// Swaps a credential, and returns how long the slowest swap took to be in use.
async fn swaps<S: Source>(source: S, way: Way, rounds: usize) -> Duration {
    // From the soft refresh on it serves for three seconds: longer than a swap may take to be in use.
    let lifetime = Duration::from_secs(20);
    let sandbox = Sandbox::builder()
        .onence(Onence { lifetime, tokens: sandbox::Tokens::New, ..Onence::default() })
        .worldline(Worldline { lifetime, ..Worldline::default() })
        .start()
        .await
        .unwrap();
    let (mut files, known, _) = source.make(0);
    tell(&sandbox, known);
    let mut mount = Mount::new(way, &files);
    let endpoint = source.endpoint(&mount, &sandbox);
    let cache = TokenCache::new(endpoint.clone());
    // A cold cache has nothing to serve while a credential is rejected.
    cache.token().await.unwrap();

    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (cache, stop, calls) = (cache.clone(), stop.clone(), calls.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    cache.token().await.expect("no failed call");
                    calls.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(10)).await;
                }
            })
        })
        .collect();

    let mut slowest = Duration::ZERO;
    for round in 1..=rounds {
        // Now and then somebody writes over the files in place and hasn't finished, for long enough that it is seen.
        if round % 10 == 0 {
            mount.cut_off(&files, round % 100);
            for _ in 0..8 {
                endpoint.exchange().await.expect("what is cut off changes nothing");
                sleep(Duration::from_millis(100)).await;
            }
            mount.replace(&files);
        }
        let (new_files, known, shown) = source.make(round);
        // The provider may know of it before or after.
        if round % 2 == 0 {
            tell(&sandbox, known);
            mount.replace(&new_files);
        } else {
            mount.replace(&new_files);
            sleep(Duration::from_millis(5 * round as u64)).await;
            tell(&sandbox, known);
        }
        files = new_files;
        let swapped = Instant::now();
        while sandbox.last_credential(S::ENDPOINT).as_ref() != Some(&shown) {
            assert!(
                swapped.elapsed() < Duration::from_secs(2),
                "{way:?}, round {round}: the new credential isn't in use"
            );
            // The old one may be refused meanwhile; callers of the cache have their token.
            let _ = endpoint.exchange().await;
            sleep(Duration::from_millis(10)).await;
        }
        slowest = slowest.max(swapped.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(calls.load(Ordering::Relaxed) > 10 * rounds as u64, "there was load");
    slowest
}

/// A credential that can't be built is tried again though its files stay as they are.
#[tokio::test(flavor = "multi_thread")]
async fn what_couldnt_be_built_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, ready) = (folder.path().join("secret"), folder.path().join("ready"));
    fs::write(&file, "first").unwrap();
    let build = {
        let (file, ready) = (file.clone(), ready.clone());
        move || match text(&file)?.as_str() {
            "first" => access_tokens::testing::FixedEndpoint::new("first"),
            // A failure like any other, which mustn't end the thread.
            "panic" => panic!("planted"),
            _ if !ready.exists() => Err(Error::new(ErrorKind::Configuration, "not valid yet")),
            text => access_tokens::testing::FixedEndpoint::new(text),
        }
    };
    let endpoint = RotatingEndpoint::watching([&file], build).unwrap();
    for content in ["panic", "second"] {
        fs::write(&file, content).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(endpoint.exchange().await.unwrap().secret(), "first");
    }
    fs::write(&ready, "yes").unwrap();
    let began = Instant::now();
    while endpoint.exchange().await.unwrap().secret() != "second" {
        assert!(began.elapsed() < Duration::from_secs(12));
        sleep(Duration::from_millis(50)).await;
    }
}

/// A device gives no end, and a socket can't be opened: neither is read, nor is a file too long to be a key.
#[cfg(target_os = "linux")]
#[test]
fn what_isnt_an_ordinary_file_is_refused_and_keeps_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let [file, long, socket] = ["file", "long", "socket"].map(|name| folder.path().join(name));
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::File::create(&long).unwrap().set_len(2 << 20).unwrap();
    let cases = [
        (folder.path(), "it is a folder"),
        (&socket, "it is a device or a socket"),
        (Path::new("/dev/zero"), "it is a device or a socket"),
        (&long, "larger than 1 MiB"),
    ];
    for (path, message) in cases {
        let error = Identity::read(path, Some(path), None).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains(path.to_str().unwrap()), "{error}");
    }

    fs::write(&file, "first").unwrap();
    let built = Arc::new(AtomicU64::new(0));
    let build = {
        let built = built.clone();
        move || {
            built.fetch_add(1, Ordering::Relaxed);
            access_tokens::testing::FixedEndpoint::new("token")
        }
    };
    let _devices = RotatingEndpoint::watching(["/dev/zero"], || access_tokens::testing::FixedEndpoint::new("token"));
    let _endpoint = RotatingEndpoint::watching([&file], build).unwrap();
    fs::write(&file, "second").unwrap();
    // The device holds up nobody.
    until("the second", || built.load(Ordering::Relaxed) == 2);
}

#[test]
fn files_are_watched_while_there_is_a_handle() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "first").unwrap();
    let built = Arc::new(Mutex::new(Vec::new()));
    let build = {
        let (file, built) = (file.clone(), built.clone());
        move || {
            built.lock().unwrap().push(text(&file)?);
            access_tokens::testing::FixedEndpoint::new("token")
        }
    };
    let all_built = || built.lock().unwrap().clone();
    let is_last = |content: &str| all_built().last().is_some_and(|last| last == content);
    let endpoint = RotatingEndpoint::watching([&file], build).unwrap();
    let handle = endpoint.clone();
    drop(endpoint);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(all_built(), ["first"], "nothing changed");
    fs::write(&file, "second").unwrap();
    until("the second", || is_last("second"));
    // As long as somebody writes, nothing is read; unless this machine is so busy that what was written stood for two looks.
    let (mut stood, mut begun) = (0, Instant::now());
    for number in 0..20 {
        let next = Instant::now();
        // Who writes in place begins with an empty file, the same each time.
        fs::write(&file, if number < 19 { "" } else { "last" }).unwrap();
        stood += usize::from(begun.elapsed() >= INTERVAL);
        begun = next;
        std::thread::sleep(Duration::from_millis(60));
    }
    let meanwhile = all_built();
    stood += usize::from(begun.elapsed() >= INTERVAL);
    assert!(meanwhile.len() <= 2 + stood, "{meanwhile:?}, and what was written stood still {stood} times");
    until("the last", || is_last("last"));
    let in_the_end = all_built();
    drop(handle);
    fs::write(&file, "third").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(all_built(), in_the_end, "nobody is there to be told");
}

/// The time between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// Waits up to 10 s.
fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what} never comes");
        std::thread::sleep(Duration::from_millis(10));
    }
}
