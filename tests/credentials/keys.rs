//! The keys that are tested: of every kind, in every form that banks deliver.

use std::path::{Path, PathBuf};

use access_tokens::{
    Identity,
    assertion::Algorithm::{self, *},
};
use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    SignatureAlgorithm,
};

/// Of the encrypted ones; make.sh has it too.
pub(crate) const PASSPHRASE: &str = "test key: öffne dich";

/// Where those are that are checked in.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys")
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

/// Certificates in PEM, one after the other.
pub(crate) fn chain(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| fixture(name)).collect()
}

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) key_type: &'static str,
    pub(crate) algorithms: &'static [Algorithm],
    /// What is of this kind alone.
    forms: &'static [&'static str],
    made_as: &'static SignatureAlgorithm,
}

pub(crate) const KINDS: [Kind; 4] = [
    Kind {
        name: "rsa",
        key_type: "RSA",
        algorithms: &[Rs256, Rs384, Rs512, Ps256],
        forms: &["pkcs1.pem", "pkcs1.der"],
        made_as: &PKCS_RSA_SHA256,
    },
    Kind {
        name: "p256",
        key_type: "EC P-256",
        algorithms: &[Es256],
        forms: &["sec1.pem", "sec1.der", "sec1-with-curve.pem"],
        made_as: &PKCS_ECDSA_P256_SHA256,
    },
    Kind {
        name: "p384",
        key_type: "EC P-384",
        algorithms: &[Es384],
        forms: &["sec1.pem", "sec1.der"],
        made_as: &PKCS_ECDSA_P384_SHA384,
    },
    Kind { name: "ed25519", key_type: "Ed25519", algorithms: &[EdDsa], forms: &[], made_as: &PKCS_ED25519 },
];

/// Of every kind.
const FORMS: [&str; 10] = [
    "pkcs8.pem",
    "pkcs8.der",
    "pkcs8-aes.pem",
    "pkcs8-aes.der",
    "pkcs8-scrypt.pem",
    "pkcs8-scrypt.der",
    "pkcs8-3des.pem",
    "pkcs8-3des.der",
    "modern.p12",
    "legacy.p12",
];

impl Kind {
    pub(crate) fn certificate(&self) -> String {
        format!("{}.certificate.pem", self.name)
    }

    /// The one key in all its forms, each from bytes and from files.
    pub(crate) fn identities(&self, folder: &Path) -> Vec<(String, Identity)> {
        let mut identities = Vec::new();
        for form in FORMS.iter().chain(self.forms) {
            let key = folder.join(format!("{}.{form}", self.name));
            // A bank that delivers one in DER delivers the other so too.
            let certificate = folder.join(self.certificate()).with_extension(form.split_at(form.len() - 3).1);
            let bytes = |path: &Path| std::fs::read(path).unwrap();
            let both = if form.ends_with("p12") {
                [Identity::new(bytes(&key), None, Some(PASSPHRASE)), Identity::read(&key, None, Some(PASSPHRASE))]
            } else if form.starts_with("pkcs8-") {
                [
                    Identity::new(bytes(&key), Some(bytes(&certificate).as_ref()), Some(PASSPHRASE)),
                    Identity::read(&key, Some(certificate.as_ref()), Some(PASSPHRASE)),
                ]
            } else {
                [
                    Identity::new(bytes(&key), Some(bytes(&certificate).as_ref()), None),
                    Identity::read(&key, Some(certificate.as_ref()), None),
                ]
            };
            for (source, identity) in ["bytes", "files"].into_iter().zip(both) {
                let what = format!("{} {form} from {source}", self.name);
                let identity = identity.unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(identity.key_type(), self.key_type, "{what}");
                assert_eq!(identity.subject(), format!("O=Test keys, CN={}", self.name), "{what}");
                identities.push((what, identity));
            }
        }
        identities
    }

    /// A key that is new.
    pub(crate) fn make(&self) -> KeyPair {
        KeyPair::generate_for(self.made_as).unwrap()
    }
}

/// What a certificate for that name is made from.
pub(crate) fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A PEM section's content.
pub(crate) fn der(pem: &[u8]) -> Vec<u8> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let text = str::from_utf8(pem).unwrap().trim();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(lines.concat()).unwrap()
}
