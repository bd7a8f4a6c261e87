//! A folder with a configuration and what it names, the command run on it, and what is the same on every machine of what it says.
#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

pub mod server;
pub mod ways;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use access_tokens_sandbox::Sandbox;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use regex::{Captures, Regex};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// None of these may be in any output.
pub const SECRETS: [&str; 6] = [
    "sandbox-password",
    "sandbox-secret",
    "planted-passphrase",
    "planted-wrong",
    STORE_KEY,
    // `sandbox@1nce.example:sandbox-password`, as it is sent.
    "c2FuZGJveEAxbmNlLmV4YW1wbGU6c2FuZGJveC1wYXNzd29yZA==",
];

/// 32 bytes in base64.
const STORE_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

pub struct Folder(TempDir);

pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    /// With the sandbox's password and client secret in it.
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("password", "sandbox-password\n");
        folder.write("secret", "sandbox-secret\n");
        folder.write("name_key", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n");
        folder.write("keys", format!("{STORE_KEY}\n"));
        folder
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs the command in this folder, with no other environment than this.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_access-tokens"));
        command.args(arguments).current_dir(self.0.path()).env_clear().envs(environment.iter().copied());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = Said {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        for (secret, text) in SECRETS.iter().flat_map(|secret| [(secret, &said.stdout), (secret, &said.stderr)]) {
            assert!(!text.contains(secret), "{arguments:?} shows {secret}:\n{text}");
        }
        said
    }
}

/// The store, with the keys in the folder. Further settings of it may follow, and then the sources.
pub fn store(url: &str) -> String {
    format!("[store]\nurls = \"{url}\"\nname_key = {{ file = \"name_key\" }}\nkeys = {{ file = \"keys\" }}\n")
}

/// A source at 1NCE with the sandbox's credentials.
pub fn sims(base_url: &str) -> String {
    format!(
        "[sources.sims]\nprovider = \"onence\"\nbase_url = \"{base_url}\"\n\
         username = \"sandbox@1nce.example\"\npassword = {{ file = \"password\" }}\n"
    )
}

/// A source at Worldline with the sandbox's client secret.
pub fn payments(sandbox: &Sandbox) -> String {
    format!("{}client_id = \"sandbox-client\"\nclient_secret = {{ file = \"secret\" }}\n", realm(sandbox))
}

/// A source at Worldline that signs with `key.pem` and `certificate.pem`.
pub fn signing(sandbox: &Sandbox) -> String {
    format!(
        "{}client_id = \"signing\"\n[sources.payments.assertion]\n\
         key = {{ file = \"key.pem\" }}\ncertificate = {{ file = \"certificate.pem\" }}\n",
        realm(sandbox)
    )
}

fn realm(sandbox: &Sandbox) -> String {
    format!(
        "[sources.payments]\nprovider = \"worldline\"\nbase_url = \"{}\"\nrealm = \"sandbox\"\nscopes = [\"VOP\", \"WERO\"]\n",
        sandbox.worldline_base_url()
    )
}

/// A key, and a self-signed certificate for it that ends in so many days; in PEM.
pub fn certificate(days: i64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (key.serialize_pem(), named("payments", days).self_signed(&key).unwrap().pem())
}

/// What a certificate says that ends in so many days, and an hour.
pub fn named(name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let day = Duration::from_secs(24 * 60 * 60);
    let now = date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let end = if days < 0 { now - day * days.unsigned_abs() as u32 } else { now + day * days as u32 };
    params.not_before = end - day * 500;
    params.not_after = end + day / 24;
    params
}

/// Without what is another on each run or each machine: times, ports, addresses, dates, the system's own words.
pub fn same(text: &str) -> String {
    let patterns = [
        (r#""took_ms": \d+"#, r#""took_ms": "[ms]""#),
        (r"(127\.0\.0\.1|localhost):\d+", "$1:[port]"),
        (r"localhost: [0-9a-f.:, ]+", "localhost: [addresses]"),
        (r"valid for [\dhms ]+", "valid for [time]"),
        (r"(1m 5\ds|2m)( \ds)? (ahead|behind)", "[about 2m] $3"),
        (r"no name server gave an address of (\S+) within 1s", "there is no address of $1"),
        (r"(no address of \S+): .*", "$1: [the system's words]"),
        (r"(accepts no connection): .*", "$1: [the system's words]"),
        (r"(broke off the TLS handshake): .*", "$1: [the system's words]"),
        (r"(is Redis running there\?): .*", "$1: [the system's words]"),
        (r"(a maxmemory-policy that evicts): .*", "$1: [Redis' words]"),
        (r"(opens no connection): .*", "$1: [the system's words]"),
        (r"/\S*/\.tmp\w+/", ""),
        (r"(can't be read): .*", "$1: [the system's words]"),
        (r"\w{3}, \d{1,2} \w{3} \d{4} [\d:]{8} (GMT|\+0000)", "[date]"),
    ];
    // As wide as it was, with the white space before it, so that columns stay columns.
    let times = Regex::new(r" +\d+ ms").unwrap();
    let text = times.replace_all(text, |found: &Captures| format!("{:>1$}", "[ms]", found[0].len()));
    patterns.iter().fold(text.into_owned(), |text, (pattern, with)| {
        Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
    })
}

/// The sandbox's key and certificate as PKCS#12, with the passphrase `planted-passphrase`.
pub fn bundle(sandbox: &Sandbox) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(sandbox.signing_key_pem().as_bytes()).unwrap();
    let certificate = CertificateDer::from_pem_slice(sandbox.signing_cert_pem().as_bytes()).unwrap();
    let key = p12_keystore::PrivateKey::from_der(key.secret_der()).unwrap();
    let certificate = p12_keystore::Certificate::from_der(&certificate).unwrap();
    let mut store = p12_keystore::KeyStore::new();
    let chain = p12_keystore::PrivateKeyChain::new("key", key, [certificate]);
    store.add_entry("key", p12_keystore::KeyStoreEntry::PrivateKeyChain(chain));
    store.writer("planted-passphrase").write().unwrap()
}
