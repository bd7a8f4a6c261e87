//! middle: a background task that refreshes, and a header behind a lock.

use std::hint::black_box;

use middle::{Authorizer, BasicClientCredentialAuthorizer};

use crate::library::{Call, Error, Library};

pub(crate) struct Middle(BasicClientCredentialAuthorizer);

impl Library for Middle {
    const NAME: &'static str = "middle";

    async fn open(url: &str) -> Result<Self, Error> {
        let builder = BasicClientCredentialAuthorizer::basic_builder("client", "secret", url.parse()?);
        Ok(Self(builder.build().await?))
    }

    async fn get(&self) -> Result<String, Error> {
        let header = self.0.authorization_header()?;
        Ok(header.to_str()?.trim_start_matches("Bearer ").to_owned())
    }
}

impl Call for Middle {
    async fn call(&self) {
        drop(black_box(self.0.authorization_header()));
    }
}
