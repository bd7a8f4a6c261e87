//! azure_identity: a client secret credential. It speaks to Entra ID over https alone and renews whatever has less than five
//! minutes to live, so it is timed on the hot path and left out of the scenarios. A transport in the process answers it
//! once; every call after that finds the token in its cache.

use std::{hint::black_box, sync::Arc};

use azure_core::{
    credentials::{Secret, TokenCredential},
    http::{AsyncRawResponse, ClientOptions, HttpClient, Request, StatusCode, Transport, headers::Headers},
};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use serde_json::json;

use crate::library::{Call, Error};

const SCOPES: [&str; 1] = ["https://vault.azure.net/.default"];

pub(crate) struct AzureIdentity(Arc<ClientSecretCredential>);

impl AzureIdentity {
    pub(crate) async fn open(token: &str) -> Result<Self, Error> {
        let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }).to_string();
        let transport = Some(Transport::new(Arc::new(Canned { body })));
        let client_options = ClientOptions { transport, ..ClientOptions::default() };
        let options = ClientSecretCredentialOptions { client_options };
        let credential =
            ClientSecretCredential::new("tenant", "client".to_owned(), Secret::new("secret"), Some(options))?;
        credential.get_token(&SCOPES, None).await?;
        Ok(Self(credential))
    }
}

impl Call for AzureIdentity {
    async fn call(&self) {
        drop(black_box(self.0.get_token(&SCOPES, None).await));
    }
}

#[derive(Debug)]
struct Canned {
    body: String,
}

#[async_trait::async_trait]
impl HttpClient for Canned {
    async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), self.body.clone()))
    }
}
