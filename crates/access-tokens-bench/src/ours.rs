//! Our own: the cache over a 1NCE client, with its default policy.

use std::hint::black_box;

use access_tokens::{TokenCache, onence};

use crate::library::{Call, Error, Library};

pub(crate) struct Ours(TokenCache);

impl Library for Ours {
    const NAME: &'static str = "access-tokens";

    async fn open(url: &str) -> Result<Self, Error> {
        let credentials = onence::Credentials::new("user", "password");
        Ok(Self(TokenCache::new(onence::Client::builder(credentials).base_url(url).build()?)))
    }

    async fn get(&self) -> Result<String, Error> {
        Ok(self.0.token().await?.secret().to_owned())
    }
}

impl Call for Ours {
    async fn call(&self) {
        drop(black_box(self.0.token().await));
    }
}
