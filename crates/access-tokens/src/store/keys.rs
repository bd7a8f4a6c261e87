//! What makes a store blind: names that are keyed hashes, and values that are sealed.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac, rand,
};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{Error, Setting, TokenId};

/// The keys of a [`SharedStore`](super::SharedStore), which every machine of the fleet is given: one that hashes names, and one
/// or more that seal.
///
/// Each is 32 random bytes, as `openssl rand -base64 32` makes them. The first key seals, every key opens. So a new one comes
/// in without a gap, in three steps that each reach the whole fleet before the next: add it behind the old one; put it first;
/// once the tokens of before have had their successors, after a life of a token, take the old one out. The key of the names
/// stays; with another, the fleet begins anew, with one exchange.
///
/// Values are sealed with AES-256-GCM-SIV (RFC 8452), bound to their name. In them stand the token and its times, so none of
/// them can be changed without the key, nor moved to another name.
///
/// ```
/// use access_tokens::store::KeyRing;
///
/// # let key = |n: u8| [n; 32];
/// let (name_key, old, new) = (key(1), key(2), key(3)); // from your secret manager
/// let ring = KeyRing::new(&name_key, [&old])?;
/// let added = KeyRing::new(&name_key, [&old, &new])?;
/// let switched = KeyRing::new(&name_key, [&new, &old])?;
/// let removed = KeyRing::new(&name_key, [&new])?;
///
/// assert!(KeyRing::new(b"too short", [&old]).is_err());
/// assert_eq!(format!("{ring:?}"), "KeyRing { keys: 1, .. }");
/// # Ok::<(), access_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<Keys>);

struct Keys {
    names: NameKey,
    sealing: Vec<RandomizedNonceKey>,
}

/// How many keys can open. Each further one costs another try.
const MOST_KEYS: usize = 16;

impl KeyRing {
    /// A ring of keys as bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): a key that isn't 32 bytes long, none or more than 16 that seal, the same key twice.
    pub fn new(name_key: &[u8], keys: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Self, Error> {
        let keys: Vec<_> = keys.into_iter().collect();
        if keys.is_empty() || keys.len() > MOST_KEYS {
            let message = format!("a key ring needs 1 to {MOST_KEYS} keys that seal; it has {}", keys.len());
            return Err(Error::configuration(message).with_setting(Setting::Keys));
        }
        let mut sealing = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().map(AsRef::as_ref).enumerate() {
            let refused = |what: String| Err(of_keys(index, format!("sealing key {} {what}", index + 1)));
            if key == name_key {
                return refused("equals the name key; use a different key".to_owned());
            }
            if keys.iter().take(index).any(|other| other.as_ref() == key) {
                return refused("is there twice; remove one of the two".to_owned());
            }
            match RandomizedNonceKey::new(&AES_256_GCM_SIV, key) {
                Ok(key) => sealing.push(key),
                Err(_) => return refused(wrong_length(key.len())),
            }
        }
        if name_key.len() != KEY_LEN {
            return Err(Setting::NameKey.error(wrong_length(name_key.len())));
        }
        // The first random number of a process takes a tenth of a second: here, and not within the first command's time-out.
        rand::fill(&mut [0; NONCE_LEN])
            .map_err(|_| Error::configuration("this machine gives no random numbers".to_owned()))?;
        let names = NameKey(hmac::Key::new(hmac::HMAC_SHA256, name_key));
        Ok(Self(Arc::new(Keys { names, sealing })))
    }

    /// The same in base64, as people keep them (RFC 4648 section 4). Each text of `keys` holds one key, or several with white space
    /// between; the [item](Error::item) of an error counts these texts.
    ///
    /// # Errors
    /// As [`new`](Self::new), where one isn't base64, and where a text holds no key.
    pub fn from_base64(name_key: &str, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, Error> {
        let decoded = |key: &str| BASE64_STANDARD.decode(key.trim()).map(Zeroizing::new).ok();
        let not_base64 = format!("isn't base64; {HOW_TO_MAKE_ONE}");
        let name_key = decoded(name_key).ok_or_else(|| Setting::NameKey.error(&not_base64))?;
        let (mut decoded_keys, mut items) = (Vec::new(), Vec::new());
        for (item, text) in keys.into_iter().enumerate() {
            let before = decoded_keys.len();
            for key in text.as_ref().split_whitespace() {
                let refused = || of_keys(item, format!("sealing key {} {not_base64}", items.len() + 1));
                decoded_keys.push(decoded(key).ok_or_else(refused)?);
                items.push(item);
            }
            if decoded_keys.len() == before {
                return Err(of_keys(item, format!("holds no key; {HOW_TO_MAKE_ONE}")));
            }
        }
        let ring = Self::new(&name_key, decoded_keys.iter().map(|key| key.as_slice()));
        ring.map_err(|error| match error.item().and_then(|key| items.get(key)) {
            Some(item) => error.with_item(*item),
            None => error,
        })
    }

    pub(super) fn names(&self) -> &NameKey {
        &self.0.names
    }

    /// Seals what stands under `name`. The plain text is overwritten.
    pub(super) fn seal(&self, name: &TokenName, mut plain: Zeroizing<Vec<u8>>) -> Option<Vec<u8>> {
        let nonce = self.0.sealing.first()?.seal_in_place_append_tag(aad(name), &mut *plain).ok()?;
        Some([&[VERSION], nonce.as_ref().as_slice(), &plain].concat())
    }

    /// What was sealed under `name`; `None` if it isn't so, whatever is wrong with it.
    pub(super) fn open(&self, name: &TokenName, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.strip_prefix(&[VERSION])?.split_first_chunk::<NONCE_LEN>()?;
        self.0.sealing.iter().find_map(|key| {
            let mut plain = Zeroizing::new(sealed.to_vec());
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.open_in_place(nonce, aad(name), &mut plain).ok()?.len();
            plain.truncate(length);
            Some(plain)
        })
    }
}

const KEY_LEN: usize = 32;

/// What a seal adds to the plain text, in its own place.
pub(super) const SEAL_LEN: usize = 16;

/// The first byte of a value: how what follows is sealed, and what is in it.
const VERSION: u8 = 1;

const HOW_TO_MAKE_ONE: &str = "make one with `openssl rand -base64 32`";

fn aad(name: &TokenName) -> Aad<Vec<u8>> {
    Aad::from([b"access-tokens\0".as_slice(), &[VERSION], name.as_str().as_bytes()].concat())
}

fn wrong_length(length: usize) -> String {
    format!("is {length} bytes long and must be {KEY_LEN}; {HOW_TO_MAKE_ONE}")
}

fn of_keys(index: usize, message: String) -> Error {
    Error::configuration(message).with_setting(Setting::Keys).with_item(index)
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.0.sealing.len()).finish_non_exhaustive()
    }
}

/// What names are hashed with, so that who reads a store can't even find out whether a client he knows of is in it.
pub(super) struct NameKey(hmac::Key);

impl NameKey {
    /// What the tokens of this id stand under.
    pub(super) fn name(&self, id: &TokenId) -> TokenName {
        TokenName(BASE64_URL_SAFE_NO_PAD.encode(self.hash(b"name", &id.hash())).into())
    }

    /// A name of which no token is.
    pub(super) fn name_for_a_check(&self, nonce: &[u8]) -> TokenName {
        TokenName(BASE64_URL_SAFE_NO_PAD.encode(self.hash(b"check", nonce)).into())
    }

    /// Tells a token from another, and nothing of either.
    pub(super) fn fingerprint(&self, secret: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.hash(b"token", secret.as_bytes()))
    }

    fn hash(&self, of: &[u8], what: &[u8]) -> hmac::Tag {
        let mut hash = hmac::Context::with_key(&self.0);
        for part in [of, what] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.sign()
    }
}

/// What the tokens of one client stand under in a store: a keyed hash, in 43 characters (base64url).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenName(Box<str>);

impl TokenName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
