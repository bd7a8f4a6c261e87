//! Keys in every form, and the assertions that are signed with them: verified by other software than signs them, and accepted
//! by the sandbox.
#![cfg(test)]

mod chains;
mod combinations;
mod ends;
mod exchange;
mod hostile;
mod keys;
mod material;
mod names;
mod openssl;
mod signers;
#[path = "../support/mod.rs"]
mod support;
mod wrong;
mod x509;
