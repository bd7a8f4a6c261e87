//! Key material as it comes: from editors, environment variables and other programs. It is read, or refused with the true reason.

use std::{path::Path, process::Command};

use access_tokens::{
    Error, ErrorKind, Identity, Setting, Transport,
    assertion::{Algorithm, Audience, ClientAssertion, KeyId, Signer, SigningKey, X509Header},
    root_certificates, worldline,
};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    exchange::CLIENT,
    keys::{KINDS, PASSPHRASE, der, fixture, params},
    openssl,
};

/// A file of tests/fixtures/material.
fn other(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/material").join(name)).unwrap()
}

/// The passphrase of those.
const OTHER_PASSPHRASE: &str = "secret1";

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The leaf of the P-384 key, its issuer, and the root.
fn chain() -> String {
    text(crate::keys::chain(&["p384.certificate.pem", "issuing.pem", "root.pem"]))
}

fn sections(identity: &Identity) -> usize {
    identity.with_pem(|pem| pem.matches("-----BEGIN ").count())
}

/// All forms of text in which PEM travels.
fn variants(pem: &str) -> Vec<(&'static str, String)> {
    let body_without = |between: &str| pem.lines().collect::<Vec<_>>().join(between);
    let indented: String = pem.lines().map(|line| format!("    {line}\n")).collect();
    vec![
        ("as it is", pem.to_owned()),
        ("a byte order mark", format!("\u{feff}{pem}")),
        ("a byte order mark before each section", pem.replace("-----BEGIN", "\u{feff}-----BEGIN")),
        ("a byte order mark, CRLF", format!("\u{feff}{}", pem.replace('\n', "\r\n"))),
        ("CRLF", pem.replace('\n', "\r\n")),
        ("CR", pem.replace('\n', "\r")),
        ("literal \\n", pem.replace('\n', "\\n")),
        ("literal \\r\\n", pem.replace('\n', "\\r\\n")),
        ("literal \\\\n", pem.replace('\n', "\\\\n")),
        ("literal \\n and line breaks", pem.replace('\n', "\\n\n")),
        ("one line with spaces", body_without(" ")),
        ("one line", body_without("")),
        ("no line break between sections", pem.replace("-----\n-----", "----------")),
        ("indented", indented),
        ("tabs", pem.replace('\n', "\n\t")),
        ("empty lines", pem.replace('\n', "\n\n")),
        ("quotes", format!("\"{pem}\"")),
        ("text around it", format!("Bag Attributes\nöffnen: ja\n{pem}\nbye\n")),
    ]
}

#[test]
fn pem_is_read_as_editors_and_environment_variables_hold_it() {
    let roots = root_certificates(chain().as_bytes()).unwrap();
    assert_eq!(roots.len(), 3);
    for kind in &KINDS {
        let forms: Vec<_> = ["pkcs8", "pkcs1", "sec1"].map(|form| format!("{}.{form}.pem", kind.name)).into();
        for form in forms.iter().filter(|form| crate::keys::fixtures().join(form).exists()) {
            for (variant, key) in variants(&text(fixture(form))) {
                let identity = Identity::new(key, Some(fixture(&kind.certificate()).as_ref()), None);
                let identity = identity.unwrap_or_else(|e| panic!("{form}, {variant}: {e}"));
                assert_eq!(identity.key_type(), kind.key_type);
            }
        }
    }
    for (variant, certificates) in variants(&chain()) {
        let identity = Identity::new(fixture("p384.pkcs8.pem"), Some(certificates.as_ref()), None);
        let identity = identity.unwrap_or_else(|e| panic!("{variant}: {e}"));
        assert_eq!((sections(&identity), identity.warnings().len()), (4, 0), "{variant}");
        assert_eq!(root_certificates(certificates.as_bytes()).unwrap(), roots, "{variant}");
        transport(Transport::new().add_roots_pem(certificates)).unwrap_or_else(|e| panic!("{variant}: {e}"));
    }
    // Key and chain in one text, as both.
    for (variant, both) in variants(&(text(fixture("p384.sec1.pem")) + &chain())) {
        let identity = Identity::new(&both, Some(both.as_ref()), None).unwrap_or_else(|e| panic!("{variant}: {e}"));
        assert_eq!((sections(&identity), identity.warnings().len()), (4, 0), "{variant}");
    }
    for (variant, key) in variants(&text(fixture("p384.pkcs8-aes.pem"))) {
        let identity = Identity::new(key, Some(chain().as_ref()), Some(PASSPHRASE));
        assert_eq!(sections(&identity.unwrap_or_else(|e| panic!("{variant}: {e}"))), 4);
    }
    for (variant, bundle) in variants(&pem("PKCS12", &fixture("p384.modern.p12"))) {
        let identity = Identity::new(bundle, None, Some(PASSPHRASE));
        assert_eq!(sections(&identity.unwrap_or_else(|e| panic!("{variant}: {e}"))), 4);
    }
}

#[test]
fn der_may_have_a_byte_order_mark_before_it_and_blanks_behind_it() {
    let mark = "\u{feff}".as_bytes();
    for (before, behind) in
        [(&b""[..], &b"\n"[..]), (b"", b"\r\n"), (b"", b"  \t"), (b"", b"\0\0\0"), (mark, b""), (mark, b"\n")]
    {
        let padded = |der: Vec<u8>| [before, &der, behind].concat();
        for kind in &KINDS {
            let certificate = padded(fixture(&kind.certificate().replace("pem", "der")));
            for form in ["pkcs8.der", "pkcs1.der", "sec1.der", "pkcs8-aes.der"] {
                let name = format!("{}.{form}", kind.name);
                if crate::keys::fixtures().join(&name).exists() {
                    let identity = Identity::new(padded(fixture(&name)), Some(certificate.as_ref()), Some(PASSPHRASE));
                    let identity = identity.unwrap_or_else(|e| panic!("{name} {before:?} {behind:?}: {e}"));
                    assert_eq!((sections(&identity), identity.warnings().len()), (2, 0));
                    let in_pem = pem("PRIVATE KEY", &padded(fixture(&name))[before.len()..]);
                    Identity::new(in_pem, Some(certificate.as_ref()), Some(PASSPHRASE)).unwrap();
                }
            }
        }
        let root = fixture("root.pem");
        assert_eq!(root_certificates(&padded(der(&root))).unwrap(), [der(&root)]);
        for (bundle, passphrase) in
            [(fixture("p384.modern.p12"), PASSPHRASE), (other("outer-ber.p12"), OTHER_PASSPHRASE)]
        {
            let identity = Identity::new(padded(bundle), None, Some(passphrase));
            identity.unwrap_or_else(|e| panic!("{before:?} {behind:?}: {e}"));
        }
    }
}

fn transport(transport: Transport) -> Result<worldline::Client, Error> {
    let credentials = worldline::ClientSecret::new("me", "secret");
    let realm = worldline::Realm::new("sandbox").unwrap();
    let builder = worldline::Client::builder("https://bank.example", realm, "VOP".parse().unwrap(), credentials);
    builder.transport(transport).build()
}

/// A PKCS#8 key without the `NULL` that follows the object identifier of RSA.
fn without_null(mut pkcs8: Vec<u8>) -> Vec<u8> {
    let oid = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let place = (0..pkcs8.len()).find(|place| pkcs8[*place..].starts_with(&oid)).unwrap();
    pkcs8.drain(place + 11..place + 13);
    pkcs8[place - 1] -= 2;
    let length = u16::from_be_bytes([pkcs8[2], pkcs8[3]]) - 2;
    pkcs8[2..4].copy_from_slice(&length.to_be_bytes());
    pkcs8
}

#[test]
fn the_content_of_a_section_counts_and_not_its_label() {
    let labels = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "ANY PRIVATE KEY"];
    let certified = |kind: &crate::keys::Kind| {
        let key = text(fixture(&format!("{}.pkcs8.pem", kind.name)));
        params("client").self_signed(&rcgen::KeyPair::from_pem(&key).unwrap()).unwrap().pem()
    };
    for kind in &KINDS {
        for form in ["pkcs8.der", "pkcs1.der", "sec1.der", "pkcs8-aes.der"] {
            let name = format!("{}.{form}", kind.name);
            if !crate::keys::fixtures().join(&name).exists() {
                continue;
            }
            for label in labels {
                let identity =
                    Identity::new(pem(label, &fixture(&name)), Some(certified(kind).as_ref()), Some(PASSPHRASE));
                let identity = identity.unwrap_or_else(|e| panic!("{name} as {label}: {e}"));
                assert_eq!(identity.key_type(), kind.key_type);
                transport(Transport::new().identity(identity)).unwrap();
            }
        }
        let certificate = der(&fixture(&kind.certificate()));
        let identity = Identity::new(
            fixture(&format!("{}.pkcs8.pem", kind.name)),
            Some(pem("X509 CERTIFICATE", &certificate).as_ref()),
            None,
        );
        assert_eq!(sections(&identity.unwrap()), 2);
        assert_eq!(root_certificates(pem("X509 CERTIFICATE", &certificate).as_bytes()).unwrap(), [certificate]);
    }
    for key in
        [without_null(fixture("rsa.pkcs8.der")), pem("PRIVATE KEY", &without_null(fixture("rsa.pkcs8.der"))).into()]
    {
        let identity = Identity::new(key, Some(certified(&KINDS[0]).as_ref()), None).unwrap();
        assert_eq!(identity.key_type(), "RSA");
        transport(Transport::new().identity(identity)).unwrap();
    }
}

#[test]
fn a_client_certificate_that_tls_cant_use_is_named() {
    let (key, certificate) = ("p256.pkcs8.pem", "p256.certificate.pem");
    let identity = Identity::new(fixture(key), Some(fixture(certificate).as_ref()), None).unwrap();
    let error = transport(Transport::new().identity(identity)).unwrap_err();
    let message =
        "the certificate: TLS can't use it (O=Test keys, CN=p256): its X.509 version isn't 3; ask for one of version 3";
    assert_eq!((error.to_string().as_str(), error.setting()), (message, Some(Setting::Certificate)));
}

#[test]
fn what_isnt_used_is_warned_of_by_its_place() {
    let p384 = text(fixture("p384.pkcs8.pem"));
    let stranger = text(fixture("rsa.certificate.pem"));
    let request = text(other("request.pem"));
    let not_in_chain = |number: u8, place: &str, name: &str| {
        format!("section {number} of {place} ({name}) isn't in the chain of the key's certificate and isn't used")
    };
    let rsa = "O=Test keys, CN=rsa";
    let with_key = chain() + &p384;
    // (key, certificates, warnings)
    let cases: Vec<(String, String, Vec<String>)> = vec![
        (p384.clone(), chain() + &chain(), vec![]),
        (text(fixture("p256.sec1-with-curve.pem")), text(fixture("p256.certificate.pem")), vec![]),
        (p384.clone(), with_key.clone(), vec![]),
        (with_key.clone(), chain(), vec![]),
        (with_key.clone(), with_key, vec![]),
        (p384.clone(), chain() + &stranger, vec![not_in_chain(4, "the certificate", rsa)]),
        (p384.clone(), format!("{stranger}text{}", chain()), vec![not_in_chain(1, "the certificate", rsa)]),
        (
            p384.clone(),
            [text(fixture("p384.certificate.pem")), text(fixture("root.pem"))].concat(),
            vec![not_in_chain(2, "the certificate", "O=Test keys, CN=root")],
        ),
        (
            p384.clone(),
            chain() + &request + &text(other("public.pem")),
            vec![
                "section 4 of the certificate (a certificate request) isn't used".to_owned(),
                "section 5 of the certificate (a public key) isn't used".to_owned(),
            ],
        ),
        (
            p384.clone(),
            chain() + &text(fixture("rsa.pkcs8.pem")),
            vec!["section 4 of the certificate (a private key) isn't used".to_owned()],
        ),
        (
            p384.clone() + &stranger,
            chain() + &pem("X509 CRL", b"0"),
            vec![
                format!(
                    "section 2 of the private key ({rsa}) isn't used; certificates are read from the setting certificate alone"
                ),
                "section 4 of the certificate (X509 CRL) isn't used".to_owned(),
            ],
        ),
        (
            p384.clone() + &stranger + &chain(),
            p384.clone() + &stranger + &chain(),
            vec![not_in_chain(2, "the certificate", rsa)],
        ),
    ];
    for (position, (key, certificates, warnings)) in cases.into_iter().enumerate() {
        let (identity, log) = crate::ends::logged(|| Identity::new(key, Some(certificates.as_ref()), None));
        assert_eq!(identity.unwrap().warnings(), warnings, "{position}");
        assert_eq!(log.lines().count(), warnings.len(), "{log}");
        assert!(warnings.iter().all(|warning| log.contains(warning.as_str())), "{log}");
    }

    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("certificate.pem"));
    std::fs::write(&key, &p384).unwrap();
    std::fs::write(&certificate, chain() + &stranger).unwrap();
    let place = certificate.display().to_string();
    assert_eq!(
        Identity::read(&key, Some(certificate.as_ref()), None).unwrap().warnings(),
        [not_in_chain(4, &place, rsa)]
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o666)).unwrap();
        let identity = Identity::read(&key, Some(certificate.as_ref()), None).unwrap();
        assert_eq!(identity.warnings().len(), 2, "{:?}", identity.warnings());
        assert!(identity.warnings()[1].contains("can be written by every user"));
    }

    // A signer's certificates, and a key without one.
    let (_, log) = crate::ends::logged(|| {
        let key = SigningKey::new(p384.clone() + &request, None).unwrap();
        ClientAssertion::with_signer(CLIENT, key).unwrap().certificates(chain() + &stranger).unwrap()
    });
    assert!(log.contains("section 2 of the private key (a certificate request) isn't used"), "{log}");
    assert!(log.contains(&not_in_chain(4, "the certificate", rsa)), "{log}");
}

#[test]
fn a_section_that_is_broken_is_refused_by_its_place_and_never_skipped() {
    let whole = chain();
    let parts: Vec<_> = whole.split_inclusive("-----END CERTIFICATE-----\n").collect();
    let second = |change: &dyn Fn(&str) -> String| [parts[0], &change(parts[1]), parts[2]].concat();
    let damaged = "its PEM is damaged or cut off: section 2";
    let cases = [
        (
            "no END",
            second(&|part| part.replace("-----END CERTIFICATE-----\n", "")),
            format!("{damaged} (CERTIFICATE) has no END line; copy it again"),
        ),
        (
            "another END",
            second(&|part| part.replace("END CERTIFICATE", "END PRIVATE KEY")),
            format!("{damaged} begins as CERTIFICATE and ends as PRIVATE KEY; copy it again"),
        ),
        (
            "no base64",
            second(&|part| part.replacen("MII", "M!I", 1)),
            format!("{damaged} (CERTIFICATE) holds something else than base64, or not all of it; copy it again"),
        ),
        (
            "a letter less",
            second(&|part| part.replacen("MII", "MI", 1)),
            format!("{damaged} (CERTIFICATE) holds something else than base64, or not all of it; copy it again"),
        ),
        (
            "BEGIN with a dash less",
            second(&|part| part.replacen("-----BEGIN", "----BEGIN", 1)),
            "its PEM has an END line without a BEGIN line; copy it again, with all dashes".to_owned(),
        ),
        (
            "BEGIN without its dashes",
            second(&|part| part.replacen("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE", 1)),
            format!("{damaged} has a damaged BEGIN line; copy it again"),
        ),
        (
            "content cut off",
            second(&|_| pem("CERTIFICATE", &der(&fixture("issuing.pem"))[..200])),
            "section 2 of [WHAT] isn't an X.509 certificate, or is damaged; copy it again".to_owned(),
        ),
        (
            "the last without an END",
            whole.trim_end().trim_end_matches("-----END CERTIFICATE-----").to_owned(),
            "its PEM is damaged or cut off: section 3 (CERTIFICATE) has no END line; copy it again".to_owned(),
        ),
    ];
    for (case, certificates, expected) in cases {
        let of_certificate = Identity::new(fixture("p384.pkcs8.pem"), Some(certificates.as_ref()), None).unwrap_err();
        let message = expected.replace("[WHAT]", "the certificate");
        assert_eq!(of_certificate.to_string(), format!("the certificate: {message}"), "{case}");
        assert_eq!(of_certificate.setting(), Some(Setting::Certificate));
        let of_roots = root_certificates(certificates.as_bytes()).unwrap_err();
        let message = expected.replace("[WHAT]", "the root certificates");
        assert_eq!(of_roots.to_string(), format!("the root certificates: {message}"), "{case}");
        assert_eq!(of_roots.setting(), Some(Setting::Roots));
    }
    // Of a private key, and of what is beside it.
    for (from, to) in [("-----END PRIVATE KEY-----", ""), ("END PRIVATE", "END PUBLIC"), ("MI", "M!")] {
        for rest in [String::new(), chain()] {
            let key = text(fixture("p384.pkcs8.pem")).replacen(from, to, 1);
            let error = Identity::new(key + &rest, Some(chain().as_ref()), None).unwrap_err();
            assert!(
                error.to_string().starts_with("the private key: its PEM is damaged or cut off: section 1"),
                "{error}"
            );
            assert_eq!(error.setting(), Some(Setting::Key));
        }
    }
    // Whatever is damaged, no message has a part of the key.
    let key = text(fixture("ed25519.pkcs8.pem"));
    let secret = key.lines().nth(1).unwrap();
    for damaged in [
        key.replace('\n', " ").replacen("KEY-----", "KEY", 1),
        key.replacen("PRIVATE KEY-----\n", "", 1),
        key.replacen("-----END", &format!("-----END {secret}-----END"), 1),
        key.replacen("PRIVATE KEY", secret, 1),
        format!("-----BEGIN {secret}-----\nAAAA\n-----END {secret}-----\n"),
    ] {
        for error in
            [Identity::new(&damaged, Some(chain().as_ref()), None), Identity::new(&key, Some(damaged.as_ref()), None)]
                .map(Result::unwrap_err)
        {
            assert!(!format!("{error} {error:?}").contains(secret.get(..12).unwrap()), "{error}");
        }
    }
    let two = [fixture("p384.pkcs8.pem"), fixture("p256.pkcs8.pem")].concat();
    let error = Identity::new(two, Some(chain().as_ref()), None).unwrap_err().to_string();
    let expected =
        "the private key: it holds more than one private key (a further one is section 2); leave only the one to use";
    assert_eq!(error, expected);
}

#[test]
fn roots_that_arent_certificates_or_cant_be_used_are_refused_by_their_number() {
    let root = text(fixture("root.pem"));
    let of = |pem: &str| root_certificates(pem.as_bytes()).unwrap_err().to_string();
    let place = "the root certificates: section 2 of the root certificates";
    assert_eq!(
        of(&(root.clone() + &text(fixture("p256.pkcs8.pem")))),
        format!("{place} is a private key; leave only certificates")
    );
    assert_eq!(
        of(&(root.clone() + &text(other("request.pem")))),
        format!("{place} is a certificate request; give the certificate that was issued for it")
    );
    assert_eq!(
        of(&(root.clone() + &pem("X509 CRL", b"0"))),
        format!("{place} isn't a certificate but X509 CRL; leave only certificates")
    );
    assert_eq!(of(""), "the root certificates: it is empty");
    assert_eq!(of("\n \n"), "the root certificates: it is empty");
    assert_eq!(
        of("no PEM"),
        "the root certificates: it isn't an X.509 certificate in PEM or DER, or is cut off; give the whole of one"
    );
    // The same extension twice (RFC 5280 section 4.2).
    let mut unusable = params("unusable");
    let extension = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0]);
    unusable.custom_extensions.extend([extension.clone(), extension]);
    let unusable = unusable.self_signed(&KINDS[1].make()).unwrap();
    let message = "the root certificates: TLS can't use section 2 of the root certificates (CN=unusable) as a root; remove it, or give another one";
    assert_eq!(of(&(root.clone() + &unusable.pem())), message);

    let both = Transport::new().add_roots_pem(root.clone()).add_roots_pem(root + &unusable.pem());
    let error = transport(both).unwrap_err();
    assert_eq!(
        (error.setting(), error.item(), error.kind()),
        (Some(Setting::Roots), Some(1), ErrorKind::Configuration)
    );
    assert_eq!(error.to_string(), message);
    transport(Transport::new().add_roots_pem(der(&fixture("root.pem")))).unwrap();
}

#[test]
fn bundles_in_ber_and_with_pbmac1_are_read() {
    for name in ["outer-ber.p12", "inner-ber.p12", "pbmac1.p12"] {
        let identity =
            Identity::new(other(name), None, Some(OTHER_PASSPHRASE)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((identity.key_type(), sections(&identity)), ("EC P-256", 2));
        let error = Identity::new(other(name), None, Some("wrong")).unwrap_err();
        assert_eq!(error.to_string(), "the PKCS#12 bundle: the passphrase doesn't open it; check it", "{name}");
        assert_eq!(error.setting(), Some(Setting::Passphrase));
        let error = Identity::new(other(name), None, Some("")).unwrap_err();
        let message = "the PKCS#12 bundle: it is encrypted, and no passphrase is set; set its passphrase";
        assert_eq!(error.to_string(), message, "{name}");
        let cut_off = &other(name)[..500];
        let error = Identity::new(cut_off, None, Some(OTHER_PASSPHRASE)).unwrap_err().to_string();
        assert!(
            error.contains("BER") && error.contains("openssl pkcs12 -in a.p12 -out b.pem && openssl pkcs12 -export")
        );
    }
}

#[test]
fn bundles_that_openssl_makes_are_read_and_the_commands_for_others_convert_them() {
    if !openssl::is_there("whether what messages say converts bundles") {
        return;
    }
    // OpenSSL writes a character beyond U+FFFF as two units of UTF-16, which p12-keystore can't.
    let folder = tempfile::tempdir().unwrap();
    let keys = crate::keys::fixtures();
    let bundle = folder.path().join("key.p12");
    let mut made = Command::new("openssl");
    made.args(["pkcs12", "-export", "-passout", "pass:\u{1f511}", "-inkey"])
        .arg(keys.join("p256.pkcs8.pem"))
        .arg("-in")
        .arg(keys.join("p256.certificate.pem"))
        .arg("-out")
        .arg(&bundle);
    assert!(made.status().unwrap().success());
    Identity::read(&bundle, None, Some("\u{1f511}")).unwrap();

    // And a certificate of another chain beside the key's.
    made.arg("-certfile").arg(keys.join("rsa.certificate.pem"));
    assert!(made.status().unwrap().success());
    let expected = format!(
        "certificate 2 of {} (O=Test keys, CN=rsa) isn't in the chain of the key's certificate and isn't used",
        bundle.display()
    );
    assert_eq!(Identity::read(&bundle, None, Some("\u{1f511}")).unwrap().warnings(), [expected]);

    let unsupported = Identity::new(fixture("wrong.rc4.p12"), None, Some(PASSPHRASE)).unwrap_err().to_string();
    let cut_off = Identity::new(&other("outer-ber.p12")[..500], None, Some(OTHER_PASSPHRASE)).unwrap_err().to_string();
    for (message, content, passphrase) in
        [(unsupported, fixture("wrong.rc4.p12"), PASSPHRASE), (cut_off, other("outer-ber.p12"), OTHER_PASSPHRASE)]
    {
        // What people type when they are asked.
        let typed = format!("openssl pkcs12 -passin 'pass:{passphrase}' -passout 'pass:{passphrase}'");
        let message = message.replace("openssl pkcs12", &typed);
        Identity::new(converted(&message, &content), None, Some(passphrase)).unwrap();
    }
}

#[test]
fn an_empty_passphrase_opens_a_bundle_in_both_of_its_forms() {
    for name in ["empty-passphrase.p12", "no-passphrase.p12"] {
        let identity = Identity::new(other(name), None, Some("")).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(identity.key_type(), "EC P-256");
        let error = Identity::new(other(name), None, Some("wrong")).unwrap_err();
        assert_eq!(error.to_string(), "the PKCS#12 bundle: the passphrase doesn't open it; check it");
    }
    for name in ["p256.modern.p12", "p256.legacy.p12"] {
        let error = Identity::new(fixture(name), None, Some("")).unwrap_err();
        let message = "the PKCS#12 bundle: it is encrypted, and no passphrase is set; set its passphrase";
        assert_eq!((error.to_string().as_str(), error.setting()), (message, Some(Setting::Passphrase)));
    }
    let error =
        Identity::new(fixture("p256.pkcs8-aes.pem"), Some(fixture("p256.certificate.pem").as_ref()), None).unwrap_err();
    let message = "the private key: it is encrypted, and no passphrase is set; set its passphrase";
    assert_eq!((error.to_string().as_str(), error.setting()), (message, Some(Setting::Passphrase)));
}

#[test]
fn a_passphrase_with_what_nobody_sees_is_refused_before_it_is_tried() {
    for (passphrase, what) in [
        ("secret1\n", "a line feed (U+000A)"),
        ("\u{feff}secret1", "a byte order mark (U+FEFF)"),
        ("secret\u{200b}1", "an invisible character (U+200B)"),
    ] {
        let of_key = Identity::new(
            fixture("rsa.pkcs8-aes.pem"),
            Some(fixture("rsa.certificate.pem").as_ref()),
            Some(passphrase),
        );
        let of_bundle = Identity::new(fixture("rsa.modern.p12"), None, Some(passphrase));
        for (subject, outcome) in [("private key", of_key), ("PKCS#12 bundle", of_bundle)] {
            let error = outcome.unwrap_err();
            assert_eq!(error.to_string(), format!("the passphrase of the {subject} holds {what}; remove it"));
            assert_eq!(error.setting(), Some(Setting::Passphrase));
        }
    }
    let error = Identity::new(fixture("rsa.legacy.p12"), None, Some("secret\u{1f511}")).unwrap_err();
    let message = "the PKCS#12 bundle: the passphrase holds a character beyond U+FFFF, which isn't supported; export it with another one";
    assert_eq!((error.to_string().as_str(), error.setting()), (message, Some(Setting::Passphrase)));
    let not_encrypted =
        Identity::new(fixture("rsa.pkcs8.pem"), Some(fixture("rsa.certificate.pem").as_ref()), Some(""));
    not_encrypted.unwrap();
}

/// What a message says to run: `a.…` is the file, `b.…` what is made of it.
fn command(message: &str) -> &str {
    let from =
        ["openssl ", "keytool ", "ssh-keygen "].iter().filter_map(|program| message.find(program)).min().unwrap();
    message.split_at(from).1.split([',', ';']).next().unwrap()
}

/// Runs it on the content, and returns what it makes.
fn converted(message: &str, content: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let command = command(message);
    let input = command.split_whitespace().find(|word| word.starts_with("a.")).unwrap();
    let output = command.split_whitespace().rfind(|word| word.starts_with("b.")).unwrap();
    std::fs::write(folder.path().join(input), content).unwrap();
    let run = Command::new("sh").arg("-c").arg(command).current_dir(folder.path()).output().unwrap();
    assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
    std::fs::read(folder.path().join(output)).unwrap()
}

#[test]
fn what_is_something_else_is_named_and_the_command_converts_it() {
    let rsa = fixture("rsa.pkcs8.pem");
    let as_key = |file: &[u8]| Identity::new(file, Some(fixture("rsa.certificate.pem").as_ref()), None).unwrap_err();
    let as_certificate = |file: &[u8]| Identity::new(&rsa, Some(file), None).unwrap_err();
    let as_roots = |file: &[u8]| root_certificates(file).unwrap_err();
    let as_bundle = |file: &[u8]| Identity::new(file, None, Some(PASSPHRASE)).unwrap_err();
    let said = |error: Error| error.to_string().split_once(": ").unwrap().1.to_owned();

    let key_store = |name: &str, next: &str| {
        format!(
            "it is a Java key store ({name}); convert it with keytool -importkeystore -srckeystore a.jks \
             -destkeystore b.p12 -deststoretype PKCS12, and {next}"
        )
    };
    for (file, name) in [("store.jks", "JKS"), ("store.jceks", "JCEKS")] {
        for error in [as_key(&other(file)), as_certificate(&other(file)), as_bundle(&other(file))] {
            assert_eq!(said(error), key_store(name, "set b.p12 as pkcs12"));
        }
        let error = said(as_roots(&other(file)));
        assert_eq!(error, key_store(name, "b.p12 with openssl pkcs12 -in b.p12 -nokeys -out c.pem"));
    }
    assert_eq!(
        said(as_key(&other("openssh.rsa"))),
        "it is a private key in OpenSSH's own form; convert a copy with ssh-keygen -p -m PKCS8 -f COPY"
    );
    assert_eq!(
        said(as_key(&other("openssh.ed25519"))),
        "it is an Ed25519 key in OpenSSH's own form, which ssh-keygen can't convert; make a new one with openssl \
         genpkey -algorithm ED25519 -out key.pem"
    );
    assert_eq!(
        said(as_key(&other("old-encryption.pem"))),
        "it is encrypted in OpenSSL's old way; convert it with openssl pkcs8 -topk8 -v2 aes256 -in a.pem -out b.pem"
    );
    assert_eq!(
        said(as_key(&other("request.pem"))),
        "it is a certificate request; give the private key that it was made with"
    );
    assert_eq!(
        said(as_certificate(&other("request.pem"))),
        "it is a certificate request; give the certificate that was issued for it"
    );
    assert_eq!(said(as_key(&other("public.pem"))), "it is a public key; give the private key that it belongs to");
    assert_eq!(said(as_certificate(&other("public.pem"))), "it is a public key; give a certificate");
    let in_der = |file: &str| der(&other(file));
    assert_eq!(said(as_key(&in_der("request.pem"))), said(as_key(&other("request.pem"))));
    assert_eq!(said(as_certificate(&in_der("request.pem"))), said(as_certificate(&other("request.pem"))));
    assert_eq!(said(as_key(&in_der("public.pem"))), said(as_key(&other("public.pem"))));
    assert_eq!(said(as_roots(&in_der("public.pem"))), said(as_roots(&other("public.pem"))));
    let bundle = fixture("rsa.modern.p12");
    for file in [bundle.clone(), other("outer-ber.p12"), pem("PKCS12", &bundle).into_bytes()] {
        for error in [as_key(&file), as_certificate(&file)] {
            assert_eq!(said(error), "it is a PKCS#12 bundle; set it as pkcs12");
        }
    }
    for file in [fixture("rsa.pkcs8.pem"), fixture("rsa.pkcs1.der"), fixture("rsa.pkcs8-aes.der")] {
        assert_eq!(said(as_bundle(&file)), "it is a private key; set it as key, with its certificate as certificate");
    }
    for file in [fixture("rsa.certificate.pem"), fixture("rsa.certificate.der")] {
        assert_eq!(said(as_bundle(&file)), "it is a certificate; set it as certificate, with its private key as key");
    }
    let utf16: Vec<_> = text(fixture("rsa.pkcs8.pem")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(said(as_key(&[b"\xff\xfe", &utf16[..]].concat())), "it is UTF-16 text; save it as UTF-8");

    for (file, name) in [("rsa.pkcs8.pem", "key"), ("rsa.certificate.pem", "certificate")] {
        let of_pem = BASE64_STANDARD.encode(fixture(file));
        let of_der = BASE64_STANDARD.encode(der(&fixture(file)));
        let outcomes = |bytes: &[u8]| match name {
            "key" => [as_key(bytes), as_bundle(bytes)],
            _ => [as_certificate(bytes), as_roots(bytes)],
        };
        for error in outcomes(of_pem.as_bytes()) {
            assert_eq!(said(error), "it is base64 of PEM; decode it");
        }
        for error in outcomes(format!("{of_der}\n").as_bytes()) {
            assert_eq!(said(error), "it is base64 without its BEGIN and END lines; copy the whole of it");
        }
    }

    let is_there = openssl::is_there("whether what messages say converts what it is said of");
    for (file, words) in [
        (
            "trusted.pem",
            "is a certificate with OpenSSL's trust settings (TRUSTED CERTIFICATE); convert it with openssl x509 -in a.pem -out b.pem",
        ),
        (
            "certificates.p7b.pem",
            "is PKCS#7; take the certificates out with openssl pkcs7 -print_certs -in a.p7b -out b.pem",
        ),
        (
            "certificates.labelled.p7b.pem",
            "is PKCS#7; take the certificates out with openssl pkcs7 -print_certs -in a.p7b -out b.pem",
        ),
        (
            "certificates.p7b.der",
            "is PKCS#7; take the certificates out with openssl pkcs7 -print_certs -inform der -in a.p7b -out b.pem",
        ),
    ] {
        let content = other(file);
        for error in [as_certificate(&content), as_roots(&content)] {
            assert_eq!(said(error), format!("it {words}"), "{file}");
        }
        if is_there {
            let made = converted(words, &content);
            let identity = Identity::new(&rsa, Some(made.as_ref()), None).unwrap();
            assert_eq!((identity.subject(), identity.warnings().len()), ("O=Test keys, CN=rsa", 0));
            root_certificates(&made).unwrap();
        }
    }
    // Beside what can be used they aren't skipped either.
    let mixed = [fixture("rsa.certificate.pem"), other("trusted.pem")].concat();
    assert!(
        as_certificate(&mixed)
            .to_string()
            .starts_with("the certificate: section 2 of the certificate is a certificate with")
    );

    let pss = other("rsassa-pss.key.pem");
    let error = said(as_key(&pss));
    assert_eq!(
        error,
        "it is an RSASSA-PSS key, which isn't supported; convert it to a plain RSA key with openssl rsa -traditional \
         -outform der -in a.pem | openssl rsa -inform der -out b.pem"
    );
    if is_there {
        assert_eq!(Signer::algorithm(&SigningKey::new(converted(&error, &pss), None).unwrap()), Algorithm::Rs256);
    }
}

#[tokio::test]
async fn a_key_without_a_certificate_signs_for_a_key_id_that_is_a_text() {
    let credentials =
        |key: SigningKey| ClientAssertion::with_signer(CLIENT, key).unwrap().key_id(KeyId::Text("k1".to_owned()));
    let mut names = std::collections::BTreeSet::new();
    for kind in &KINDS {
        let certificate = fixture(&kind.certificate());
        let bank = crate::exchange::Bank::knowing([("k1".to_owned(), certificate.clone())].into()).await;
        let key = || SigningKey::new(fixture(&format!("{}.pkcs8.pem", kind.name)), None).unwrap();
        for algorithm in kind.algorithms {
            let credentials = credentials(key().algorithm(*algorithm).unwrap());
            let (outcome, assertion) = bank.ask(credentials).await;
            outcome.unwrap_or_else(|e| panic!("{algorithm}: {e} {:?}", e.description()));
            let (header, _) = crate::exchange::verified(&assertion, &certificate, algorithm.name(), &bank.issuer());
            assert_eq!(header, serde_json::json!({ "alg": algorithm.name(), "kid": "k1", "typ": "JWT" }));
        }
        let file = crate::keys::fixtures().join(format!("{}.pkcs8-aes.pem", kind.name));
        let encrypted = SigningKey::read(&file, Some(PASSPHRASE)).unwrap();
        assert_eq!(Signer::key_name(&encrypted), Signer::key_name(&key()));
        assert_eq!(Signer::key_name(&encrypted).len(), 64);
        assert!(!format!("{encrypted:?}").contains("Zeroizing"));
        assert_eq!(SigningKey::read(&file, None).unwrap_err().setting(), Some(Setting::Passphrase));
        let wrong = KINDS.iter().flat_map(|other| other.algorithms).find(|other| !kind.algorithms.contains(other));
        let error = key().algorithm(*wrong.unwrap()).unwrap_err();
        assert_eq!(error.setting(), Some(Setting::Algorithm), "{error}");
        names.insert(Signer::key_name(&key()).to_owned());
    }
    assert_eq!(names.len(), KINDS.len());
    if openssl::is_there("its fingerprint of a public key") {
        let public = openssl::public_key(&crate::keys::fixtures().join(KINDS[1].certificate()));
        let fingerprint = crate::exchange::hex(&crate::exchange::sha256(&der(&public)));
        assert!(names.contains(&fingerprint));
    }
    let key = SigningKey::new(fixture("p256.pkcs8.pem"), None).unwrap();
    let error = built(ClientAssertion::with_signer(CLIENT, key).unwrap()).unwrap_err();
    assert_eq!(error.setting(), Some(Setting::KeyId), "{error}");
}

fn built(credentials: ClientAssertion) -> Result<worldline::Client, Error> {
    let realm = worldline::Realm::new("sandbox").unwrap();
    worldline::Client::builder("http://127.0.0.1:1", realm, "VOP".parse().unwrap(), credentials).build()
}

#[test]
fn every_error_names_its_setting() {
    let key = || fixture("p256.pkcs8.pem");
    let identity = || Identity::new(key(), Some(fixture("p256.certificate.pem").as_ref()), None).unwrap();
    let new = |client: &str| ClientAssertion::new(client, identity());
    let signer = || ClientAssertion::with_signer(CLIENT, SigningKey::new(key(), None).unwrap()).unwrap();
    let text = |id: &str| KeyId::Text(id.to_owned());
    let audience = |text: &str| built(new(CLIENT).unwrap().audience(Audience::Text(text.to_owned())));
    let mut expired = params("expired");
    expired.not_after = rcgen::date_time_ymd(2001, 2, 3);
    expired.not_before = rcgen::date_time_ymd(2001, 2, 2);
    let made = KINDS[1].make();
    let expired = expired.self_signed(&made).unwrap().pem();
    let encrypted = |passphrase: &str| {
        Identity::new(fixture("p256.pkcs8-aes.pem"), Some(fixture("p256.certificate.pem").as_ref()), Some(passphrase))
    };
    let cases: Vec<(&str, Setting, Option<Error>)> = vec![
        ("no key", Setting::Key, Identity::new("", Some(chain().as_ref()), None).err()),
        (
            "a key that can't sign",
            Setting::Key,
            Identity::new(fixture("wrong.p521.pem"), Some(chain().as_ref()), None).err(),
        ),
        ("no certificate", Setting::Certificate, Identity::new(key(), Some("".as_ref()), None).err()),
        (
            "another's",
            Setting::Certificate,
            Identity::new(key(), Some(fixture("rsa.certificate.pem").as_ref()), None).err(),
        ),
        ("expired", Setting::Certificate, Identity::new(made.serialize_pem(), Some(expired.as_ref()), None).err()),
        ("no bundle", Setting::Pkcs12, Identity::new("", None, Some("x")).err()),
        (
            "a bundle without a key",
            Setting::Pkcs12,
            Identity::new(fixture("wrong.without-key.p12"), None, Some(PASSPHRASE)).err(),
        ),
        ("a bundle in RC4", Setting::Pkcs12, Identity::new(fixture("wrong.rc4.p12"), None, Some(PASSPHRASE)).err()),
        ("wrong passphrase", Setting::Passphrase, encrypted("wrong").err()),
        ("empty passphrase", Setting::Passphrase, encrypted("").err()),
        (
            "wrong passphrase of a bundle",
            Setting::Passphrase,
            Identity::new(fixture("p256.legacy.p12"), None, Some("x")).err(),
        ),
        ("another algorithm", Setting::Algorithm, new(CLIENT).unwrap().algorithm(Algorithm::Rs256).err()),
        ("no algorithm", Setting::Algorithm, "HS256".parse::<Algorithm>().err()),
        ("an empty client id", Setting::ClientId, new("").err()),
        ("a client id with a line feed", Setting::ClientId, new("me\n").err()),
        (
            "a client id in quotes",
            Setting::ClientId,
            ClientAssertion::with_signer("\"me\"", SigningKey::new(key(), None).unwrap()).err(),
        ),
        ("an empty key id", Setting::KeyId, built(signer().key_id(text(""))).err()),
        ("a key id with a space", Setting::KeyId, built(signer().key_id(text("k1 "))).err()),
        ("a fingerprint of no certificate", Setting::KeyId, built(signer()).err()),
        ("an empty audience", Setting::Audience, audience("").err()),
        ("an audience with a tab", Setting::Audience, audience("a\tb").err()),
        ("headers of no certificate", Setting::X509, built(signer().key_id(text("k1")).x509([X509Header::X5c])).err()),
        (
            "a certificate twice",
            Setting::Certificate,
            new(CLIENT).unwrap().certificates(fixture("p256.certificate.pem")).err(),
        ),
        ("no roots", Setting::Roots, root_certificates(b"").err()),
    ];
    for (case, setting, error) in cases {
        let error = error.unwrap_or_else(|| panic!("{case}: it is taken"));
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Configuration, Some(setting)), "{case}: {error}");
    }
    built(signer().key_id(text("k1"))).unwrap();
}

#[test]
fn a_path_that_cant_be_read_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("nothing.pem");
    let good = |name: &str| crate::keys::fixtures().join(name);
    for (path, reason) in [(folder.path().to_owned(), "it is a folder; name the file in it"), (nothing, "No such file")]
    {
        let outcomes = [
            (
                "the private key",
                Setting::Key,
                Identity::read(&path, Some(good("rsa.certificate.pem").as_ref()), None).err(),
            ),
            (
                "the private key",
                Setting::Key,
                Identity::read(&path, Some(good("rsa.certificate.pem").as_ref()), Some("x")).err(),
            ),
            ("the private key", Setting::Key, SigningKey::read(&path, None).err()),
            (
                "the certificate",
                Setting::Certificate,
                Identity::read(good("rsa.pkcs8.pem"), Some(path.as_ref()), None).err(),
            ),
            ("the PKCS#12 bundle", Setting::Pkcs12, Identity::read(&path, None, Some("x")).err()),
        ];
        for (what, setting, error) in outcomes {
            let error = error.unwrap();
            let start = format!("{what} in {}: it can't be read: {reason}", path.display());
            assert!(error.to_string().starts_with(&start), "{error}");
            assert_eq!(error.setting(), Some(setting));
        }
    }
}
