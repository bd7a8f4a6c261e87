// @generated from the files in specs/. Do not edit: change the overlay there and run `cargo xtask regen`.

/// Authorization v2.1.1, from `specs/onence.openapi.yaml`.
pub mod onence {
    include!("onence.rs");
}

/// Access Token 2.1.1, from `specs/worldline.openapi.yaml`.
pub mod worldline {
    include!("worldline.rs");
}
