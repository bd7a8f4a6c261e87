//! PKCS#12 bundles (RFC 7292).

use der::{
    Any, Decode, Encode, EncodingRules, Reader, Sequence, SliceReader,
    asn1::{ObjectIdentifier, OctetString},
};
use p12_keystore::{Pkcs12Archive, error::Error as ArchiveError};
use zeroize::Zeroizing;

use super::{
    certificate::Certificates,
    content::{self, Item, Kind, unused},
    key::PrivateKey,
    named::Named,
};
use crate::{Error, Setting};

/// The key and its certificates, and a warning for each thing in the bundle that isn't used. Of several keys the one counts whose
/// certificate is there, and valid.
pub(super) fn read(named: &Named<'_>, passphrase: &str) -> Result<(PrivateKey, Certificates, Vec<String>), Error> {
    if !passphrase.is_empty() {
        Setting::Passphrase.check_in(passphrase, &format!(" of {}", named.name()))?;
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
            certificates.check_validity()?;
            let used: Vec<_> = certificates.chain.iter().map(Vec::as_slice).collect();
            let mut warnings = unused(&items, &used, Setting::Pkcs12);
            let others = (0..archive.keys.len()).filter(|other| *other != position);
            warnings.extend(others.map(|other| format!("{} isn't used", named.place("private key", other))));
            let secrets = 0..archive.secrets.len();
            warnings.extend(secrets.map(|secret| format!("{} isn't used", named.place("secret key", secret))));
            Ok((key, certificates, warnings))
        });
        match found {
            Ok(found) => return Ok(found),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// Opens the bundle with the passphrase, which may be empty.
///
/// p12-keystore reads only DER, knows no PBMAC1 (RFC 9579), and takes an empty passphrase to be two zero bytes, where some programs
/// write none (RFC 7292 appendix B.1). In these cases it gets the bundle in DER and without its MAC. The MAC protects nothing
/// anyway: a bundle without one is valid, and whoever changes a bundle can remove it.
///
/// Still unsupported is an empty passphrase without bytes where the content is encrypted in PKCS#12's own way (PBES1).
fn open(bundle: &[u8], named: &Named<'_>, passphrase: &str) -> Result<Pkcs12Archive, Error> {
    let damaged = || {
        named.error(
            "it is damaged, cut off, or BER of a kind that isn't supported; copy it again, or convert it with \
             openssl pkcs12 -in a.p12 -out b.pem && openssl pkcs12 -export -in b.pem -out b.p12",
        )
    };
    let pfx = Pfx::read(bundle).map_err(|_| damaged())?;
    let der = Zeroizing::new(pfx.to_der().map_err(|_| damaged())?);
    let mut opened = Pkcs12Archive::from_pkcs12(&der, passphrase);
    let is_wrong_empty = passphrase.is_empty() && matches!(opened, Err(ArchiveError::MacError(_)));
    let is_other = matches!(opened, Err(ArchiveError::DerError(_) | ArchiveError::UnsupportedEncryptionScheme));
    if (is_wrong_empty || is_other)
        && let Ok(der) = pfx.without_mac()
    {
        let again = Pkcs12Archive::from_pkcs12(&der, passphrase);
        if again.is_ok() || is_other {
            opened = again;
        }
    }
    opened.map_err(|error| match error {
        ArchiveError::MacError(_) | ArchiveError::Pkcs5Error(_) | ArchiveError::UnpadError => {
            let what = match passphrase {
                "" => "it is encrypted, and no passphrase is set; set its passphrase",
                _ => "the passphrase doesn't open it; check it",
            };
            named.error(what).with_setting(Setting::Passphrase)
        }
        // The parameters are those that say how much work it is to open.
        ArchiveError::InvalidParameters
        | ArchiveError::UnsupportedEncryptionScheme
        | ArchiveError::UnsupportedMacAlgorithm => named.error(
            "it is encrypted in a way that isn't supported; convert it with \
             openssl pkcs12 -legacy -in a.p12 -out b.pem && openssl pkcs12 -export -in b.pem -out b.p12",
        ),
        // A `BMPString` can't have it.
        _ if passphrase.chars().any(|c| c > '\u{ffff}') => {
            let what =
                "the passphrase holds a character beyond U+FFFF, which isn't supported; export it with another one";
            named.error(what).with_setting(Setting::Passphrase)
        }
        _ => damaged(),
    })
}

/// The outer layers of a bundle (RFC 7292 section 4). Some programs write them in BER, and p12-keystore reads only DER.
#[derive(Sequence)]
struct Pfx {
    version: u8,
    auth_safe: Data,
    mac_data: Option<Any>,
}

#[derive(Sequence)]
struct Data {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: OctetString,
}

#[derive(Sequence)]
struct Encrypted {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: EncryptedData,
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
    fn read(bundle: &[u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new_with_encoding_rules(bundle, EncodingRules::Ber)?;
        let pfx = Self::decode(&mut reader)?;
        let rest = usize::try_from(reader.remaining_len())?;
        let is_padding = bundle.iter().rev().take(rest).all(content::is_blank);
        if is_padding { Ok(pfx) } else { Err(der::ErrorKind::Failed.into()) }
    }

    /// All layers in DER, and no MAC.
    fn without_mac(&self) -> der::Result<Zeroizing<Vec<u8>>> {
        let in_der = |info: Any| {
            let info = info.to_der()?;
            let info = match Encrypted::from_ber(&info) {
                Ok(encrypted) => encrypted.to_der()?,
                Err(_) => Data::from_ber(&info)?.to_der()?,
            };
            Any::from_der(&info)
        };
        let infos = Vec::<Any>::from_ber(self.auth_safe.content.as_bytes())?.into_iter();
        let infos: Vec<_> = infos.map(in_der).collect::<der::Result<_>>()?;
        let auth_safe = Data { content_type: self.auth_safe.content_type, content: OctetString::new(infos.to_der()?)? };
        Ok(Zeroizing::new(Self { version: self.version, auth_safe, mac_data: None }.to_der()?))
    }
}
