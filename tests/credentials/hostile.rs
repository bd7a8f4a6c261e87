//! Damaged files of every form: an error or a key, and never a panic.

use std::time::{Duration, Instant};

use access_tokens::{Error, Identity, assertion::SigningKey, root_certificates};

use crate::keys::{PASSPHRASE, fixture, fixtures};

#[test]
fn no_damage_to_a_file_is_a_panic_or_takes_long() {
    let mut random = Random(0x1ce_b00da);
    let certificate = fixture("rsa.certificate.pem");
    let mut files: Vec<_> = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| ["pem", "der", "p12"].iter().any(|known| end == *known)));
    files.sort();
    assert!(files.len() > 60);
    let (mut refused, mut taken) = (0, 0);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let whole = std::fs::read(&path).unwrap();
        // Opening some takes its time by design.
        let times = match name {
            _ if name.contains("scrypt") => 4,
            _ if name.contains("p12") || name.contains("pkcs8-") => 25,
            _ => 150,
        };
        for _ in 0..times {
            let damaged = random.damage(&whole);
            let begun = Instant::now();
            let outcomes: [Result<Identity, Error>; 3] = if name.contains("certificate") || name.contains("ing.pem") {
                [
                    Identity::new(fixture("rsa.pkcs8.pem"), Some(damaged.as_ref()), None),
                    Identity::new(&damaged, Some(damaged.as_ref()), None),
                    Identity::new(&damaged, None, Some(PASSPHRASE)),
                ]
            } else {
                [
                    Identity::new(&damaged, Some(certificate.as_ref()), None),
                    Identity::new(&damaged, Some(certificate.as_ref()), Some(PASSPHRASE)),
                    Identity::new(&damaged, None, Some(PASSPHRASE)),
                ]
            };
            assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {damaged:02x?}");
            for outcome in outcomes {
                if let Err(error) = outcome {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                } else {
                    taken += 1;
                }
            }
        }
    }
    // Damage that nobody sees is in what isn't read.
    assert!(refused > 10 * taken, "{refused} {taken}");
}

/// Roots, keys without a certificate, bundles in BER, and what is named for what it is.
#[test]
fn no_damage_to_other_material_is_a_panic_or_takes_long() {
    let mut random = Random(0xbe_5afe);
    let folder = fixtures().parent().unwrap().join("material");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.extend(
        ["root.pem", "rsa.certificate.der", "rsa.pkcs8.pem", "p256.sec1.der"].map(|name| fixtures().join(name)),
    );
    files.sort();
    let (mut refused, mut taken) = (0, 0);
    let mut count = |outcome: Result<(), Error>| match outcome {
        Ok(()) => taken += 1,
        Err(error) => {
            assert!(error.setting().is_some() && error.to_string().chars().all(|c| !c.is_control()), "{error}");
            refused += 1;
        }
    };
    for path in files {
        let whole = std::fs::read(&path).unwrap();
        let times = if path.extension().is_some_and(|end| end == "p12") { 100 } else { 200 };
        for _ in 0..times {
            let damaged = random.damage(&whole);
            let begun = Instant::now();
            count(root_certificates(&damaged).map(|_| ()));
            count(SigningKey::new(&damaged, Some("secret1")).map(|_| ()));
            count(Identity::new(&damaged, Some(damaged.as_ref()), None).map(|_| ()));
            count(Identity::new(&damaged, None, Some("secret1")).map(|_| ()));
            count(Identity::new(&damaged, None, Some("")).map(|_| ()));
            assert!(begun.elapsed() < Duration::from_secs(20), "{}: {damaged:02x?}", path.display());
        }
    }
    assert!(refused > 5 * taken && taken > 0, "{refused} {taken}");
}

/// The same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap() % limit.max(1)
    }

    fn damage(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..=self.below(3) {
            let place = self.below(bytes.len());
            // Half of them in the first bytes, where the structure is.
            let place = if self.below(2) == 0 { place % 64.min(bytes.len().max(1)) } else { place };
            match self.below(6) {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, self.below(256).to_le_bytes()[0]),
                2 if !bytes.is_empty() => _ = bytes.remove(place),
                3 => bytes.extend_from_within(place..),
                _ => {
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        bytes
    }
}
