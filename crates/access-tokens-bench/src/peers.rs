//! The other libraries, each behind its own few lines.

pub(crate) mod aliri_tokens;
pub(crate) mod aws_smithy_runtime;
pub(crate) mod azure_identity;
pub(crate) mod google_cloud_auth;
pub(crate) mod huskarl;
pub(crate) mod middle;
