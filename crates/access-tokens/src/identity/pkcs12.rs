//! PKCS#12 bundles (RFC 7292).

use der::{
    Any, Choice, Decode, Encode, Sequence,
    asn1::{ObjectIdentifier, OctetString},
};
use p12_keystore::{Pkcs12Archive, error::Error as ArchiveError};
use zeroize::Zeroizing;

use super::{
    Certificates, Identity, Named, PrivateKey,
    content::{self, Item, Kind},
    unused,
};
use crate::{Error, Setting};

impl Identity {
    pub(super) fn of_pkcs12(named: &Named<'_>, passphrase: &str) -> Result<Self, Error> {
        if !passphrase.is_empty() {
            Setting::Passphrase.check(passphrase)?;
        }
        let items = content::items(named)?;
        let bundle = match items.as_slice() {
            [one] if one.kind == Kind::Pkcs12 => &one.der,
            items => {
                let item = items.iter().find(|item| item.kind.is_key()).or(items.first());
                return Err(item.map_or_else(|| named.error("it is empty"), |item| item.refused(named, true)));
            }
        };
        let archive = open(bundle, named, passphrase)?;
        if archive.keys.is_empty() {
            return Err(named.error("it holds no private key; export it together with its key"));
        }
        let certificates = archive.certs.iter().enumerate().map(|(index, bag)| Item {
            place: named.place("certificate", index),
            kind: Kind::Certificate,
            der: Zeroizing::new(bag.cert.as_der().to_vec()),
        });
        let items: Vec<_> = certificates.collect();
        if items.is_empty() {
            return Err(named.error("it holds no certificate; export it together with the key's"));
        }
        let mut outcome = Err(named.error("it holds no private key"));
        for (position, bag) in archive.keys.iter().enumerate() {
            let found = PrivateKey::plain(bag.key.as_der(), named).and_then(|key| {
                let certificates = Certificates::of_key(&items, named, &key, &named.name())?;
                let used: Vec<_> = certificates.chain.iter().map(Vec::as_slice).collect();
                let mut warnings = unused(&items, &used, Setting::Pkcs12);
                let others = (0..archive.keys.len()).filter(|other| *other != position);
                warnings.extend(others.map(|other| format!("{} isn't used", named.place("private key", other))));
                let secrets = 0..archive.secrets.len();
                warnings.extend(secrets.map(|secret| format!("{} isn't used", named.place("secret key", secret))));
                Self::valid(key, certificates, warnings)
            });
            match found {
                Ok(identity) => return Ok(identity),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

/// Opens the bundle with the passphrase. An empty one may stand for none, and then be two zero bytes or none (RFC 7292 appendix
/// B.1); p12-keystore knows only the former.
fn open(bundle: &[u8], named: &Named<'_>, passphrase: &str) -> Result<Pkcs12Archive, Error> {
    // As large as the bundle, and more than enough.
    let outer = Pfx::from_ber(bundle).map_err(|_| {
        named.error("it isn't a PKCS#12 bundle, or is damaged or cut off; copy it again, or export it anew")
    })?;
    let mut outcome = outer
        .to_der()
        .map_err(ArchiveError::from)
        .and_then(|der| Pkcs12Archive::from_pkcs12(&Zeroizing::new(der), passphrase));
    let is_ber = matches!(outcome, Err(ArchiveError::DerError(_)));
    let is_empty = passphrase.is_empty() && matches!(outcome, Err(ArchiveError::MacError(_)));
    if is_ber || is_empty {
        // The bundle's MAC is of the bytes before they are rewritten. It was right if the bundle is BER, and whoever changes a
        // bundle whose passphrase is empty can make a new MAC.
        if let Ok(inner) = outer.without_mac() {
            outcome = Pkcs12Archive::from_pkcs12(&inner, passphrase);
        }
    }
    outcome.map_err(|error| refused(&error, bundle, named, passphrase))
}

fn refused(error: &ArchiveError, bundle: &[u8], named: &Named<'_>, passphrase: &str) -> Error {
    let is_unsupported = matches!(
        error,
        ArchiveError::InvalidParameters
            | ArchiveError::UnsupportedEncryptionScheme
            | ArchiveError::UnsupportedMacAlgorithm
    );
    if is_unsupported && bundle.windows(PBMAC1.len()).any(|window| window == PBMAC1) {
        return named.error(
            "it is protected by PBMAC1, which isn't supported; convert it with an OpenSSL that reads it (3.4 or newer): \
             openssl pkcs12 -in a.p12 -nodes | openssl pkcs12 -export -macalg sha256 -out b.p12",
        );
    }
    if is_unsupported {
        return named.error(
            "it is encrypted in a way that isn't supported; convert it with \
             openssl pkcs12 -legacy -in a.p12 -nodes | openssl pkcs12 -export -out b.p12",
        );
    }
    let wrong_passphrase = match error {
        ArchiveError::MacError(_) | ArchiveError::Pkcs5Error(_) | ArchiveError::UnpadError => true,
        // What a wrong passphrase decrypts to may look like padding by chance.
        _ => false,
    };
    match (wrong_passphrase, passphrase.is_empty()) {
        (true, true) => named
            .error("it is encrypted, and no passphrase is set; set its passphrase")
            .with_setting(Setting::Passphrase),
        (true, false) => named.error("the passphrase doesn't open it; check it").with_setting(Setting::Passphrase),
        (false, _) if is_ber(bundle) => named.error(
            "it is BER of a kind that isn't supported; convert it with \
             openssl pkcs12 -in a.p12 -nodes | openssl pkcs12 -export -out b.p12",
        ),
        (false, _) => named.error("its content is damaged; copy it again, or export it anew"),
    }
}

/// The object identifier 1.2.840.113549.1.5.14 (RFC 9579).
const PBMAC1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0e];

/// Whether the length of the outermost element is left out, which DER never does.
fn is_ber(bundle: &[u8]) -> bool {
    bundle.get(1) == Some(&0x80)
}

/// The outer layers of a bundle (RFC 7292 section 4). Some programs write them in BER, and p12-keystore reads only DER.
#[derive(Sequence)]
struct Pfx {
    version: u8,
    auth_safe: ContentInfo,
    mac_data: Option<Any>,
}

#[derive(Sequence)]
struct ContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: Content,
}

#[derive(Choice)]
enum Content {
    #[asn1(type = "OCTET STRING")]
    Data(OctetString),
    Encrypted(EncryptedData),
}

/// RFC 5652 section 8.
#[derive(Sequence)]
struct EncryptedData {
    version: u8,
    content: EncryptedContentInfo,
}

#[derive(Sequence)]
struct EncryptedContentInfo {
    content_type: ObjectIdentifier,
    algorithm: Any,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    content: Option<OctetString>,
}

impl Pfx {
    /// All layers in DER, and no MAC.
    fn without_mac(&self) -> der::Result<Zeroizing<Vec<u8>>> {
        let Content::Data(safes) = &self.auth_safe.content else { return Err(der::ErrorKind::Failed.into()) };
        let safes = Vec::<ContentInfo>::from_ber(safes.as_bytes())?;
        let content = Content::Data(OctetString::new(safes.to_der()?)?);
        let auth_safe = ContentInfo { content_type: self.auth_safe.content_type, content };
        Ok(Zeroizing::new(Self { version: self.version, auth_safe, mac_data: None }.to_der()?))
    }
}
