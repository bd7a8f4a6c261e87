//! When an item is there, and what else its attributes say of it.

use std::{collections::BTreeSet, fmt};

use syn::{Attribute, Expr, ExprLit, Lit, Meta, MetaNameValue, Path, Token, punctuated::Punctuated, spanned::Spanned};

/// What `cfg`s ask for, in its simplest form. Tests and documentation aren't what users build: what is theirs is never there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    /// A feature by its name, anything else as it is written.
    Is(String),
    Not(Box<Self>),
    /// Of nothing: never.
    Any(BTreeSet<Self>),
    /// Of nothing: always.
    All(BTreeSet<Self>),
}

impl Condition {
    pub(super) const ALWAYS: Self = Self::All(BTreeSet::new());
    const NEVER: Self = Self::Any(BTreeSet::new());

    pub(super) fn is_never(&self) -> bool {
        *self == Self::NEVER
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        Self::all([self.clone(), other.clone()])
    }

    fn parse(meta: &Meta) -> syn::Result<Self> {
        let name = meta.path().get_ident().map(ToString::to_string).unwrap_or_default();
        let list = || metas(meta)?.iter().map(Self::parse).collect::<syn::Result<Vec<_>>>();
        Ok(match (meta, name.as_str()) {
            (Meta::Path(_), "test" | "doctest" | "doc") => Self::NEVER,
            (Meta::Path(_), name) if !name.is_empty() => Self::Is(name.to_owned()),
            (Meta::List(_), "all") => Self::all(list()?),
            (Meta::List(_), "any") => Self::any(list()?),
            (Meta::List(_), "not") => Self::all(list()?).not(),
            (Meta::NameValue(MetaNameValue { value: Expr::Lit(ExprLit { lit: Lit::Str(value), .. }), .. }), name) => {
                Self::Is(if name == "feature" { value.value() } else { format!("{name} = {:?}", value.value()) })
            }
            _ => return Err(syn::Error::new(meta.span(), "the outline can't read this condition")),
        })
    }

    fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = BTreeSet::new();
        for part in parts {
            match part {
                Self::All(inner) => all.extend(inner),
                other => all.extend([other]),
            }
        }
        // One of several, where one of those is asked for anyway.
        let asked = all.clone();
        all.retain(|part| !matches!(part, Self::Any(several) if several.iter().any(|one| asked.contains(one))));
        match (all.contains(&Self::NEVER), all.len()) {
            (true, _) => Self::NEVER,
            (false, 1) => all.pop_first().unwrap_or(Self::ALWAYS),
            _ => Self::All(all),
        }
    }

    fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut any = BTreeSet::new();
        for part in parts {
            match part {
                Self::Any(inner) => any.extend(inner),
                other => any.extend([other]),
            }
        }
        match (any.contains(&Self::ALWAYS), any.len()) {
            (true, _) => Self::ALWAYS,
            (false, 1) => any.pop_first().unwrap_or(Self::NEVER),
            _ => Self::Any(any),
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::All(all) if all.is_empty() => Self::NEVER,
            Self::Any(any) if any.is_empty() => Self::ALWAYS,
            other => Self::Not(Box::new(other)),
        }
    }
}

/// `[tower]` after a line; nothing where there's no condition.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn words(condition: &Condition) -> String {
            let list = |parts: &BTreeSet<Condition>| parts.iter().map(words).collect::<Vec<_>>().join(", ");
            match condition {
                Condition::Is(name) => name.clone(),
                Condition::Not(inner) => format!("not({})", words(inner)),
                Condition::Any(parts) => format!("any({})", list(parts)),
                Condition::All(parts) => format!("all({})", list(parts)),
            }
        }
        if *self == Self::ALWAYS { Ok(()) } else { write!(f, "[{}]", words(self)) }
    }
}

/// What the attributes of an item say that matters to its users.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) condition: Condition,
    pub(super) hidden: bool,
    pub(super) non_exhaustive: bool,
    pub(super) deprecated: bool,
    /// `#[macro_export]`.
    pub(super) exported: bool,
    pub(super) derives: Vec<(Condition, Path)>,
}

impl Said {
    /// # Errors
    /// An attribute that might change what is public, in a way that isn't known here.
    pub(super) fn by<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> syn::Result<Self> {
        let mut said = Self {
            condition: Condition::ALWAYS,
            hidden: false,
            non_exhaustive: false,
            deprecated: false,
            exported: false,
            derives: Vec::new(),
        };
        let mut unknown = None;
        for attribute in attributes {
            said.read(&attribute.meta, &Condition::ALWAYS, &mut unknown)?;
        }
        match unknown {
            // It may be there to tell the derive something, or nothing to us.
            Some(_) if !said.derives.is_empty() || said.condition.is_never() => Ok(said),
            Some(error) => Err(error),
            None => Ok(said),
        }
    }

    fn read(&mut self, meta: &Meta, when: &Condition, unknown: &mut Option<syn::Error>) -> syn::Result<()> {
        let error = |reason: &str| syn::Error::new(meta.span(), reason);
        let names: Vec<_> = meta.path().segments.iter().map(|segment| segment.ident.to_string()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let always = *when == Condition::ALWAYS;
        match names[..] {
            ["cfg_attr"] => {
                let metas = metas(meta)?;
                let mut metas = metas.iter();
                let when = metas.next().map_or(Ok(Condition::ALWAYS), Condition::parse)?.and(when);
                if !when.is_never() {
                    metas.try_for_each(|meta| self.read(meta, &when, unknown))?;
                }
            }
            ["derive"] => {
                let paths = list(meta, Punctuated::<Path, Token![,]>::parse_terminated)?;
                self.derives.extend(paths.into_iter().map(|path| (when.clone(), path)));
            }
            ["cfg"] if always => {
                for meta in metas(meta)? {
                    self.condition = self.condition.and(&Condition::parse(&meta)?);
                }
            }
            ["doc"] if always => {
                self.hidden |= matches!(meta, Meta::List(list) if list.tokens.to_string() == "hidden");
            }
            ["doc"] if !matches!(meta, Meta::List(list) if list.tokens.to_string() == "hidden") => {}
            ["non_exhaustive"] if always => self.non_exhaustive = true,
            ["deprecated"] if always => self.deprecated = true,
            ["macro_export"] if always => self.exported = true,
            ["cfg" | "doc" | "non_exhaustive" | "deprecated" | "macro_export"] => {
                return Err(error("the outline doesn't follow this attribute in a cfg_attr"));
            }
            ["path"] => return Err(error("the outline doesn't follow #[path]: put the file where its module belongs")),
            [
                "allow" | "automatically_derived" | "cold" | "default" | "deny" | "expect" | "forbid" | "inline"
                | "macro_use" | "must_use" | "no_std" | "recursion_limit" | "repr" | "test" | "track_caller" | "warn",
            ]
            | ["clippy" | "diagnostic" | "rustfmt", ..]
            // It only boxes the futures of a trait's functions.
            | [.., "async_trait"] => {}
            _ => {
                *unknown = Some(error(
                    "the outline doesn't know what this attribute makes of its item: if nothing public, say so in outline/condition.rs",
                ));
            }
        }
        Ok(())
    }
}

fn metas(meta: &Meta) -> syn::Result<Punctuated<Meta, Token![,]>> {
    list(meta, Punctuated::parse_terminated)
}

fn list<T>(meta: &Meta, parser: fn(syn::parse::ParseStream<'_>) -> syn::Result<T>) -> syn::Result<T> {
    meta.require_list()?.parse_args_with(parser)
}
