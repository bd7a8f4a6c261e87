//! The outline of a crate: what counts as public, where, and how it's written; and what is refused.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::fs;

use access_tokens_codegen::{Error, Line, crate_outline};

type Files = &'static [(&'static str, &'static str)];

#[test]
fn an_outline_has_what_users_can_name_call_and_rely_on() {
    let cases: &[(&str, Files, &[&str])] = &[
        (
            "of a struct its public fields, and that there are others",
            &[("lib.rs", "pub struct A { pub x: u8, y: u8, #[cfg(test)] z: u8 } pub struct B(pub u8); pub struct C; struct D;")],
            &["pub A.x: u8", "pub B.0: u8", "pub struct A, private fields", "pub struct B", "pub struct C, unit"],
        ),
        (
            "marks",
            &[(
                "lib.rs",
                "#[non_exhaustive] pub struct A { #[deprecated] pub x: u8 }
                 #[deprecated(note = \"old\")] pub fn f() {}
                 #[must_use] #[inline] pub fn g() {}
                 #[derive(Debug)] pub enum E { #[doc(hidden)] None, #[non_exhaustive] Some { text: String, }, B(u8,) = 3 }",
            )],
            &[
                "pub A.x: u8, deprecated",
                "pub E::B(u8) = 3",
                "pub E::Some { text: String }, non_exhaustive",
                "pub enum E: Debug",
                "pub fn f(), deprecated",
                "pub fn g()",
                "pub struct A, non_exhaustive",
            ],
        ),
        (
            "restricted isn't public",
            &[("lib.rs", "pub mod a { pub(crate) fn f() {} pub(super) struct A; pub(in crate::a) const C: u8 = 1; fn g() {} }")],
            &["pub mod a"],
        ),
        (
            "what is re-exported stands where users find it, and each time",
            &[
                ("lib.rs", "mod inner; pub mod outer { pub use super::inner::{Thing as Other, make}; } pub use inner::*;"),
                (
                    "inner.rs",
                    "pub mod deep; mod shut { pub struct Unseen; }
                     pub struct Thing; impl Thing { pub fn go(self) -> Self { self } fn stay() {} }
                     pub fn make() -> Thing { Thing } fn hide() {}",
                ),
                ("inner/deep.rs", "pub use super::super::inner::Thing as Deep;"),
            ],
            &[
                "pub Thing: fn go(self) -> Self",
                "pub deep::Deep: fn go(self) -> Self",
                "pub fn make() -> Thing",
                "pub fn outer::make() -> Thing",
                "pub mod deep",
                "pub mod outer",
                "pub outer::Other: fn go(self) -> Self",
                "pub struct Thing, unit",
                "pub struct deep::Deep, unit",
                "pub struct outer::Other, unit",
            ],
        ),
        (
            "an own name goes before one from `*`, and circles end",
            &[("lib.rs", "mod a { pub use super::*; pub fn f(x: u8) {} pub fn g() {} } pub use a::*; pub fn f() {} pub use crate as me;")],
            &["pub fn f()", "pub fn g()", "pub mod me"],
        ),
        (
            "a module and what is in it may share a name, and so may a type and a function",
            &[
                ("lib.rs", "mod thing; pub use thing::thing; mod other { pub struct Two {} #[allow(non_snake_case)] pub fn Two() {} } pub use other::Two;"),
                ("thing.rs", "pub fn thing() -> super::Two { super::Two() }"),
            ],
            &["pub fn Two()", "pub fn thing() -> Two", "pub struct Two"],
        ),
        (
            "files as the compiler finds them",
            &[
                ("lib.rs", "pub mod a; pub mod b { pub mod c; }"),
                ("a/mod.rs", "pub mod d; pub mod r#try;"),
                ("a/d.rs", "pub mod e { pub mod f; }"),
                ("a/try.rs", ""),
                ("a/d/e/f.rs", "pub fn deep() {}"),
                ("b/c.rs", "pub fn c() {}"),
            ],
            &[
                "pub fn a::d::e::f::deep()",
                "pub fn b::c::c()",
                "pub mod a",
                "pub mod a::d",
                "pub mod a::d::e",
                "pub mod a::d::e::f",
                "pub mod a::r#try",
                "pub mod b",
                "pub mod b::c",
            ],
        ),
        (
            "conditions, also of modules around and of files; tests are never there",
            &[
                (
                    "lib.rs",
                    "#[cfg(any(feature = \"a\", feature = \"b\"))] pub mod m; #[cfg(test)] mod missing;
                     #[cfg(not(test))] pub fn f() {} #[cfg(all(test, feature = \"a\"))] pub fn g() {}
                     #[cfg(all(unix, not(feature = \"a\")))] pub fn h() {}
                     #[cfg_attr(feature = \"serde\", derive(serde::Serialize))] #[cfg_attr(test, derive(Nothing))] pub struct S;",
                ),
                (
                    "m.rs",
                    "#![cfg(target_os = \"linux\")] #[cfg(feature = \"a\")] mod inner { pub struct T; impl T { #[cfg(feature = \"c\")] pub fn t() {} } }
                     #[cfg(feature = \"a\")] pub use inner::T; pub fn n() {}",
                ),
            ],
            &[
                "pub fn f()",
                "pub fn h() [all(unix, not(a))]",
                "pub fn m::n() [all(target_os = \"linux\", any(a, b))]",
                "pub m::T: fn t() [all(a, c, target_os = \"linux\")]",
                "pub mod m [all(target_os = \"linux\", any(a, b))]",
                "pub struct S: ::serde::Serialize[serde], unit",
                "pub struct m::T, unit [all(a, target_os = \"linux\")]",
            ],
        ),
        (
            "what is hidden isn't there, unless it is shown elsewhere",
            &[("lib.rs", "#[doc(hidden)] pub mod m { pub fn f() {} pub fn g() {} } pub use m::f; #[doc(hidden)] pub use m::g;")],
            &["pub fn f()"],
        ),
        (
            "traits, with what they ask for and what is provided",
            &[(
                "lib.rs",
                "pub trait T<X: Copy = u8>: Send + ?Sized where X: Send { const C: usize; type A: Clone; fn f(&self, x: X) -> Self::A; fn g() {} #[doc(hidden)] fn h() {} }",
            )],
            &[
                "pub T<X>: const C: usize",
                "pub T<X>: fn f(&self, x: X) -> Self::A",
                "pub T<X>: fn g(), provided",
                "pub T<X>: type A: Clone",
                "pub trait T<X: Copy = u8>: Send + ?Sized where X: Send",
            ],
        ),
        (
            "methods, with what their impl asks for too",
            &[(
                "lib.rs",
                "pub struct S<'a, T, const N: usize>(&'a [T; N]);
                 impl<'a, T: Clone, const N: usize> S<'a, T, N> where T: Send {
                    pub const MAX: usize = 1; pub async fn f<U>(mut self, mut u: U, _: &mut u8) -> Option<T> where U: Into<T> { None }
                 }
                 impl S<'_, u8, 1> { pub unsafe fn only_here(&self) {} }",
            )],
            &[
                "pub S<'_, u8, 1>: unsafe fn only_here(&self)",
                "pub S<'a, T, N>: async fn f<U>(self, u: U, _: &mut u8) -> Option<T> where T: Clone, T: Send, U: Into<T>",
                "pub S<'a, T, N>: const MAX: usize where T: Clone, T: Send",
                "pub struct S<'a, T, const N: usize>, private fields",
            ],
        ),
        (
            "impls of public traits for public types, wherever they are",
            &[(
                "lib.rs",
                "mod inner { pub struct P; pub(crate) struct Q; pub(crate) struct R; pub(crate) trait Private {} type Alias = P; mod far {
                    use super::*; impl Clone for Alias { fn clone(&self) -> Self { P } }
                    impl From<Q> for P { fn from(_: Q) -> Self { P } } impl From<P> for Vec<Option<P>> { fn from(_: P) -> Self { vec![] } }
                    impl Private for P {} impl<T: Clone> crate::Public for T { type Out = T; } impl Iterator for P { type Item = R; fn next(&mut self) -> Option<R> { None } } } }
                 pub use inner::P; pub trait Public { type Out; }",
            )],
            &[
                "impl Clone for crate::inner::Alias",
                "impl From<P> for Vec<Option<P>>",
                "impl Iterator for P",
                "impl Iterator for P: type Item = crate::inner::R",
                "impl<T: Clone> Public for T",
                "impl<T: Clone> Public for T: type Out = T",
                "pub Public: type Out",
                "pub struct P, unit",
                "pub trait Public",
                "struct crate::inner::R, unit",
                "type crate::inner::Alias = P",
            ]
        ),
        (
            "constants, statics, aliases, macros, variants and other crates' items by other names",
            &[(
                "lib.rs",
                "pub const C: [u8; 2] = [0; 2]; pub static S: &str = \"\"; pub type A<T> = Result<T, E>; pub enum E { X } pub use E::*;
                 #[macro_export] macro_rules! m { () => {} } macro_rules! n { () => {} } const _: () = assert!(true);
                 pub use url::{self, Url as Address}; pub use ::http as web; pub use std::fmt::*; pub extern crate log;",
            )],
            &[
                "pub E::X",
                "pub const C: [u8; 2]",
                "pub enum E",
                "pub macro m!",
                "pub static S: &str",
                "pub type A<T> = Result<T, E>",
                "pub use * = std::fmt::*",
                "pub use Address = ::url::Url",
                "pub use X = E::X",
                "pub use log = ::log",
                "pub use url = ::url",
                "pub use web = ::http",
            ],
        ),
        (
            "names tell different types apart",
            &[(
                "lib.rs",
                "mod error { pub struct Error; } pub use error::Error; pub mod http { pub struct Request; }
                 pub mod m {
                    use std::{fmt, io::{self, Error as IoError}}; use reqwest as r; use ::http::Request; use crate::{Error as Ours, http as ours};
                    pub fn f(_: IoError, _: io::Error, _: fmt::Result, _: r::Error, _: Ours) -> Result<(), fmt::Error> { Ok(()) }
                    pub fn g(_: Request<()>, _: ours::Request, _: &dyn Fn(r::Client) -> <Vec<u8> as IntoIterator>::Item) -> impl Iterator<Item = self::r::Url> + use<> { None.into_iter() }
                    pub fn h<Ours>(_: Ours) -> Option<<r::Client as r::Other<Ours>>::Out> { None }
                    pub mod n { use super::*; pub fn i(_: Ours, _: Box<r::Error>) {} }
                 }",
            )],
            &[
                "pub fn m::f(_: std::io::Error, _: std::io::Error, _: std::fmt::Result, _: ::reqwest::Error, _: Error) -> Result<(), std::fmt::Error>",
                "pub fn m::g(_: ::http::Request<()>, _: http::Request, _: &dyn Fn(::reqwest::Client) -> <Vec<u8> as IntoIterator>::Item) -> impl Iterator<Item = ::reqwest::Url> + use<>",
                "pub fn m::h<Ours>(_: Ours) -> Option<<::reqwest::Client as ::reqwest::Other<Ours>>::Out>",
                "pub fn m::n::i(_: Error, _: Box<::reqwest::Error>)",
                "pub mod http",
                "pub mod m",
                "pub mod m::n",
                "pub struct Error, unit",
                "pub struct http::Request, unit",
            ],
        ),
        (
            "what users can't name stands where it is",
            &[("lib.rs", "mod sealed { pub trait Sealed { fn f(); } } pub trait T: sealed::Sealed {} impl sealed::Sealed for u8 {}")],
            &[
                "crate::sealed::Sealed: fn f()",
                "impl crate::sealed::Sealed for u8",
                "pub trait T: crate::sealed::Sealed",
                "trait crate::sealed::Sealed",
            ],
        ),
    ];
    for (name, files, expected) in cases {
        let lines = outline(files).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(lines.iter().map(|line| &line.text).collect::<Vec<_>>(), *expected, "{name}");
    }
}

#[test]
fn each_line_tells_its_module_and_the_crates_it_names() {
    let files = &[(
        "lib.rs",
        "use url as address; pub struct Top(pub address::Url); type Hidden = Vec<bytes::Bytes>;
         pub mod m { use super::Top; use tower_layer::*; use serde::Serialize; pub fn f() -> super::Hidden { vec![] }
            #[derive(Clone, Serialize)] pub struct In;
            impl From<reqwest::Error> for Top { fn from(_: reqwest::Error) -> Self { loop {} } }
            impl tower_layer::Layer<u8> for In { type Service = std::io::Stdin; fn layer(&self, _: u8) -> std::io::Stdin { loop {} } } }",
    )];
    // Names from `*` could be anything; here no name depends on it but `Clone`'s, which is a reason to refuse.
    let error = outline(files).unwrap_err().to_string();
    assert!(error.contains("derives `Clone`"), "{error}");
    let named: &'static str = files[0].1.replace("use tower_layer::*;", "").leak();
    let lines = outline(&[("lib.rs", named)]).unwrap();
    let found: Vec<_> = lines.iter().map(|line| (line.text.as_str(), line.module.as_str(), crates(line))).collect();
    assert_eq!(
        found,
        [
            ("impl ::tower_layer::Layer<u8> for m::In", "m", "tower_layer".to_owned()),
            (
                "impl ::tower_layer::Layer<u8> for m::In: type Service = std::io::Stdin",
                "m",
                "std tower_layer".to_owned()
            ),
            ("impl From<::reqwest::Error> for Top", "", "reqwest".to_owned()),
            ("pub Top.0: ::url::Url", "", "url".to_owned()),
            ("pub fn m::f() -> crate::Hidden", "m", String::new()),
            ("pub mod m", "", String::new()),
            ("pub struct Top", "", String::new()),
            ("pub struct m::In: ::serde::Serialize + Clone, unit", "m", "serde".to_owned()),
            ("type crate::Hidden = Vec<::bytes::Bytes>", "", "bytes".to_owned()),
        ]
    );
}

#[test]
fn what_cant_be_told_is_refused_with_file_and_line() {
    let cases: &[(&str, Files, &str)] = &[
        ("no such crate", &[], "lib.rs: No such file or directory"),
        ("not Rust", &[("lib.rs", "pub fn f() {}\npub fn {")], "lib.rs:2: cannot parse"),
        ("no file", &[("lib.rs", "\nmod a;")], "lib.rs:2: module `a` has no file in "),
        (
            "two files",
            &[("lib.rs", "mod a;"), ("a.rs", ""), ("a/mod.rs", "")],
            "lib.rs:1: module `a` has two files in ",
        ),
        (
            "in a file",
            &[("lib.rs", "mod a;"), ("a.rs", "\n\nmake_types!();")],
            "a.rs:3: the outline can't see what this macro makes",
        ),
        (
            "a public thread-local",
            &[("lib.rs", "thread_local! { pub static A: u8 = 1; }")],
            "lib.rs:1: the outline can't see",
        ),
        (
            "a path",
            &[("lib.rs", "#[path = \"b.rs\"] mod a;"), ("b.rs", "")],
            "lib.rs:1: the outline doesn't follow #[path]",
        ),
        (
            "an attribute",
            &[("lib.rs", "\n#[make::builder] pub struct S;")],
            "lib.rs:2: the outline doesn't know what this attribute",
        ),
        (
            "an unknown condition",
            &[("lib.rs", "#[cfg(version(\"1.90\"))] pub fn f() {}")],
            "lib.rs:1: the outline can't read this condition",
        ),
        (
            "a conditional mark",
            &[("lib.rs", "#[cfg_attr(unix, non_exhaustive)] pub struct S;")],
            "lib.rs:1: the outline doesn't follow this attribute",
        ),
        (
            "an import that leads nowhere",
            &[("lib.rs", "mod a {}\npub use a::B;")],
            "lib.rs:2: `a::B` leads nowhere: there is no `B`",
        ),
        (
            "of what can't be seen",
            &[("lib.rs", "mod a { struct B; }\npub use a::B;")],
            "lib.rs:2: `a::B` leads nowhere",
        ),
        ("an unknown name", &[("lib.rs", "pub fn f(\n_: Missing) {}")], "lib.rs:2: nothing here is called `Missing`"),
        (
            "a name from elsewhere",
            &[("lib.rs", "use other::*;\npub fn f() -> Result<()> {}")],
            "lib.rs:2: `Result` may come from `other::*`",
        ),
        (
            "through another module",
            &[("lib.rs", "mod a { pub use other::*; } use a::*; pub fn f(_: Thing) {}")],
            "lib.rs:1: `Thing` may come from `other::*`",
        ),
        (
            "a name that depends on a condition",
            &[("lib.rs", "#[cfg(unix)] use a::T; #[cfg(windows)] use b::T; pub fn f(_: T) {}")],
            "lib.rs:1: `T` may mean one of several",
        ),
        (
            "a macro for a type",
            &[("lib.rs", "pub type A = make!();")],
            "lib.rs:1: the outline can't see what this macro makes",
        ),
        (
            "a macro for methods",
            &[("lib.rs", "pub struct S; impl S {\nmethods!(); }")],
            "lib.rs:2: the outline can't see what this makes",
        ),
        (
            "a macro in a trait",
            &[("lib.rs", "pub trait T {\nmethods!(); }")],
            "lib.rs:2: the outline can't see what this makes",
        ),
        (
            "a hidden impl",
            &[("lib.rs", "pub struct S; const _: () = { impl S { pub fn f() {} } };")],
            "lib.rs:1: the outline doesn't look into",
        ),
        (
            "an impl of an alias",
            &[("lib.rs", "pub struct S; type A = S; impl A { pub fn f() {} }")],
            "lib.rs:1: the outline doesn't follow an alias",
        ),
        (
            "a condition inside",
            &[("lib.rs", "pub fn f(#[cfg(unix)] _: u8) {}")],
            "lib.rs:1: the outline doesn't follow a condition",
        ),
        (
            "a C function",
            &[("lib.rs", "unsafe extern \"C\" { pub fn f(); }")],
            "lib.rs:1: the outline doesn't know this kind of item",
        ),
        (
            "a union",
            &[("lib.rs", "pub union U { a: u8 }")],
            "lib.rs:1: the outline doesn't know this kind of public item",
        ),
        (
            "an unknown derive",
            &[("lib.rs", "#[derive(Serialize)] pub struct S;")],
            "lib.rs:1: the outline doesn't know what derives `Serialize`",
        ),
    ];
    for (name, files, expected) in cases {
        let message = match outline(files) {
            Ok(lines) => panic!("{name}: {lines:#?}"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(&format!("/{expected}")), "{name}: {message}");
    }
}

fn outline(files: &[(&str, &str)]) -> Result<Vec<Line>, Error> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    crate_outline(&folder.path().join("lib.rs"))
}

fn crates(line: &Line) -> String {
    line.crates.iter().cloned().collect::<Vec<_>>().join(" ")
}
