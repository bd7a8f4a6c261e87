//! google-cloud-auth: a background task that refreshes, and a token in a watch channel. It has no generic client
//! credentials; its user accounts use the same cache.

use std::hint::black_box;

use google_cloud_auth::credentials::{AccessTokenCredentials, user_account};
use serde_json::json;

use crate::library::{Call, Error, Library};

pub(crate) struct GoogleCloudAuth(AccessTokenCredentials);

impl Library for GoogleCloudAuth {
    const NAME: &'static str = "google-cloud-auth";

    async fn open(url: &str) -> Result<Self, Error> {
        let account = json!({
            "type": "authorized_user",
            "client_id": "client",
            "client_secret": "secret",
            "refresh_token": "refresh",
        });
        Ok(Self(user_account::Builder::new(account).with_token_uri(url).build_access_token_credentials()?))
    }

    async fn get(&self) -> Result<String, Error> {
        Ok(self.0.access_token().await?.token)
    }
}

impl Call for GoogleCloudAuth {
    async fn call(&self) {
        drop(black_box(self.0.access_token().await));
    }
}
