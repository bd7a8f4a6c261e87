// @generated from the files in specs/. Do not edit: change the overlay there and run `cargo xtask regen`.
// worldline.openapi.yaml sha256 4f958b7f48b962727bef75586d60e2e10e9390cb85b63d6ae80caf287b3d0c22
// worldline.overlay.yaml sha256 7832aa16e28179fdd41409c85d44c0489fe417655ea88e5a61d556cdd7b2d82f

#[allow(unused_imports)]
pub use progenitor_client::{ByteStream, ClientInfo, Error, ResponseValue};
#[allow(unused_imports)]
use progenitor_client::{encode_path, ClientHooks, OperationInfo, RequestBuilderExt};
/// Types used as operation parameters and responses.
#[allow(clippy::all)]
pub mod types {
    /// Client Credentials authentication approach
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug)]
    pub struct ClientCredentialsRequest {
        /// The Id of the client. Provided during onboarding of the Initiating Party.
        pub client_id: ::std::string::String,
        /// Client secret used for authentication. Provided during onboarding of the Initiating Party.
        pub client_secret: crate::Secret,
        /// To be set to 'client_credentials'.
        pub grant_type: ::std::string::String,
        /// List of service(s) to be requested, it's a space separated list.
        pub scope: ::std::string::String,
    }
    /// Client JWT authentication approach
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug)]
    pub struct ClientJwtRequest {
        /// The client assertion contains one JWT to authenticate the client. The token must contain the claims: The key id (kid) must be set to the signing certificate fingerprint (for example from the example token: B4E11A49EE0D1239E7F784919B91DF577E839385). The JWT has to be signed by the Initiating Party's private key.
        pub client_assertion: crate::Secret,
        /// The assertion type used for the token request. To be set to 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'.
        pub client_assertion_type: ::std::string::String,
        /// To be set to 'client_credentials'.
        pub grant_type: ::std::string::String,
        /// List of service(s) to be requested, it's a space separated list.
        pub scope: ::std::string::String,
    }
    /// Error response of RFC 6749 section 5.2.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Default)]
    pub struct ErrorResponse {
        /// Kind of error, such as `invalid_scope` or `invalid_client`, as text.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub error: ::std::option::Option<::serde_json::Value>,
        /// Description of the error, as text.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub error_description: ::std::option::Option<::serde_json::Value>,
    }
    /// `PosttokenBody`
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug)]
    #[serde(untagged)]
    pub enum PosttokenBody {
        CredentialsRequest(ClientCredentialsRequest),
        JwtRequest(ClientJwtRequest),
    }
    impl ::std::convert::From<ClientCredentialsRequest> for PosttokenBody {
        fn from(value: ClientCredentialsRequest) -> Self {
            Self::CredentialsRequest(value)
        }
    }
    impl ::std::convert::From<ClientJwtRequest> for PosttokenBody {
        fn from(value: ClientJwtRequest) -> Self {
            Self::JwtRequest(value)
        }
    }
    /// Access token response
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug)]
    pub struct TokenResponse {
        /// Token to be used in further API calls
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub access_token: ::std::option::Option<crate::Secret>,
        /// Expiration time in seconds, as an integer, a float or a numeric string.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub expires_in: ::std::option::Option<::serde_json::Value>,
        /// Time in seconds since 1970 before which tokens are revoked; 0 for none.
        #[serde(
            rename = "not-before-policy",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub not_before_policy: ::std::option::Option<::serde_json::Value>,
        /// Of no use, there being no refresh tokens.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub refresh_expires_in: ::std::option::Option<::serde_json::Value>,
        /// The list of the services for which the token is valid, a space separated list.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub scope: ::std::option::Option<::serde_json::Value>,
        /// Type of the token: Bearer
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub token_type: ::std::option::Option<::std::string::String>,
        #[serde(flatten)]
        pub extra: ::std::collections::BTreeMap<
            ::std::string::String,
            crate::SecretValue,
        >,
    }
    /// Error types.
    pub mod error {
        /// Error from a `TryFrom` or `FromStr` implementation.
        pub struct ConversionError(::std::borrow::Cow<'static, str>);
        impl ::std::error::Error for ConversionError {}
        impl ::std::fmt::Display for ConversionError {
            fn fmt(
                &self,
                f: &mut ::std::fmt::Formatter<'_>,
            ) -> Result<(), ::std::fmt::Error> {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }
        impl ::std::fmt::Debug for ConversionError {
            fn fmt(
                &self,
                f: &mut ::std::fmt::Formatter<'_>,
            ) -> Result<(), ::std::fmt::Error> {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }
        impl From<&'static str> for ConversionError {
            fn from(value: &'static str) -> Self {
                Self(value.into())
            }
        }
        impl From<String> for ConversionError {
            fn from(value: String) -> Self {
                Self(value.into())
            }
        }
    }
}
/// Client for Access Token
///
/// The 'access_token' returned by the post /token request can be used for subsequent requests towards the Worldline Open Banking API's. With the access token the Open Banking Service can validate and authorize the request.
///
///
/// Version: 2.1.1
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) baseurl: String,
    pub(crate) client: reqwest::Client,
    pub(crate) inner: crate::hooks::Authentication,
}
impl Client {
    /// Create a new client.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new(baseurl: &str, inner: crate::hooks::Authentication) -> Self {
        #[cfg(not(target_arch = "wasm32"))]
        let client = {
            let dur = ::std::time::Duration::from_secs(15u64);
            reqwest::ClientBuilder::new().connect_timeout(dur).timeout(dur)
        };
        #[cfg(target_arch = "wasm32")]
        let client = reqwest::ClientBuilder::new();
        Self::new_with_client(baseurl, client.build().unwrap(), inner)
    }
    /// Construct a new client with an existing `reqwest::Client`,
    /// allowing more control over its configuration.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new_with_client(
        baseurl: &str,
        client: reqwest::Client,
        inner: crate::hooks::Authentication,
    ) -> Self {
        Self {
            baseurl: baseurl.to_string(),
            client,
            inner,
        }
    }
}
impl ClientInfo<crate::hooks::Authentication> for Client {
    fn api_version() -> &'static str {
        "2.1.1"
    }
    fn baseurl(&self) -> &str {
        self.baseurl.as_str()
    }
    fn client(&self) -> &reqwest::Client {
        &self.client
    }
    fn inner(&self) -> &crate::hooks::Authentication {
        &self.inner
    }
}
const _: () = {
    #[allow(dead_code)]
    fn assert_client_hooks()
    where
        Client: ClientHooks<crate::hooks::Authentication>,
    {}
};
#[allow(clippy::all)]
impl Client {
    /// Generates a token for the Initiating Party
    ///
    /// Sends a `POST` request to `/realms/{realm}/protocol/openid-connect/token`
    ///
    /// Arguments:
    /// - `realm`: Name of the realm belonging to the tenant. The realm to be used will be provided during the onboarding process.
    ///
    /// - `body`
    pub async fn posttoken<'a>(
        &'a self,
        realm: &'a str,
        body: &'a types::PosttokenBody,
    ) -> Result<ResponseValue<types::TokenResponse>, Error<()>> {
        let url = format!(
            "{}/realms/{}/protocol/openid-connect/token", self.baseurl, encode_path(&
            realm.to_string()),
        );
        let mut header_map = ::reqwest::header::HeaderMap::with_capacity(1usize);
        header_map
            .append(
                ::reqwest::header::HeaderName::from_static("api-version"),
                ::reqwest::header::HeaderValue::from_static(Self::api_version()),
            );
        #[allow(unused_mut)]
        let mut request = self
            .client
            .post(url)
            .header(
                ::reqwest::header::ACCEPT,
                ::reqwest::header::HeaderValue::from_static("application/json"),
            )
            .form_urlencoded(&body)?
            .headers(header_map)
            .build()?;
        let info = OperationInfo {
            operation_id: "posttoken",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        match response.status().as_u16() {
            200u16 => ResponseValue::from_response(response).await,
            _ => Err(Error::UnexpectedResponse(response)),
        }
    }
}
/// Items consumers will typically use such as the Client.
pub mod prelude {
    #[allow(unused_imports)]
    pub use super::Client;
}
impl ClientHooks<crate::hooks::Authentication> for Client {
    async fn pre<E>(
        &self,
        request: &mut reqwest::Request,
        _: &OperationInfo,
    ) -> std::result::Result<(), Error<E>> {
        crate::hooks::pre(self.inner(), request);
        Ok(())
    }
    async fn exec(
        &self,
        request: reqwest::Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        crate::hooks::exec(self.client(), request).await
    }
}
