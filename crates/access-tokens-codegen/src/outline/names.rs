//! What the names in a crate mean: its files read into modules, and paths followed as the compiler does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Expr, Item, ItemImpl, ItemMacro, Stmt, UseTree, Variant, Visibility, ext::IdentExt, spanned::Spanned,
};

use super::condition::{Condition, Said};
use crate::Error;

/// A crate's modules, the root first, and what they hold.
#[derive(Debug, Default)]
pub(super) struct Crate {
    pub(super) modules: Vec<Module>,
    pub(super) items: Vec<Own>,
    pub(super) impls: Vec<Impl>,
}

#[derive(Debug)]
pub(super) struct Module {
    pub(super) file: String,
    /// From the root, without `crate`.
    pub(super) path: Vec<String>,
    parent: Option<usize>,
    /// All of those around it too.
    pub(super) said: Said,
    pub(super) names: Vec<Name>,
}

#[derive(Debug)]
pub(super) struct Own {
    pub(super) module: usize,
    pub(super) name: String,
    pub(super) said: Said,
    pub(super) item: Item,
}

#[derive(Debug)]
pub(super) struct Impl {
    pub(super) module: usize,
    pub(super) said: Said,
    pub(super) item: ItemImpl,
}

/// A name in a module.
#[derive(Debug)]
pub(super) struct Name {
    /// `*` for all of a module.
    pub(super) name: String,
    pub(super) seen: Seen,
    pub(super) condition: Condition,
    pub(super) hidden: bool,
    pub(super) what: What,
}

/// By whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Everywhere,
    /// By the module and those in it.
    Within(usize),
}

#[derive(Debug)]
pub(super) enum What {
    Module(usize),
    Item(usize),
    Use(Route),
}

/// A path as written.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// It begins with `::`.
    pub(super) foreign: bool,
    pub(super) segments: Vec<String>,
    /// It ends in `*`.
    pub(super) all: bool,
    pub(super) line: usize,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Module(usize),
    Item(usize),
    /// A variant of the enum.
    Variant(usize, String),
    /// Another crate's, from the name of that crate on.
    Foreign(Vec<String>),
    /// Of the language or its prelude.
    Builtin,
}

/// On the way to what a name means, which may lead around in circles.
#[derive(Default)]
struct Trail {
    /// The imports that are being followed, as module and place in it.
    imports: Vec<(usize, usize)>,
    /// How many of them are followed to where their `*` is.
    to_all: usize,
}

impl Crate {
    pub(super) fn read(lib: &Path) -> Result<Self, Error> {
        let mut krate = Self::default();
        let code = Source::read(lib)?;
        let said = Said::by(&[]).map_err(|e| Error::source_code(lib, &e))?;
        let source = Source { file: lib, folder: lib.parent().unwrap_or(Path::new("")) };
        krate.add_module(source, Vec::new(), None, said, code.items)?;
        Ok(krate)
    }

    /// All that a path may lead to as seen from a module, each with how many of the path's segments lead to it; those left are
    /// for what is there.
    ///
    /// # Errors
    /// It can't be told, or leads nowhere.
    pub(super) fn follow(&self, from: usize, route: &Route) -> Result<Vec<(Meaning, usize)>, String> {
        self.follow_on(from, route, &mut Trail::default())
    }

    /// The one that a path means where a type, trait or constant is asked for.
    pub(super) fn follow_type(&self, from: usize, route: &Route) -> Result<(Meaning, usize), String> {
        let mut all = self.follow(from, route)?;
        if all.iter().any(|(meaning, _)| self.is_type(meaning)) {
            all.retain(|(meaning, _)| self.is_type(meaning));
        }
        match &all[..] {
            [(Meaning::Module(_), _)] => Err(format!("`{}` is a module", route.segments.join("::"))),
            // A crate's name alone is no type.
            [(Meaning::Foreign(path), _)] if path.len() == 1 => {
                Err(format!("nothing here is called `{}`", path.concat()))
            }
            [one] => Ok(one.clone()),
            _ => Err(format!("`{}` may mean one of several", route.segments.join("::"))),
        }
    }

    fn follow_on(&self, from: usize, route: &Route, trail: &mut Trail) -> Result<Vec<(Meaning, usize)>, String> {
        let Route { segments, .. } = route;
        let all = segments.len();
        let foreign = || Ok(vec![(Meaning::Foreign(segments.clone()), all)]);
        let Some(first) = segments.first().filter(|_| !route.foreign) else { return foreign() };
        let mut at = match first.as_str() {
            "crate" => vec![Meaning::Module(0)],
            "self" => vec![Meaning::Module(from)],
            "super" => vec![Meaning::Module(self.parent(from)?)],
            name => {
                trail.to_all += usize::from(route.all);
                let found = self.look_up(from, name, from, trail)?;
                trail.to_all -= usize::from(route.all);
                match found.is_empty() {
                    false => found,
                    true if is_builtin(name) => vec![Meaning::Builtin],
                    // What compiles and isn't in scope is the name of a crate.
                    true => return foreign(),
                }
            }
        };
        for (index, segment) in segments.iter().enumerate().skip(1) {
            if at.iter().filter(|meaning| self.is_type(meaning)).count() > 1 {
                return Err(format!("`{}` may mean one of several", segments.join("::")));
            }
            at = match at.into_iter().find(|meaning| self.is_type(meaning)) {
                Some(Meaning::Module(module)) if segment == "super" => vec![Meaning::Module(self.parent(module)?)],
                Some(Meaning::Module(module)) => self.look_up(module, segment, from, trail)?,
                Some(Meaning::Foreign(mut path)) => {
                    path.extend(segments.iter().skip(index).cloned());
                    return Ok(vec![(Meaning::Foreign(path), all)]);
                }
                Some(Meaning::Item(id)) if self.has_variant(id, segment) => vec![Meaning::Variant(id, segment.clone())],
                Some(other) => return Ok(vec![(other, index)]),
                None => vec![],
            };
            if at.is_empty() {
                return Err(format!("`{}` leads nowhere: there is no `{segment}`", segments.join("::")));
            }
        }
        Ok(at.into_iter().map(|meaning| (meaning, all)).collect())
    }

    /// What a name means in a module, as far as another module can see it.
    fn look_up(&self, module: usize, name: &str, from: usize, trail: &mut Trail) -> Result<Vec<Meaning>, String> {
        let mut found: Vec<Meaning> = Vec::new();
        let mut add = |meaning| {
            if !found.contains(&meaning) {
                found.push(meaning);
            }
        };
        for (at, entry) in self.names(module, name, from, trail) {
            match &entry.what {
                What::Module(id) => add(Meaning::Module(*id)),
                What::Item(id) => add(Meaning::Item(*id)),
                What::Use(route) => {
                    trail.imports.push(at);
                    self.follow_on(module, route, trail)?.into_iter().for_each(|(meaning, _)| add(meaning));
                    trail.imports.pop();
                }
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        let mut add = |meaning| {
            if !found.contains(&meaning) {
                found.push(meaning);
            }
        };
        let mut elsewhere = None;
        for (at, entry) in self.names(module, "*", from, trail) {
            let What::Use(route) = &entry.what else { continue };
            trail.imports.push(at);
            for (target, _) in self.follow_on(module, route, trail)? {
                match target {
                    Meaning::Module(id) => self.look_up(id, name, module, trail)?.into_iter().for_each(&mut add),
                    Meaning::Item(id) if self.has_variant(id, name) => add(Meaning::Variant(id, name.to_owned())),
                    Meaning::Foreign(path) if !is_std(&path) => elsewhere = Some(path.join("::")),
                    _ => {}
                }
            }
            trail.imports.pop();
        }
        match elsewhere {
            // Where one `*` leads isn't said by another.
            Some(elsewhere) if found.is_empty() && !is_primitive(name) && trail.to_all == 0 => {
                Err(format!("`{name}` may come from `{elsewhere}::*`: import it by its name"))
            }
            _ => Ok(found),
        }
    }

    /// Those of a module's names that another can see, but for imports that are being followed.
    fn names(&self, module: usize, name: &str, from: usize, trail: &Trail) -> Vec<((usize, usize), &Name)> {
        let names = self.modules.get(module).map_or(&[][..], |module| &module.names);
        let names = names.iter().enumerate().map(|(index, entry)| ((module, index), entry));
        names
            .filter(|(at, entry)| entry.name == name && self.can_see(from, entry.seen) && !trail.imports.contains(at))
            .collect()
    }

    fn can_see(&self, from: usize, seen: Seen) -> bool {
        let mut at = Some(from);
        match seen {
            Seen::Everywhere => true,
            Seen::Within(module) => loop {
                match at {
                    Some(id) if id == module => break true,
                    Some(id) => at = self.modules.get(id).and_then(|module| module.parent),
                    None => break false,
                }
            },
        }
    }

    fn parent(&self, module: usize) -> Result<usize, String> {
        self.modules.get(module).and_then(|module| module.parent).ok_or_else(|| "`super` of the root".to_owned())
    }

    /// Whether it can stand for a type or trait, or hold one.
    pub(super) fn is_type(&self, meaning: &Meaning) -> bool {
        match meaning {
            Meaning::Item(id) => !matches!(
                self.items.get(*id).map(|own| &own.item),
                Some(Item::Fn(_) | Item::Const(_) | Item::Static(_) | Item::Macro(_))
            ),
            _ => true,
        }
    }

    pub(super) fn variants(&self, id: usize) -> impl Iterator<Item = &Variant> {
        let variants = match self.items.get(id).map(|own| &own.item) {
            Some(Item::Enum(item)) => Some(&item.variants),
            _ => None,
        };
        variants.into_iter().flatten()
    }

    fn has_variant(&self, id: usize, name: &str) -> bool {
        self.variants(id).any(|variant| variant.ident == name)
    }

    /// A module's path from the root.
    pub(super) fn path(&self, module: usize) -> Vec<String> {
        self.modules.get(module).map(|module| module.path.clone()).unwrap_or_default()
    }

    pub(super) fn refused(&self, module: usize, line: usize, reason: &str) -> Error {
        let file = self.modules.get(module).map(|module| module.file.clone()).unwrap_or_default();
        Error::Source { file, line, reason: reason.to_owned() }
    }

    /// Reads a module, and the files of those in it.
    fn add_module(
        &mut self,
        source: Source<'_>,
        path: Vec<String>,
        parent: Option<usize>,
        said: Said,
        items: Vec<Item>,
    ) -> Result<usize, Error> {
        let id = self.modules.len();
        self.modules.push(Module { file: source.file.display().to_string(), path, parent, said, names: Vec::new() });
        items.into_iter().try_for_each(|item| self.add_item(source, id, item))?;
        Ok(id)
    }

    fn add_item(&mut self, source: Source<'_>, module: usize, mut item: Item) -> Result<(), Error> {
        let failed = |e: syn::Error| Error::source_code(source.file, &e);
        let refused = |what: &dyn Spanned, reason: &str| Err(failed(syn::Error::new(what.span(), reason)));
        let mut said = Said::by(attributes(&item)).map_err(failed)?;
        let file = match &item {
            Item::Mod(item) if item.content.is_none() && !said.condition.is_never() => {
                let (path, code) = source.of(&item.ident)?;
                let attributes: Vec<_> = item.attrs.iter().chain(&code.attrs).cloned().collect();
                said = Said::by(&attributes).map_err(|e| Error::source_code(&path, &e))?;
                Some((path, code.items))
            }
            _ => None,
        };
        if said.condition.is_never() {
            return Ok(());
        }
        let own = said.condition.clone();
        said.condition = self.modules.get(module).map_or(own.clone(), |around| around.said.condition.and(&own));
        let hidden = said.hidden;
        let line = item.span().start().line;
        let name = |krate: &mut Self, module: usize, name: String, seen: Seen, what: What| {
            if let Some(module) = krate.modules.get_mut(module) {
                module.names.push(Name { name, seen, condition: own.clone(), hidden, what });
            }
        };
        let mut home = module;
        let (ident, visibility) = match &mut item {
            Item::Mod(item) => {
                let path = [self.path(module), vec![item.ident.to_string()]].concat();
                let folder = source.folder.join(item.ident.unraw().to_string());
                let id = match (file, item.content.take()) {
                    (Some((file, items)), _) => {
                        let source = Source { file: &file, folder: &folder };
                        self.add_module(source, path, Some(module), said, items)?
                    }
                    (None, content) => {
                        let items = content.map(|(_, items)| items).unwrap_or_default();
                        self.add_module(Source { folder: &folder, ..source }, path, Some(module), said, items)?
                    }
                };
                let seen = self.seen(module, &item.vis);
                name(self, module, item.ident.to_string(), seen, What::Module(id));
                return Ok(());
            }
            Item::Use(item) => {
                let seen = self.seen(module, &item.vis);
                let start = Route { foreign: item.leading_colon.is_some(), segments: Vec::new(), all: false, line };
                let mut routes = Vec::new();
                imports(&item.tree, start, &mut routes);
                routes.into_iter().for_each(|(alias, route)| name(self, module, alias, seen, What::Use(route)));
                return Ok(());
            }
            Item::ExternCrate(item) => {
                let seen = self.seen(module, &item.vis);
                let alias = item.rename.as_ref().map_or(&item.ident, |(_, alias)| alias).to_string();
                let itself = item.ident == "self";
                let segments = vec![if itself { "crate".to_owned() } else { item.ident.to_string() }];
                name(self, module, alias, seen, What::Use(Route { foreign: !itself, segments, all: false, line }));
                return Ok(());
            }
            Item::Impl(_) => {
                if let Item::Impl(item) = item {
                    self.impls.push(Impl { module, said, item });
                }
                return Ok(());
            }
            Item::Macro(ItemMacro { ident: Some(ident), .. }) if said.exported => {
                home = 0;
                (ident.clone(), Visibility::Public(Default::default()))
            }
            Item::Macro(ItemMacro { ident: Some(ident), .. }) => (ident.clone(), Visibility::Inherited),
            Item::Macro(ItemMacro { mac, .. }) => {
                let name = mac.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
                let shows = mac.tokens.clone().into_iter().any(|token| token.to_string() == "pub");
                return match (name.as_str(), shows) {
                    ("compile_error", _) | ("thread_local", false) => Ok(()),
                    _ => refused(mac, "the outline can't see what this macro makes, which may be public"),
                };
            }
            Item::Const(item) if item.ident == "_" => {
                let hides = |statement: &Stmt| matches!(statement, Stmt::Item(Item::Impl(_) | Item::Macro(_)));
                return match &*item.expr {
                    Expr::Block(block) if block.block.stmts.iter().any(hides) => {
                        refused(item, "the outline doesn't look into a constant: move the impl out")
                    }
                    _ => Ok(()),
                };
            }
            Item::Const(item) => (item.ident.clone(), item.vis.clone()),
            Item::Enum(item) => (item.ident.clone(), item.vis.clone()),
            Item::Fn(item) => (item.sig.ident.clone(), item.vis.clone()),
            Item::Static(item) => (item.ident.clone(), item.vis.clone()),
            Item::Struct(item) => (item.ident.clone(), item.vis.clone()),
            Item::Trait(item) => (item.ident.clone(), item.vis.clone()),
            Item::Type(item) => (item.ident.clone(), item.vis.clone()),
            Item::Union(item) => (item.ident.clone(), item.vis.clone()),
            other => return refused(other, "the outline doesn't know this kind of item"),
        };
        let seen = self.seen(module, &visibility);
        name(self, home, ident.to_string(), seen, What::Item(self.items.len()));
        self.items.push(Own { module, name: ident.to_string(), said, item });
        Ok(())
    }

    fn seen(&self, module: usize, visibility: &Visibility) -> Seen {
        match visibility {
            Visibility::Public(_) => Seen::Everywhere,
            Visibility::Restricted(restricted) if restricted.path.is_ident("self") => Seen::Within(module),
            Visibility::Restricted(restricted) if restricted.path.is_ident("super") => {
                Seen::Within(self.parent(module).unwrap_or(module))
            }
            // Of `pub(in …)` more than is true, which matters to nothing that compiles.
            Visibility::Restricted(_) => Seen::Within(0),
            Visibility::Inherited => Seen::Within(module),
        }
    }
}

/// Where code comes from.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a Path,
    /// Where the files of its modules are.
    folder: &'a Path,
}

impl Source<'_> {
    fn read(path: &Path) -> Result<syn::File, Error> {
        let text = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        syn::parse_file(&text).map_err(|e| Error::source_code(path, &e))
    }

    /// The file of a module that is declared here.
    fn of(self, module: &syn::Ident) -> Result<(PathBuf, syn::File), Error> {
        let name = module.unraw().to_string();
        let candidates = [self.folder.join(format!("{name}.rs")), self.folder.join(&name).join("mod.rs")];
        let mut there = candidates.into_iter().filter(|path| path.is_file());
        match (there.next(), there.next()) {
            (Some(path), None) => Self::read(&path).map(|code| (path, code)),
            (found, _) => {
                let count = if found.is_some() { "two files" } else { "no file" };
                let reason = format!("module `{name}` has {count} in {}", self.folder.display());
                Err(Error::source_code(self.file, &syn::Error::new(module.span(), reason)))
            }
        }
    }
}

/// The names that a `use` brings, and where each leads.
fn imports(tree: &UseTree, mut route: Route, found: &mut Vec<(String, Route)>) {
    let mut add = |mut route: Route, name: String, alias: Option<String>| {
        // `a::{self}` is `a`.
        let last = if name == "self" && !route.segments.is_empty() { route.segments.last().cloned() } else { None };
        let bound = alias.or(last.clone()).unwrap_or_else(|| name.clone());
        if last.is_none() {
            route.segments.push(name);
        }
        found.push((bound, route));
    };
    match tree {
        UseTree::Path(path) => {
            route.segments.push(path.ident.to_string());
            imports(&path.tree, route, found);
        }
        UseTree::Name(name) => add(route, name.ident.to_string(), None),
        UseTree::Rename(name) => add(route, name.ident.to_string(), Some(name.rename.to_string())),
        UseTree::Glob(_) => found.push(("*".to_owned(), Route { all: true, ..route })),
        UseTree::Group(group) => group.items.iter().for_each(|tree| imports(tree, route.clone(), found)),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

pub(super) fn is_std(path: &[String]) -> bool {
    path.first().is_some_and(|name| ["alloc", "core", "std"].contains(&name.as_str()))
}

/// What needs no import: the language's own types, and the prelude of edition 2024.
fn is_builtin(name: &str) -> bool {
    is_primitive(name)
        || [
            "AsMut",
            "AsRef",
            "AsyncFn",
            "AsyncFnMut",
            "AsyncFnOnce",
            "Box",
            "Clone",
            "Copy",
            "Default",
            "DoubleEndedIterator",
            "Drop",
            "Eq",
            "ExactSizeIterator",
            "Extend",
            "Fn",
            "FnMut",
            "FnOnce",
            "From",
            "FromIterator",
            "Future",
            "Into",
            "IntoFuture",
            "IntoIterator",
            "Iterator",
            "Option",
            "Ord",
            "PartialEq",
            "PartialOrd",
            "Result",
            "Send",
            "Sized",
            "String",
            "Sync",
            "ToOwned",
            "ToString",
            "TryFrom",
            "TryInto",
            "Unpin",
            "Vec",
        ]
        .contains(&name)
}

fn is_primitive(name: &str) -> bool {
    [
        "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16", "u32", "u64",
        "u8", "usize",
    ]
    .contains(&name)
}
