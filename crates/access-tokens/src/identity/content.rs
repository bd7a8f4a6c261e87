//! Tells what a file holds by its content, and what to do with what can't be used.

use rustls_pki_types::PrivateKeyDer;
use x509_parser::{
    asn1_rs::{Any, Tag},
    certification_request::X509CertificationRequest,
    prelude::{FromDer, X509Certificate},
    x509::SubjectPublicKeyInfo,
};
use zeroize::Zeroizing;

use super::{named::Named, pem};
use crate::{Error, Setting};

/// One thing that a file holds.
pub(super) struct Item {
    /// Where it is, for messages: `section 3 of cert.pem`.
    pub(super) place: String,
    pub(super) kind: Kind,
    /// Empty if [`Kind::OldEncryptedKey`].
    pub(super) der: Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Key(Form),
    EncryptedKey,
    OldEncryptedKey,
    OpenSshKey {
        is_ed25519: bool,
    },
    DamagedKey,
    Certificate,
    TrustedCertificate,
    DamagedCertificate,
    Pkcs7 {
        is_pem: bool,
    },
    Pkcs12,
    JavaKeyStore(&'static str),
    CertificateRequest,
    PublicKey,
    EcParameters,
    Base64 {
        is_of_pem: bool,
    },
    /// By its label.
    Other(Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Pkcs8,
    Pkcs1,
    Sec1,
}

/// All that is there: the sections of PEM, or one item in DER.
pub(super) fn items(named: &Named<'_>) -> Result<Vec<Item>, Error> {
    if pem::is_utf16(named.bytes) {
        return Err(named.error("it is UTF-16 text; save it as UTF-8"));
    }
    let bytes = pem::without_byte_order_mark(named.bytes);
    if bytes.iter().all(is_blank) {
        return Err(named.error("it is empty"));
    }
    if !pem::is_pem(bytes) {
        let der = without_padding(bytes);
        let der = Zeroizing::new(der.to_vec());
        let kind = match Kind::of(None, &der) {
            Kind::Other(None) => base64(bytes),
            kind => kind,
        };
        return Ok(vec![Item { place: named.name(), kind, der }]);
    }
    let sections = pem::sections(named)?.into_iter().enumerate();
    let item = |(index, section): (usize, pem::Section)| {
        let der = match without_padding(&section.der) {
            whole if whole.len() == section.der.len() => section.der,
            shorter => Zeroizing::new(shorter.to_vec()),
        };
        let kind = if section.is_old_encryption { Kind::OldEncryptedKey } else { Kind::of(Some(&section.label), &der) };
        Item { place: named.place("section", index), kind, der }
    };
    Ok(sections.map(item).collect())
}

/// Base64 that should have been decoded, or that has lost its `BEGIN` and `END`.
fn base64(bytes: &[u8]) -> Kind {
    match pem::decoded(bytes) {
        Some(decoded) if pem::is_pem(&decoded) => Kind::Base64 { is_of_pem: true },
        Some(decoded) if Kind::of(None, &decoded) != Kind::Other(None) => Kind::Base64 { is_of_pem: false },
        _ => Kind::Other(None),
    }
}

impl Item {
    /// Why it can't be used as `role`, and what to do.
    pub(super) fn refused(&self, named: &Named<'_>, is_only: bool) -> Error {
        let subject = if is_only { "it".to_owned() } else { self.place.clone() };
        named.error(format!("{subject} {}", self.kind.refused(named.source.setting)))
    }

    /// As a warning calls it: what it is, or whom a certificate names.
    pub(super) fn label(&self) -> String {
        match &self.kind {
            Kind::Certificate => subject(&self.der),
            Kind::Key(_) | Kind::EncryptedKey | Kind::OldEncryptedKey | Kind::OpenSshKey { .. } | Kind::DamagedKey => {
                "a private key".to_owned()
            }
            Kind::CertificateRequest => "a certificate request".to_owned(),
            Kind::PublicKey => "a public key".to_owned(),
            Kind::TrustedCertificate | Kind::DamagedCertificate => "a certificate".to_owned(),
            Kind::Pkcs7 { .. } => "PKCS#7".to_owned(),
            Kind::Pkcs12 => "a PKCS#12 bundle".to_owned(),
            Kind::JavaKeyStore(name) => (*name).to_owned(),
            Kind::EcParameters => "EC PARAMETERS".to_owned(),
            Kind::Base64 { .. } => "base64".to_owned(),
            Kind::Other(label) => label.clone().unwrap_or_default(),
        }
    }
}

/// A warning for each item that isn't in use.
pub(super) fn unused(items: &[Item], used: &[&[u8]], role: Setting) -> Vec<String> {
    let is_unused = |item: &&Item| item.kind != Kind::EcParameters && !used.contains(&item.der.as_slice());
    let warning = |item: &Item| {
        let (place, label) = (&item.place, item.label());
        match (&item.kind, role) {
            (Kind::Certificate, Setting::Key) => {
                format!("{place} ({label}) isn't used; certificates are read from the setting certificate alone")
            }
            (Kind::Certificate, _) => {
                format!("{place} ({label}) isn't in the chain of the key's certificate and isn't used")
            }
            _ => format!("{place} ({label}) isn't used"),
        }
    };
    items.iter().filter(is_unused).map(warning).collect()
}

fn subject(der: &[u8]) -> String {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate.subject().to_string()).unwrap_or_default()
}

impl Kind {
    /// The content decides, and the label only where the content says nothing.
    fn of(label: Option<&str>, der: &[u8]) -> Self {
        if label == Some("TRUSTED CERTIFICATE") {
            return Self::TrustedCertificate;
        }
        if der.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) {
            return Self::JavaKeyStore("JKS");
        }
        if der.starts_with(&[0xce; 4]) {
            return Self::JavaKeyStore("JCEKS");
        }
        if der.starts_with(b"openssh-key-v1\0") {
            let is_ed25519 = der.windows(SSH_ED25519.len()).any(|window| window == SSH_ED25519);
            return Self::OpenSshKey { is_ed25519 };
        }
        if is_pkcs12(der) {
            return Self::Pkcs12;
        }
        if let Ok(key) = PrivateKeyDer::try_from(der) {
            return match key {
                PrivateKeyDer::Pkcs1(_) => Self::Key(Form::Pkcs1),
                PrivateKeyDer::Sec1(_) => Self::Key(Form::Sec1),
                _ => Self::Key(Form::Pkcs8),
            };
        }
        if X509Certificate::from_der(der).is_ok() {
            return Self::Certificate;
        }
        if is_encrypted(der) {
            return Self::EncryptedKey;
        }
        let head = der.get(..der.len().min(32)).unwrap_or_default();
        if head.windows(SIGNED_DATA.len()).any(|window| window == SIGNED_DATA) {
            return Self::Pkcs7 { is_pem: label.is_some() };
        }
        if X509CertificationRequest::from_der(der).is_ok() {
            return Self::CertificateRequest;
        }
        if SubjectPublicKeyInfo::from_der(der).is_ok_and(|(rest, _)| rest.is_empty()) {
            return Self::PublicKey;
        }
        match label {
            Some("ENCRYPTED PRIVATE KEY") => Self::EncryptedKey,
            Some(label) if label.ends_with("PRIVATE KEY") => Self::DamagedKey,
            Some(label) if label.ends_with("CERTIFICATE REQUEST") => Self::CertificateRequest,
            Some("CERTIFICATE" | "X509 CERTIFICATE") => Self::DamagedCertificate,
            Some("PKCS7" | "CMS") => Self::Pkcs7 { is_pem: true },
            Some(label) if label.ends_with("PUBLIC KEY") => Self::PublicKey,
            Some("EC PARAMETERS") => Self::EcParameters,
            label => Self::Other(label.map(str::to_owned)),
        }
    }

    pub(super) fn is_key(&self) -> bool {
        matches!(
            self,
            Self::Key(_) | Self::EncryptedKey | Self::OldEncryptedKey | Self::OpenSshKey { .. } | Self::DamagedKey
        )
    }

    /// Why it can't be used as `role`, and what to do, in words that follow `it` or a place.
    fn refused(&self, role: Setting) -> String {
        let text = match (self, role) {
            (Self::OldEncryptedKey, _) => {
                "is encrypted in OpenSSL's old way; convert it with openssl pkcs8 -topk8 -v2 aes256 -in a.pem -out b.pem"
            }
            (Self::Base64 { is_of_pem: true }, _) => "is base64 of PEM; decode it",
            (Self::Base64 { is_of_pem: false }, _) => "is base64 without its BEGIN and END lines; copy the whole of it",
            (Self::OpenSshKey { is_ed25519: false }, _) => {
                "is a private key in OpenSSH's own form; convert a copy with ssh-keygen -p -m PKCS8 -f COPY"
            }
            (Self::OpenSshKey { is_ed25519: true }, _) => {
                "is an Ed25519 key in OpenSSH's own form, which ssh-keygen can't convert; make a new one with \
                 openssl genpkey -algorithm ED25519 -out key.pem"
            }
            (Self::Key(_) | Self::EncryptedKey | Self::DamagedKey, Setting::Roots) => {
                "is a private key; leave only certificates"
            }
            (Self::Key(_) | Self::EncryptedKey | Self::DamagedKey, Setting::Pkcs12) => {
                "is a private key; set it as key, with its certificate as certificate"
            }
            (Self::DamagedKey, Setting::Key) => {
                "isn't a private key (PKCS#8, PKCS#1 or SEC1), or is damaged; copy it again"
            }
            (Self::Key(_) | Self::EncryptedKey | Self::DamagedKey, _) => {
                "is a private key; are key and certificate swapped?"
            }
            (Self::Certificate, Setting::Pkcs12) => {
                "is a certificate; set it as certificate, with its private key as key"
            }
            (Self::Certificate, _) => "is a certificate; are key and certificate swapped?",
            (Self::TrustedCertificate, _) => {
                "is a certificate with OpenSSL's trust settings (TRUSTED CERTIFICATE); convert it with \
                 openssl x509 -in a.pem -out b.pem"
            }
            (Self::DamagedCertificate, _) => "isn't an X.509 certificate, or is damaged; copy it again",
            (Self::Pkcs7 { is_pem: true }, _) => {
                "is PKCS#7; take the certificates out with openssl pkcs7 -print_certs -in a.p7b -out b.pem"
            }
            (Self::Pkcs7 { is_pem: false }, _) => {
                "is PKCS#7; take the certificates out with openssl pkcs7 -print_certs -inform der -in a.p7b -out b.pem"
            }
            (Self::Pkcs12, Setting::Roots) => {
                "is a PKCS#12 bundle; take the certificates out with openssl pkcs12 -in a.p12 -nokeys -out b.pem"
            }
            (Self::Pkcs12, _) => "is a PKCS#12 bundle; set it as pkcs12",
            (Self::JavaKeyStore(name), role) => {
                let next = match role {
                    Setting::Roots => "and b.p12 with openssl pkcs12 -in b.p12 -nokeys -out c.pem",
                    _ => "and set b.p12 as pkcs12",
                };
                return format!(
                    "is a Java key store ({name}); convert it with keytool -importkeystore -srckeystore a.jks \
                     -destkeystore b.p12 -deststoretype PKCS12, {next}"
                );
            }
            (Self::CertificateRequest, Setting::Key) => {
                "is a certificate request; give the private key that it was made with"
            }
            (Self::CertificateRequest, _) => "is a certificate request; give the certificate that was issued for it",
            (Self::PublicKey, Setting::Key) => "is a public key; give the private key that it belongs to",
            (Self::PublicKey, _) => "is a public key; give a certificate",
            (Self::Other(Some(label)), Setting::Roots) => {
                return format!("isn't a certificate but {label}; leave only certificates");
            }
            (Self::EcParameters, Setting::Roots) => "isn't a certificate but EC PARAMETERS; leave only certificates",
            (Self::EcParameters | Self::Other(Some(_)), Setting::Key) => {
                "holds no private key (in PEM: BEGIN PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY or ENCRYPTED PRIVATE KEY)"
            }
            (Self::EcParameters | Self::Other(Some(_)), Setting::Pkcs12) => "isn't a PKCS#12 bundle",
            (Self::EcParameters | Self::Other(Some(_)), _) => "holds no certificate (in PEM: BEGIN CERTIFICATE)",
            (Self::Other(None), Setting::Key) => {
                "isn't a private key in PEM or DER (PKCS#8, PKCS#1 or SEC1), or is cut off; give the whole of one"
            }
            (Self::Other(None), Setting::Pkcs12) => "isn't a PKCS#12 bundle, or is cut off; give the whole of one",
            (Self::Other(None), _) => "isn't an X.509 certificate in PEM or DER, or is cut off; give the whole of one",
        };
        text.to_owned()
    }
}

/// `ssh-ed25519` as an OpenSSH key has it.
const SSH_ED25519: &[u8] = b"ssh-ed25519";

/// The object identifier 1.2.840.113549.1.7.2, as PKCS#7 begins (RFC 2315 section 14).
const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

pub(super) fn is_blank(byte: &u8) -> bool {
    *byte == 0 || byte.is_ascii_whitespace()
}

/// Without the line break, spaces or zero bytes that some programs put behind DER.
pub(super) fn without_padding(bytes: &[u8]) -> &[u8] {
    match Any::from_der(bytes) {
        Ok((rest, _)) if rest.iter().all(is_blank) => bytes.get(..bytes.len() - rest.len()).unwrap_or(bytes),
        _ => bytes,
    }
}

/// Whether it is a `PFX` (RFC 7292 section 4): a sequence that begins with the number three, which no key does. Its length
/// isn't looked at, which BER leaves out and a file that is cut off doesn't have.
fn is_pkcs12(bytes: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = bytes else { return false };
    let length_bytes = usize::from(length.checked_sub(0x80).unwrap_or_default());
    rest.get(length_bytes..).is_some_and(|content| content.starts_with(&[0x02, 0x01, 0x03]))
}

/// Whether DER is an `EncryptedPrivateKeyInfo` (RFC 5208 section 6): a sequence that begins with one.
pub(super) fn is_encrypted(der: &[u8]) -> bool {
    let Some((Tag::Sequence, content, _)) = element(der) else { return false };
    let Some((Tag::Sequence, _, rest)) = element(content) else { return false };
    matches!(element(rest), Some((Tag::OctetString, _, [])))
}

/// The object identifier of a PKCS#8 key's algorithm, and the key in its own form (RFC 5208 section 5).
pub(super) fn pkcs8(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (Tag::Sequence, content, _) = element(der)? else { return None };
    let (Tag::Integer, _, rest) = element(content)? else { return None };
    let (Tag::Sequence, algorithm, rest) = element(rest)? else { return None };
    let (Tag::Oid, algorithm, _) = element(algorithm)? else { return None };
    let (Tag::OctetString, key, _) = element(rest)? else { return None };
    Some((algorithm, key))
}

/// The first element: its tag, its content, and what follows.
fn element(der: &[u8]) -> Option<(Tag, &[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    Some((any.tag(), any.data, rest))
}
