//! Chains of X.509 certificates: who is in them, in which order, and until when they are valid.

use std::{
    cmp::Reverse,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use x509_parser::{
    extensions::ParsedExtension,
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use super::{
    content::{Item, Kind},
    key::PrivateKey,
    name,
    named::{Named, Source},
};
use crate::Error;

/// A certificate and its issuers, as far as they are known.
pub(crate) struct Certificates {
    /// DER, the key's first, each followed by its issuer's.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The `subjectPublicKey` of the first.
    pub(crate) public_key: Vec<u8>,
    pub(crate) subject: String,
    not_before: ASN1Time,
    not_after: ASN1Time,
    source: Source,
    /// The day, counted from 1970, on which the log was last told that the first ends.
    warned_on: AtomicU64,
}

impl Certificates {
    /// The first among `items`, and its issuers.
    pub(super) fn first(items: &[Item], named: &Named<'_>) -> Result<Self, Error> {
        let certificates = Self::chain(&parse(items, named)?, 0, named);
        let certificates = certificates.ok_or_else(|| named.error("it holds no certificate"))?;
        certificates.check_validity()?;
        certificates.warn_of_end();
        Ok(certificates)
    }

    /// The one among `items` that belongs to the key, and its issuers.
    pub(super) fn of_key(items: &[Item], named: &Named<'_>, key: &PrivateKey, key_name: &str) -> Result<Self, Error> {
        let parsed = parse(items, named)?;
        let now = SystemTime::now();
        let belong = parsed
            .iter()
            .enumerate()
            .filter(|(_, (_, certificate))| *certificate.public_key().subject_public_key.data == *key.public_key());
        // Of several for one key, as around a renewal, one that is valid, and of those the one that ends last.
        let leaf = belong.max_by_key(|(position, (_, certificate))| {
            let validity = certificate.validity();
            let valid = (system_time(validity.not_before)..=system_time(validity.not_after)).contains(&now);
            (valid, validity.not_after.timestamp(), Reverse(*position))
        });
        leaf.and_then(|(position, _)| Self::chain(&parsed, position, named)).ok_or_else(|| {
            let key_name = if named.name() == key_name { "the private key" } else { key_name };
            named.error(format!("it doesn't belong to {key_name}; give the certificate that was issued for that key"))
        })
    }

    fn chain(parsed: &[(&[u8], X509Certificate<'_>)], leaf: usize, named: &Named<'_>) -> Option<Self> {
        let (der, leaf_certificate) = parsed.get(leaf)?;
        let (mut order, mut chain, mut last) = (vec![leaf], vec![der.to_vec()], leaf_certificate);
        while !name::is_same(last.subject(), last.issuer()) {
            let mut others = parsed.iter().enumerate().filter(|(position, _)| !order.contains(position));
            let Some((position, (der, issuer))) = others.find(|(_, (_, other))| issued(other, last)) else { break };
            order.push(position);
            chain.push(der.to_vec());
            last = issuer;
        }
        Some(Self {
            chain,
            public_key: leaf_certificate.public_key().subject_public_key.data.to_vec(),
            subject: leaf_certificate.subject().to_string(),
            not_before: leaf_certificate.validity().not_before,
            not_after: leaf_certificate.validity().not_after,
            source: named.source.clone(),
            warned_on: AtomicU64::new(0),
        })
    }

    pub(super) fn check_validity(&self) -> Result<(), Error> {
        let error = |what: String| Err(self.source.error(what));
        let (now, subject) = (SystemTime::now(), &self.subject);
        if now > self.not_after() {
            let ended = time(self.not_after);
            return error(format!(
                "it ended on {ended} ({subject}); ask for its successor, and register that with the provider"
            ));
        }
        if now < self.not_before() {
            let begins = time(self.not_before);
            return error(format!("it isn't valid before {begins} ({subject}); check this machine's clock, or wait"));
        }
        Ok(())
    }

    /// Tells the log, once a day, of a certificate that ends soon or has ended.
    pub(crate) fn warn_of_end(&self) {
        const DAY: u64 = 24 * 60 * 60;
        const SOON: Duration = Duration::from_secs(30 * DAY);
        let now = SystemTime::now();
        if self.not_after() > now + SOON {
            return;
        }
        let today = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |span| span.as_secs() / DAY);
        if self.warned_on.swap(today, Ordering::Relaxed) == today {
            return;
        }
        let (subject, not_after) = (&self.subject, time(self.not_after));
        if self.not_after() > now {
            tracing::warn!(
                subject,
                not_after,
                "the certificate ends soon; ask for its successor, and register that with the provider before then"
            );
        } else {
            tracing::warn!(
                subject,
                not_after,
                "the certificate has ended; ask for its successor, and register that with the provider"
            );
        }
    }

    pub(super) fn unusable_for_tls(&self, error: &webpki::Error) -> Error {
        let subject = &self.subject;
        self.source.error(match error {
            webpki::Error::UnsupportedCertVersion => {
                format!("TLS can't use it ({subject}): its X.509 version isn't 3; ask for one of version 3")
            }
            _ => format!("TLS can't use it ({subject}); ask for another one"),
        })
    }

    /// The first, in DER.
    pub(crate) fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    pub(super) fn not_before(&self) -> SystemTime {
        system_time(self.not_before)
    }

    pub(super) fn not_after(&self) -> SystemTime {
        system_time(self.not_after)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("subject", &self.subject)
            .field("not_after", &time(self.not_after))
            .field("length", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// As people read it.
fn time(time: ASN1Time) -> String {
    time.to_rfc2822().unwrap_or_else(|text| text)
}

/// A time before 1970 counts as 1970, and one that a system can't hold as the last that it can.
fn system_time(time: ASN1Time) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0));
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into()))
}

/// The certificates among `items`: each in DER, and what is in it.
fn parse<'a>(items: &'a [Item], named: &Named<'_>) -> Result<Vec<(&'a [u8], X509Certificate<'a>)>, Error> {
    let mut found = Vec::new();
    for item in items {
        match item.kind {
            Kind::Certificate => found.push((item.der.as_slice(), one(item, named)?)),
            // They would be missed in the chain.
            Kind::TrustedCertificate | Kind::DamagedCertificate | Kind::Pkcs7 { .. } => {
                return Err(item.refused(named, items.len() == 1));
            }
            _ => {}
        }
    }
    if found.is_empty() {
        // A private key tells most about what went wrong.
        let item = items.iter().find(|item| item.kind.is_key()).or(items.first());
        return Err(item.map_or_else(|| named.error("it holds no certificate"), |item| item.refused(named, true)));
    }
    Ok(found)
}

fn one<'a>(item: &'a Item, named: &Named<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(&item.der) {
        // What else is there would go into the fingerprint.
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(named.error("something follows the certificate, which DER doesn't allow; give several in PEM")),
        Err(_) => Err(item.refused(named, true)),
    }
}

/// Whether one certificate issued another: by the name and, where both say it, by the key (RFC 5280 sections 4.2.1.1 and
/// 4.2.1.2), since a renewed issuer keeps its name.
fn issued(issuer: &X509Certificate<'_>, certificate: &X509Certificate<'_>) -> bool {
    let of_issuer = issuer.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    });
    let wanted = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    let key_fits = of_issuer.zip(wanted).is_none_or(|(of_issuer, wanted)| of_issuer == wanted);
    name::is_same(issuer.subject(), certificate.issuer()) && key_fits
}
