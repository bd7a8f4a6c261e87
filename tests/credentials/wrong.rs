//! What can't be used is refused with a message that says which file it is, and what to do.

use std::{fmt::Write as _, path::Path};

use access_tokens::{
    Error, ErrorKind, Identity, TokenEndpoint,
    assertion::{Algorithm, ClientAssertion, KeyId, X509Header},
    worldline,
};
use rcgen::{CertificateParams, date_time_ymd};

use crate::{
    keys::{KINDS, PASSPHRASE, fixture, fixtures, params},
    signers::{Answers, Hsm},
};

#[test]
fn every_file_that_wont_do_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let here = folder.path().join(name);
        if here.exists() { here } else { fixtures().join(name) }
    };
    let made = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    let half = |name: &str| {
        let content = fixture(name);
        content[..content.len() / 2].to_vec()
    };
    for name in ["rsa.pkcs8.pem", "rsa.pkcs8.der", "rsa.pkcs8-aes.pem", "rsa.pkcs8-aes.der", "rsa.modern.p12"] {
        made(&format!("half-of.{name}"), &half(name));
    }
    for name in ["rsa.certificate.pem", "rsa.certificate.der"] {
        made(&format!("half-of.{name}"), &half(name));
    }
    made("half-of.chain.pem", &[fixture("rsa.certificate.pem"), half("issuing.pem")].concat());
    made("empty", b"");
    made("text", b"secret: none");
    made("request.pem", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n");
    made("hours.der", &costly("p256.pkcs8-aes.der", &[0x02, 0x02, 0x08, 0x00], &[0x02, 0x04, 0x7f, 0xff, 0xff, 0xff]));
    made("memory.der", &costly("p256.pkcs8-scrypt.der", &[0x02, 0x02, 0x40, 0x00], &[0x02, 0x04, 0x40, 0, 0, 0]));
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let key = KINDS[1].make();
    let certificate = |params: CertificateParams| params.self_signed(&key).unwrap().pem();
    let mut expired = params("expired");
    (expired.not_before, expired.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 2, 3));
    let mut early = params("early");
    (early.not_before, early.not_after) = (date_time_ymd(2999, 1, 1), date_time_ymd(2999, 2, 3));
    made("key.pem", key.serialize_pem().as_bytes());
    made("expired.pem", certificate(expired).as_bytes());
    made("early.pem", certificate(early).as_bytes());

    let plain = |key: &str, certificate: &str| Identity::read(file(key), Some(file(certificate).as_ref()), None);
    let encrypted = |key: &str, passphrase: &str| {
        Identity::read(file(key), Some(file("rsa.certificate.pem").as_ref()), Some(passphrase))
    };
    let bundle = |name: &str, passphrase: &str| Identity::read(file(name), None, Some(passphrase));
    let rsa = |key: &str| plain(key, "rsa.certificate.pem");
    let of = |certificate: &str| plain("rsa.pkcs8.pem", certificate);
    type Cases<'a> = Vec<(&'a str, Result<Identity, Error>)>;
    let cases: Vec<(&str, Cases)> = vec![
        (
            "a wrong passphrase",
            vec![
                ("AES", encrypted("rsa.pkcs8-aes.pem", "wrong")),
                ("AES, DER", encrypted("rsa.pkcs8-aes.der", "wrong")),
                ("scrypt", encrypted("rsa.pkcs8-scrypt.pem", "wrong")),
                ("3DES", encrypted("rsa.pkcs8-3des.pem", "wrong")),
                ("empty", encrypted("rsa.pkcs8-aes.pem", "")),
                ("PKCS#12", bundle("rsa.modern.p12", "wrong")),
                ("PKCS#12, legacy", bundle("rsa.legacy.p12", "wrong")),
                ("PKCS#12, empty", bundle("rsa.modern.p12", "")),
            ],
        ),
        ("no passphrase", vec![("PEM", rsa("rsa.pkcs8-aes.pem")), ("DER", rsa("rsa.pkcs8-scrypt.der"))]),
        (
            "encrypted otherwise",
            vec![
                ("OpenSSL's old way", encrypted("wrong.old-encryption.pem", PASSPHRASE)),
                ("the same without a passphrase", rsa("wrong.old-encryption.pem")),
                ("PBES1", encrypted("wrong.pbes1.pem", PASSPHRASE)),
                ("RC4 in PKCS#12", bundle("wrong.rc4.p12", PASSPHRASE)),
                ("hours of work", encrypted("hours.der", PASSPHRASE)),
                ("a terabyte of memory", encrypted("memory.der", PASSPHRASE)),
            ],
        ),
        (
            "not of each other",
            vec![
                ("another kind", of("p256.certificate.pem")),
                ("issuers alone", of("issuing.pem")),
                ("the same kind", plain("key.pem", "p256.certificate.pem")),
                ("swapped", plain("rsa.certificate.pem", "rsa.pkcs8.pem")),
                ("swapped, DER", plain("rsa.certificate.der", "rsa.pkcs8.der")),
                ("twice the key, DER", plain("rsa.pkcs8.der", "rsa.pkcs1.der")),
                ("twice the key", plain("rsa.pkcs8.pem", "rsa.pkcs8.pem")),
                ("twice the certificate", plain("rsa.certificate.pem", "rsa.certificate.pem")),
            ],
        ),
        ("another time", vec![("ended", plain("key.pem", "expired.pem")), ("early", plain("key.pem", "early.pem"))]),
        (
            "another kind of key",
            vec![
                ("RSA of 1024 bits", rsa("wrong.rsa-1024.pem")),
                ("P-521", rsa("wrong.p521.pem")),
                ("secp256k1", rsa("wrong.secp256k1.pem")),
                ("X25519", rsa("wrong.x25519.pem")),
                ("Ed448", rsa("wrong.ed448.pem")),
            ],
        ),
        (
            "not whole",
            vec![
                ("key", rsa("half-of.rsa.pkcs8.pem")),
                ("key, DER", rsa("half-of.rsa.pkcs8.der")),
                ("encrypted", encrypted("half-of.rsa.pkcs8-aes.pem", PASSPHRASE)),
                ("encrypted, DER", encrypted("half-of.rsa.pkcs8-aes.der", PASSPHRASE)),
                ("certificate", of("half-of.rsa.certificate.pem")),
                ("certificate, DER", of("half-of.rsa.certificate.der")),
                ("its issuer", of("half-of.chain.pem")),
                ("PKCS#12", bundle("half-of.rsa.modern.p12", PASSPHRASE)),
                ("empty key", rsa("empty")),
                ("empty certificate", of("empty")),
                ("empty PKCS#12", bundle("empty", PASSPHRASE)),
            ],
        ),
        (
            "something else",
            vec![
                ("text for a key", rsa("text")),
                ("text for a certificate", of("text")),
                ("text for PKCS#12", bundle("text", PASSPHRASE)),
                ("a request for a key", rsa("request.pem")),
                ("a request for a certificate", of("request.pem")),
                ("PKCS#12 for a key", rsa("rsa.modern.p12")),
                ("PKCS#12 for a certificate", of("rsa.modern.p12")),
                ("a certificate for PKCS#12", bundle("rsa.certificate.der", PASSPHRASE)),
                ("a key in PEM for PKCS#12", bundle("rsa.pkcs8.pem", PASSPHRASE)),
                ("PKCS#12 without a key", bundle("wrong.without-key.p12", PASSPHRASE)),
                ("PKCS#12 without a certificate", bundle("wrong.without-certificate.p12", PASSPHRASE)),
            ],
        ),
        (
            "no file",
            vec![
                ("key", rsa("nowhere")),
                ("certificate", of("nowhere")),
                ("PKCS#12", bundle("nowhere", PASSPHRASE)),
                ("a folder for a key", rsa("folder")),
                ("a folder for a certificate", of("folder")),
                ("a folder for PKCS#12", bundle("folder", PASSPHRASE)),
            ],
        ),
        (
            "from bytes",
            vec![
                (
                    "passphrase",
                    Identity::new(
                        fixture("rsa.pkcs8-aes.der"),
                        Some(fixture("rsa.certificate.der").as_ref()),
                        Some(""),
                    ),
                ),
                ("PKCS#12", Identity::new(fixture("rsa.legacy.p12"), None, Some("wrong"))),
                (
                    "not of each other",
                    Identity::new(fixture("rsa.pkcs8.pem"), Some(fixture("p384.certificate.pem").as_ref()), None),
                ),
            ],
        ),
    ];
    let mut shown = String::new();
    for (group, cases) in cases {
        writeln!(shown, "{group}").unwrap();
        for (case, outcome) in cases {
            let error = outcome.err().unwrap_or_else(|| panic!("{group}, {case}: it is taken"));
            assert_eq!(error.kind(), ErrorKind::Configuration, "{group}, {case}: {error}");
            let message = error.to_string();
            assert_ne!(group == "from bytes", message.contains(" in "), "{message}");
            writeln!(shown, "- {case}: {}", without(&message, folder.path())).unwrap();
        }
    }
    insta::assert_snapshot!("files", shown);
}

#[tokio::test]
async fn an_assertion_that_cant_be_is_refused_with_what_to_do() {
    let identity = |kind: usize| {
        let kind = &KINDS[kind];
        Identity::new(fixture(&format!("{}.pkcs8.pem", kind.name)), Some(fixture(&kind.certificate()).as_ref()), None)
            .unwrap()
    };
    let held = |kind| ClientAssertion::new("client", identity(kind)).unwrap();
    let read =
        Identity::read(fixtures().join("rsa.pkcs8.pem"), Some(fixtures().join("rsa.certificate.pem").as_ref()), None)
            .unwrap();
    let read = ClientAssertion::new("client", read).unwrap().algorithm(Algorithm::Es256);
    let hsm = |kind: usize| Hsm::new(&KINDS[kind], KINDS[kind].algorithms[0], Answers::AsMade);
    let signer = || ClientAssertion::with_signer("client", hsm(1)).unwrap();
    let certified = |certificate: &str| signer().certificates(fixture(certificate));
    let mut cases = Vec::new();
    for (position, kind) in KINDS.iter().enumerate() {
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !kind.algorithms.contains(algorithm)) {
            let outcome = held(position).algorithm(algorithm);
            cases.push((format!("{algorithm} with {}", kind.key_type), outcome.unwrap_err()));
        }
    }
    assert_eq!(cases.len(), 21);
    let mut case = |name: &str, error: Error| cases.push((name.to_owned(), error));
    case("ES256 with RSA from a file", read.unwrap_err());
    case("ES384 with a signer in ES256", signer().algorithm(Algorithm::Es384).unwrap_err());
    case("an empty client id", ClientAssertion::new("", identity(0)).unwrap_err());
    case("a signer, an empty client id", ClientAssertion::with_signer("", hsm(1)).unwrap_err());
    case("a certificate too many", held(0).certificates(fixture("rsa.certificate.pem")).unwrap_err());
    case("a signer, a key for a certificate", certified("p256.pkcs8.pem").unwrap_err());
    let ended = {
        let mut params = params("expired");
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 2, 3));
        params.self_signed(&KINDS[1].make()).unwrap()
    };
    case("a signer, a certificate that has ended", signer().certificates(ended.der()).unwrap_err());
    let text = || KeyId::Text("key 1".to_owned());
    case("an empty key id", built(held(0).key_id(KeyId::Text(String::new()))).unwrap_err());
    case("a signer without a certificate", built(signer()).unwrap_err());
    case("the same, SHA-256", built(signer().key_id(KeyId::Sha256Fingerprint)).unwrap_err());
    for header in [X509Header::X5c, X509Header::X5t, X509Header::X5tS256] {
        case(&format!("the same, {header:?}"), built(signer().key_id(text()).x509([header])).unwrap_err());
    }
    let stranger = built(certified("p384.certificate.pem").unwrap()).unwrap();
    case("a signer, another key's certificate", stranger.exchange().await.unwrap_err());
    built(signer().key_id(text())).unwrap();

    let mut shown = String::new();
    for (case, error) in cases {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{case}: {error}");
        writeln!(shown, "- {case}: {}", without(&error.to_string(), &fixtures())).unwrap();
    }
    insta::assert_snapshot!("assertions", shown);
}

fn built(credentials: ClientAssertion) -> Result<worldline::Client, Error> {
    let realm = worldline::Realm::new("sandbox").unwrap();
    worldline::Client::builder("http://127.0.0.1:1", realm, "VOP".parse().unwrap(), credentials).build()
}

/// The fixture with another number, for which two bytes of the eight of salt before it make room.
pub(crate) fn costly(name: &str, number: &[u8], other: &[u8]) -> Vec<u8> {
    let mut der = fixture(name);
    let place = (0..der.len()).find(|place| der[*place..].starts_with(number)).unwrap();
    let salt = place - 10;
    assert_eq!(der[salt..salt + 2], [0x04, 8], "{name}: salt of eight bytes");
    der.splice(salt..place + number.len(), [&[0x04, 6, 1, 2, 3, 4, 5, 6], other].concat());
    der
}

/// The message as it is on every machine.
fn without(message: &str, folder: &Path) -> String {
    let message = match message.split_once("can't be read: ") {
        Some((before, _)) => format!("{before}can't be read: [WHY]"),
        None => message.to_owned(),
    };
    let message = message.replace(&fixtures().display().to_string(), "[KEYS]");
    message.replace(&folder.display().to_string(), "[FOLDER]").replace('\\', "/")
}
