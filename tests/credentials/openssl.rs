//! OpenSSL's command line: makes keys as banks make them, and verifies what was signed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support;

/// Whether OpenSSL 3 is there; if not, says what is skipped for it, or fails where it is demanded.
pub(crate) fn is_there(skipped: &str) -> bool {
    let version = Command::new("openssl").arg("version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let number = version.strip_prefix("OpenSSL ").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    support::is_there("openssl", "OpenSSL's command line, version 3 or newer,", number >= Some(3), skipped)
}

/// All that make.sh makes, anew.
pub(crate) fn make(folder: &Path) {
    let script = crate::keys::fixtures().join("make.sh");
    run(Command::new("sh").arg(script).arg(folder));
}

/// What it says of the certificate in that file.
pub(crate) fn fingerprint(certificate: &Path, digest: &str) -> String {
    let mut openssl = Command::new("openssl");
    let output = run(openssl.args(["x509", "-noout", "-fingerprint", digest, "-in"]).arg(certificate));
    String::from_utf8(output.stdout).unwrap().split_once('=').unwrap().1.trim().replace(':', "")
}

/// Assertions to verify: the algorithm, the file with the certificate, the JWT.
pub(crate) type Signed = (&'static str, PathBuf, String);

/// Verifies all of them, on a few threads, since a process each takes its time. Returns how many.
pub(crate) fn verify(signed: &[Signed]) -> usize {
    // Once for each.
    let certificates: BTreeSet<_> = signed.iter().map(|(_, certificate, _)| certificate).collect();
    let keys: BTreeMap<_, _> = certificates.into_iter().map(|one| (one, public_key(one))).collect();
    let keys = &keys;
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let work = signed.chunks(signed.len().div_ceil(threads).max(1));
        let threads: Vec<_> = work
            .map(|part| {
                scope.spawn(move || {
                    let folder = tempfile::tempdir().unwrap();
                    for (algorithm, certificate, jwt) in part {
                        let verified = verifies(folder.path(), algorithm, &keys[certificate], jwt);
                        assert!(verified, "{algorithm} {}: {jwt}", certificate.display());
                    }
                    part.len()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

/// That of a certificate, in PEM.
pub(crate) fn public_key(certificate: &Path) -> Vec<u8> {
    run(Command::new("openssl").args(["x509", "-noout", "-pubkey", "-in"]).arg(certificate)).stdout
}

/// Whether the JWT's signature is that of this public key (PEM).
pub(crate) fn verifies(folder: &Path, algorithm: &str, public_key: &[u8], jwt: &str) -> bool {
    let [key, message, signature] = ["key.pem", "message", "signature"].map(|name| folder.join(name));
    let (signed, _) = jwt.rsplit_once('.').unwrap();
    std::fs::write(&message, signed).unwrap();
    let bytes = support::bytes_of(jwt, 2);
    // OpenSSL takes no other signature of ECDSA than DER.
    std::fs::write(&signature, if algorithm.starts_with("ES") { der(&bytes) } else { bytes }).unwrap();
    std::fs::write(&key, public_key).unwrap();
    let mut openssl = Command::new("openssl");
    if algorithm == "EdDSA" {
        openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(key).arg("-in").arg(message);
        openssl.arg("-sigfile").arg(signature);
    } else {
        openssl.args(["dgst", &format!("-sha{}", algorithm.split_at(2).1), "-verify"]).arg(key);
        if algorithm.starts_with("PS") {
            // RFC 7518 section 3.5: the salt is as long as the digest.
            openssl.args(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]);
        }
        openssl.arg("-signature").arg(signature).arg(message);
    }
    openssl.output().unwrap().status.success()
}

/// `SEQUENCE { r INTEGER, s INTEGER }` of the two numbers one after the other.
pub(crate) fn der(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let integer = |number: &[u8]| {
        let mut number: Vec<_> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        if number.first().is_none_or(|byte| *byte >= 0x80) {
            number.insert(0, 0);
        }
        [vec![0x02, u8::try_from(number.len()).unwrap()], number].concat()
    };
    let content = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(content.len()).unwrap()], content].concat()
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
