//! What users of a crate can name and call: followed from its root, and printed at each path that leads to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::{
    Attribute, Fields, GenericParam, Generics, ImplItem, Item, Path, PathArguments, PathSegment, ReceiverKind,
    Signature, TraitItem, Type, TypePath, Variant, WhereClause, parse_quote,
    punctuated::Punctuated,
    spanned::Spanned,
    visit_mut::{self, VisitMut},
};

use super::{
    Line,
    condition::{Condition, Said},
    names::{Crate, Impl, Meaning, Own, Route, Seen, What, is_std},
    public as is_public, text,
};
use crate::Error;

/// The lines of a crate, sorted.
pub(super) fn lines(krate: &Crate) -> Result<Vec<Line>, Error> {
    let mut public = Public { krate, paths: BTreeMap::new() };
    let mut exported = Sink::default();
    public.export(0, &[], &Condition::ALWAYS, &mut Vec::new(), &mut exported)?;
    loop {
        let mut sink = exported.clone();
        public.print(&mut sink)?;
        // What a public signature names and no public path leads to, such as a private alias, is told by where it stands.
        sink.unnamed.retain(|id| !public.paths.contains_key(id));
        if sink.unnamed.is_empty() {
            return Ok(sink.lines.into_iter().collect());
        }
        for (id, own) in sink.unnamed.iter().filter_map(|id| Some((*id, krate.items.get(*id)?))) {
            let path = [&["crate".to_owned()], &krate.path(own.module)[..], slice::from_ref(&own.name)].concat();
            public.paths.entry(id).or_default().insert((path, own.said.condition.clone()));
        }
    }
}

struct Public<'a> {
    krate: &'a Crate,
    /// Where users find each item, and on what condition.
    paths: BTreeMap<usize, BTreeSet<(Vec<String>, Condition)>>,
}

#[derive(Clone, Default)]
struct Sink {
    lines: BTreeSet<Line>,
    /// Items in signatures that have no public path.
    unnamed: BTreeSet<usize>,
}

/// By name, and whether that of a type: a type and a function may share one.
type Shown = BTreeMap<(String, bool), Vec<(Meaning, Condition)>>;

impl Public<'_> {
    /// Goes through what a module shows to everybody, at a path that leads to it. `around` are the modules it's in.
    fn export(
        &mut self,
        module: usize,
        path: &[String],
        condition: &Condition,
        around: &mut Vec<usize>,
        sink: &mut Sink,
    ) -> Result<(), Error> {
        around.push(module);
        for ((name, _), all) in self.shown(module, &mut Vec::new())? {
            for (meaning, asked) in all {
                let path = [path, slice::from_ref(&name)].concat();
                let condition = condition.and(&asked);
                match &meaning {
                    Meaning::Item(id) => {
                        let said = self.krate.items.get(*id).map(|own| &own.said);
                        let condition = said.map_or(condition.clone(), |said| condition.and(&said.condition));
                        self.paths.entry(*id).or_default().insert((path, condition));
                    }
                    Meaning::Module(id) => {
                        let said = self.krate.modules.get(*id).map(|module| &module.said);
                        let condition = said.map_or(condition.clone(), |said| condition.and(&said.condition));
                        let line = format!("pub mod {}", path.join("::"));
                        self.page(&path, *id, &condition, sink).line(&[], None, |_| line.clone())?;
                        if !around.contains(id) {
                            self.export(*id, &path, &condition, around, sink)?;
                        }
                    }
                    other => {
                        let name = path.join("::");
                        self.page(&path, module, &condition, sink)
                            .line(&[], None, |printer| format!("pub use {name} = {}", printer.spelled(other)))?;
                    }
                }
            }
        }
        around.pop();
        Ok(())
    }

    /// What each public name in a module leads to. `around` is where `*` came from, which may lead in circles.
    fn shown(&self, module: usize, around: &mut Vec<usize>) -> Result<Shown, Error> {
        let (mut shown, mut of_globs) = (Shown::new(), Shown::new());
        let names = self.krate.modules.get(module).map_or(&[][..], |module| &module.names);
        if around.contains(&module) {
            return Ok(shown);
        }
        around.push(module);
        for entry in names.iter().filter(|entry| entry.seen == Seen::Everywhere && !entry.hidden) {
            let meanings = match &entry.what {
                What::Module(id) => vec![Meaning::Module(*id)],
                What::Item(id) => vec![Meaning::Item(*id)],
                What::Use(route) => self.follow(module, route)?,
            };
            if entry.name != "*" {
                for meaning in meanings {
                    let key = (entry.name.clone(), self.krate.is_type(&meaning));
                    shown.entry(key).or_default().push((meaning, entry.condition.clone()));
                }
                continue;
            }
            for meaning in meanings {
                let brought = match meaning {
                    Meaning::Module(id) => self.shown(id, around)?,
                    Meaning::Item(id) => {
                        let variants = self.krate.variants(id).map(|variant| variant.ident.to_string());
                        let variant = |name: String| {
                            ((name.clone(), true), vec![(Meaning::Variant(id, name), Condition::ALWAYS)])
                        };
                        variants.map(variant).collect()
                    }
                    Meaning::Foreign(path) => {
                        let all = Meaning::Foreign([path, vec!["*".to_owned()]].concat());
                        Shown::from([(("*".to_owned(), true), vec![(all, Condition::ALWAYS)])])
                    }
                    Meaning::Variant(..) | Meaning::Builtin => Shown::new(),
                };
                for (key, found) in brought {
                    let found = found.into_iter().map(|(meaning, asked)| (meaning, asked.and(&entry.condition)));
                    of_globs.entry(key).or_default().extend(found);
                }
            }
        }
        around.pop();
        of_globs.retain(|key, _| key.0 == "*" || !shown.contains_key(key));
        of_globs.into_iter().for_each(|(key, found)| shown.entry(key).or_default().extend(found));
        Ok(shown)
    }

    fn follow(&self, module: usize, route: &Route) -> Result<Vec<Meaning>, Error> {
        let all = self.krate.follow(module, route).map_err(|reason| self.krate.refused(module, route.line, &reason))?;
        if all.iter().any(|(_, length)| *length < route.segments.len()) {
            let reason = format!("the outline can't follow `{}`", route.segments.join("::"));
            return Err(self.krate.refused(module, route.line, &reason));
        }
        Ok(all.into_iter().map(|(meaning, _)| meaning).collect())
    }

    fn print(&self, sink: &mut Sink) -> Result<(), Error> {
        for (id, paths) in &self.paths {
            let Some(own) = self.krate.items.get(*id) else { continue };
            for (path, condition) in paths {
                self.page(path, own.module, condition, sink).item(own, &path.join("::"))?;
            }
        }
        for found in self.krate.impls.iter().filter(|found| !found.said.hidden) {
            match &found.item.trait_ {
                Some((trait_, _)) => self.trait_impl(found, trait_, sink)?,
                None => self.inherent_impl(found, sink)?,
            }
        }
        Ok(())
    }

    fn trait_impl(&self, found: &Impl, trait_: &Path, sink: &mut Sink) -> Result<(), Error> {
        let Impl { module, said, item } = found;
        let mut header = Printer::new(self, *module, &[&item.generics]);
        header.print(trait_, Printer::visit_path_mut);
        header.print(&*item.self_ty, Printer::visit_type_mut);
        header.check()?;
        for id in &header.own {
            if !self.reaches(*id)? {
                return Ok(());
            }
        }
        // It belongs to the type, and else, where that is anybody's, to the trait.
        let place = [self.head(*module, &item.generics, &item.self_ty), self.trait_head(*module, trait_)];
        let place = place.into_iter().flatten().next().and_then(|id| self.path(id)).unwrap_or_default();
        let mut page = self.page(&place, *module, &said.condition, sink);
        let not = if item.modifiers.polarity.is_some() { "!" } else { "" };
        let header = |printer: &mut Printer<'_>| {
            let trait_ = printer.print(trait_, Printer::visit_path_mut);
            let self_ = printer.print(&*item.self_ty, Printer::visit_type_mut);
            let (generics, bounds) = printer.generics(&item.generics);
            (format!("impl{generics} {not}{trait_} for {self_}"), bounds)
        };
        page.line(&[&item.generics], Some(said), |printer| {
            let (header, bounds) = header(printer);
            header + &bounds
        })?;
        for inner in &item.items {
            match inner {
                ImplItem::Type(inner) => {
                    let said = page.said(&inner.attrs)?;
                    page.line(&[&item.generics, &inner.generics], Some(&said), |printer| {
                        let (generics, bounds) = printer.generics(&inner.generics);
                        let ty = printer.print(&inner.ty, Printer::visit_type_mut);
                        format!("{}: type {}{generics} = {ty}{bounds}", header(printer).0, inner.ident)
                    })?;
                }
                // As the trait has them.
                ImplItem::Const(_) | ImplItem::Fn(_) => {}
                other => return Err(page.refused(other, "the outline can't see what this makes, which may be public")),
            }
        }
        Ok(())
    }

    fn inherent_impl(&self, found: &Impl, sink: &mut Sink) -> Result<(), Error> {
        let Impl { module, said, item } = found;
        let refused = |reason| Err(self.krate.refused(*module, item.span().start().line, reason));
        let Some(id) = self.head(*module, &item.generics, &item.self_ty) else {
            return refused("the outline can't tell whose methods these are");
        };
        if matches!(self.krate.items.get(id).map(|own| &own.item), Some(Item::Type(_))) {
            return refused("the outline doesn't follow an alias here: name the type itself");
        }
        for (path, condition) in self.paths.get(&id).into_iter().flatten() {
            let condition = condition.and(&said.condition);
            let visible = visible(path);
            let mut page = self.page(path, *module, &condition, sink);
            // `Type<u8>` at this path; a trait object as it is.
            let of = |printer: &mut Printer<'_>| match &*item.self_ty {
                Type::Path(TypePath { path: ty, .. }) => {
                    let arguments = ty
                        .segments
                        .last()
                        .map(|segment| printer.print(&segment.arguments, Printer::visit_path_arguments_mut));
                    format!("{}{}", path.join("::"), arguments.unwrap_or_default())
                }
                other => printer.print(other, Printer::visit_type_mut),
            };
            for inner in &item.items {
                match inner {
                    ImplItem::Fn(method) if is_public(&method.vis) => {
                        let said = page.said(&method.attrs)?;
                        page.line(&[&item.generics, &method.sig.generics], Some(&said), |printer| {
                            format!(
                                "{visible}{}: {}",
                                of(printer),
                                printer.signature(&method.sig, Some(&item.generics))
                            )
                        })?;
                    }
                    ImplItem::Const(constant) if is_public(&constant.vis) => {
                        let said = page.said(&constant.attrs)?;
                        page.line(&[&item.generics], Some(&said), |printer| {
                            let ty = printer.print(&constant.ty, Printer::visit_type_mut);
                            let (_, bounds) = printer.generics(&bounded(&item.generics, &Generics::default()));
                            format!("{visible}{}: const {}: {ty}{bounds}", of(printer), constant.ident)
                        })?;
                    }
                    ImplItem::Fn(_) | ImplItem::Const(_) => {}
                    other => {
                        return Err(page.refused(other, "the outline can't see what this makes, which may be public"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The item whose type this is, as far as it is one of ours.
    fn head(&self, module: usize, generics: &Generics, ty: &Type) -> Option<usize> {
        match ty {
            Type::Path(ty) if ty.qself.is_none() => Printer::new(self, module, &[generics]).item(&ty.path),
            Type::TraitObject(object) => object.bounds.iter().find_map(|bound| match bound {
                syn::TypeParamBound::Trait(bound) => self.trait_head(module, &bound.path),
                _ => None,
            }),
            Type::Paren(inner) => self.head(module, generics, &inner.elem),
            Type::Group(inner) => self.head(module, generics, &inner.elem),
            _ => None,
        }
    }

    fn trait_head(&self, module: usize, trait_: &Path) -> Option<usize> {
        Printer::new(self, module, &[]).item(trait_)
    }

    /// Whether users can have such a type: by a path, or, of an alias, by those of all that it stands for.
    fn reaches(&self, id: usize) -> Result<bool, Error> {
        match self.krate.items.get(id) {
            _ if self.paths.contains_key(&id) => Ok(true),
            Some(Own { item: Item::Type(alias), module, .. }) => {
                let mut printer = Printer::new(self, *module, &[&alias.generics]);
                printer.print(&*alias.ty, Printer::visit_type_mut);
                printer.check()?;
                printer.own.remove(&id);
                printer.own.iter().try_fold(true, |all, id| Ok(all && self.reaches(*id)?))
            }
            _ => Ok(false),
        }
    }

    /// The shortest of the paths that lead to an item.
    fn path(&self, id: usize) -> Option<Vec<String>> {
        let paths = self.paths.get(&id)?.iter().map(|(path, _)| path);
        paths.filter(|path| path.last().is_some_and(|name| name != "_")).min_by_key(|path| path.len()).cloned()
    }

    fn page<'a>(&'a self, path: &[String], module: usize, condition: &'a Condition, sink: &'a mut Sink) -> Page<'a> {
        let around = path.split_last().map_or(&[][..], |(_, around)| around);
        let place = around.iter().filter(|name| *name != "crate").cloned().collect::<Vec<_>>().join("::");
        Page { public: self, module, place, visible: visible(path), condition, sink }
    }
}

fn visible(path: &[String]) -> &'static str {
    if path.first().is_some_and(|first| first == "crate") { "" } else { "pub " }
}

/// Lines of one place.
struct Page<'a> {
    public: &'a Public<'a>,
    /// Where it is written.
    module: usize,
    /// The public module.
    place: String,
    visible: &'static str,
    condition: &'a Condition,
    sink: &'a mut Sink,
}

impl Page<'_> {
    fn line(
        &mut self,
        generics: &[&Generics],
        said: Option<&Said>,
        write: impl Fn(&mut Printer<'_>) -> String,
    ) -> Result<(), Error> {
        let mut condition = self.condition.clone();
        let mut printer = Printer::new(self.public, self.module, generics);
        let mut text = write(&mut printer);
        if let Some(said) = said {
            condition = condition.and(&said.condition);
            if said.hidden || condition.is_never() {
                return Ok(());
            }
            for (holds, note) in [(said.non_exhaustive, ", non_exhaustive"), (said.deprecated, ", deprecated")] {
                text.push_str(if holds { note } else { "" });
            }
        }
        let condition = condition.to_string();
        if !condition.is_empty() {
            text = format!("{text} {condition}");
        }
        printer.check()?;
        self.sink.unnamed.extend(printer.own);
        self.sink.lines.insert(Line { text, module: self.place.clone(), crates: printer.crates });
        Ok(())
    }

    fn item(&mut self, own: &Own, name: &str) -> Result<(), Error> {
        let visible = self.visible;
        let said = Some(&own.said);
        match &own.item {
            Item::Struct(item) => {
                let of = format!("{visible}{name}{}", arguments(&item.generics));
                let mut notes = if matches!(item.fields, Fields::Unit) { ", unit" } else { "" };
                for (index, field) in item.fields.iter().enumerate() {
                    let said = self.said(&field.attrs)?;
                    if said.condition.is_never() {
                        continue;
                    }
                    if !is_public(&field.vis) || said.hidden {
                        notes = ", private fields";
                        continue;
                    }
                    let field_name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
                    self.line(&[&item.generics], Some(&said), |printer| {
                        format!("{of}.{field_name}: {}", printer.print(&field.ty, Printer::visit_type_mut))
                    })?;
                }
                self.line(&[&item.generics], said, |printer| {
                    let (generics, bounds) = printer.generics(&item.generics);
                    format!("{visible}struct {name}{generics}{}{bounds}{notes}", printer.derives(&own.said.derives))
                })
            }
            Item::Enum(item) => {
                let of = format!("{visible}{name}{}", arguments(&item.generics));
                for variant in &item.variants {
                    let said = self.said(&variant.attrs)?;
                    self.line(&[&item.generics], Some(&said), |printer| format!("{of}::{}", printer.variant(variant)))?;
                }
                self.line(&[&item.generics], said, |printer| {
                    let (generics, bounds) = printer.generics(&item.generics);
                    format!("{visible}enum {name}{generics}{}{bounds}", printer.derives(&own.said.derives))
                })
            }
            Item::Trait(item) => {
                let of = format!("{visible}{name}{}", arguments(&item.generics));
                for inner in &item.items {
                    self.trait_item(&of, &item.generics, inner)?;
                }
                let safety = if item.unsafety.is_some() { "unsafe " } else { "" };
                self.line(&[&item.generics], said, |printer| {
                    let (generics, bounds) = printer.generics(&item.generics);
                    let supertraits = printer.bounds(&item.supertraits);
                    format!("{visible}{safety}trait {name}{generics}{supertraits}{bounds}")
                })
            }
            Item::Fn(item) => self.line(&[&item.sig.generics], said, |printer| {
                let signature = printer.signature(&item.sig, None);
                format!("{visible}{}", signature.replacen(&format!("fn {}", item.sig.ident), &format!("fn {name}"), 1))
            }),
            Item::Type(item) => self.line(&[&item.generics], said, |printer| {
                let (generics, bounds) = printer.generics(&item.generics);
                format!(
                    "{visible}type {name}{generics} = {}{bounds}",
                    printer.print(&*item.ty, Printer::visit_type_mut)
                )
            }),
            Item::Const(item) => self.line(&[], said, |printer| {
                format!("{visible}const {name}: {}", printer.print(&*item.ty, Printer::visit_type_mut))
            }),
            Item::Static(item) => self.line(&[], said, |printer| {
                let mutable = if matches!(item.mutability, syn::StaticMutability::None) { "" } else { "mut " };
                format!("{visible}static {mutable}{name}: {}", printer.print(&*item.ty, Printer::visit_type_mut))
            }),
            Item::Macro(_) => self.line(&[], said, |_| format!("{visible}macro {name}!")),
            other => Err(self.refused(other, "the outline doesn't know this kind of public item")),
        }
    }

    fn trait_item(&mut self, of: &str, generics: &Generics, inner: &TraitItem) -> Result<(), Error> {
        // What implementors need not write.
        let provided = |provided: bool| if provided { ", provided" } else { "" };
        match inner {
            TraitItem::Fn(method) => {
                let said = self.said(&method.attrs)?;
                self.line(&[generics, &method.sig.generics], Some(&said), |printer| {
                    format!("{of}: {}{}", printer.signature(&method.sig, None), provided(method.default.is_some()))
                })
            }
            TraitItem::Const(constant) => {
                let said = self.said(&constant.attrs)?;
                self.line(&[generics], Some(&said), |printer| {
                    let ty = printer.print(&constant.ty, Printer::visit_type_mut);
                    format!("{of}: const {}: {ty}{}", constant.ident, provided(constant.default.is_some()))
                })
            }
            TraitItem::Type(ty) => {
                let said = self.said(&ty.attrs)?;
                self.line(&[generics, &ty.generics], Some(&said), |printer| {
                    let (generics, bounds) = printer.generics(&ty.generics);
                    format!("{of}: type {}{generics}{}{bounds}", ty.ident, printer.bounds(&ty.bounds))
                })
            }
            other => Err(self.refused(other, "the outline can't see what this makes, which may be public")),
        }
    }

    /// What attributes say inside of an item, where those of derives are many.
    fn said(&self, attributes: &[Attribute]) -> Result<Said, Error> {
        const READ: [&str; 5] = ["cfg", "cfg_attr", "deprecated", "doc", "non_exhaustive"];
        let read = attributes.iter().filter(|attribute| READ.iter().any(|name| attribute.path().is_ident(name)));
        Said::by(read).map_err(|e| self.public.krate.refused(self.module, e.span().start().line, &e.to_string()))
    }

    fn refused(&self, what: &impl Spanned, reason: &str) -> Error {
        self.public.krate.refused(self.module, what.span().start().line, reason)
    }
}

/// Prints signatures with names that mean the same everywhere: `Error` is the crate's own at its public path, `crate::Error` one
/// that has none, `std::fmt::Error` the library's, `::other::Error` another crate's.
struct Printer<'a> {
    public: &'a Public<'a>,
    module: usize,
    parameters: BTreeSet<String>,
    /// What has been printed names these of our items, and these crates.
    own: BTreeSet<usize>,
    crates: BTreeSet<String>,
    failed: Option<(usize, String)>,
}

/// Begins the name of another crate until all is printed: as two colons it would be taken for a path's.
const FOREIGN: &str = "__foreign_";

impl<'a> Printer<'a> {
    fn new(public: &'a Public<'a>, module: usize, generics: &[&Generics]) -> Self {
        let parameters = generics.iter().flat_map(|generics| &generics.params);
        let parameters = parameters.filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(parameter.ident.to_string()),
            GenericParam::Const(parameter) => Some(parameter.ident.to_string()),
            GenericParam::Lifetime(_) => None,
        });
        let parameters = parameters.collect();
        Self { public, module, parameters, own: BTreeSet::new(), crates: BTreeSet::new(), failed: None }
    }

    fn check(&self) -> Result<(), Error> {
        let krate = self.public.krate;
        self.failed.as_ref().map_or(Ok(()), |(line, reason)| Err(krate.refused(self.module, *line, reason)))
    }

    fn fail(&mut self, at: &impl Spanned, reason: String) {
        self.failed.get_or_insert((at.span().start().line, reason));
    }

    fn print<T: Clone + ToTokens>(&mut self, node: &T, visit: fn(&mut Self, &mut T)) -> String {
        let mut node = node.clone();
        visit(self, &mut node);
        tidy(&node)
    }

    /// `<T>`, and what follows at the end of the line.
    fn generics(&mut self, generics: &Generics) -> (String, String) {
        let mut generics = generics.clone();
        self.visit_generics_mut(&mut generics);
        let bounds = generics.where_clause.take().filter(|bounds| !bounds.predicates.is_empty());
        (tidy(&generics), bounds.map(|bounds| format!(" {}", tidy(&bounds))).unwrap_or_default())
    }

    fn bounds(&mut self, bounds: &Punctuated<syn::TypeParamBound, syn::Token![+]>) -> String {
        let bounds = bounds.iter().map(|bound| self.print(bound, Self::visit_type_param_bound_mut)).collect::<Vec<_>>();
        if bounds.is_empty() { String::new() } else { format!(": {}", bounds.join(" + ")) }
    }

    /// With what the impl around it asks for.
    fn signature(&mut self, signature: &Signature, around: Option<&Generics>) -> String {
        let mut signature = signature.clone();
        if let Some(around) = around {
            signature.generics = bounded(around, &signature.generics);
        }
        self.visit_signature_mut(&mut signature);
        tidy(&signature)
    }

    fn variant(&mut self, variant: &Variant) -> String {
        let fields = match &variant.fields {
            Fields::Unit => String::new(),
            Fields::Named(fields) => format!(" {}", self.print(fields, Self::visit_fields_named_mut)),
            Fields::Unnamed(fields) => self.print(fields, Self::visit_fields_unnamed_mut),
        };
        let value = variant.discriminant.as_ref().map(|(_, value)| format!(" = {}", tidy(value)));
        format!("{}{fields}{}", variant.ident, value.unwrap_or_default())
    }

    fn derives(&mut self, derives: &[(Condition, Path)]) -> String {
        const STD: [&str; 9] = ["Clone", "Copy", "Debug", "Default", "Eq", "Hash", "Ord", "PartialEq", "PartialOrd"];
        let mut names = BTreeSet::new();
        for (condition, path) in derives {
            let standard = path.segments.last().map(|segment| segment.ident.to_string());
            let standard = standard.filter(|name| STD.contains(&name.as_str()));
            let name = match self.public.krate.follow(self.module, &route(path, path.segments.len())).as_deref() {
                // Some are in the prelude.
                Ok([(Meaning::Builtin, _)]) => standard,
                Ok([(Meaning::Foreign(foreign), _)]) if foreign.len() == 1 || is_std(foreign) => standard,
                Ok([(foreign @ Meaning::Foreign(_), _)]) => Some(self.spelled(foreign)),
                _ => None,
            };
            match name {
                Some(name) => drop(names.insert(format!("{name}{condition}"))),
                None => self.fail(path, format!("the outline doesn't know what derives `{}`", tidy(path))),
            }
        }
        let names: Vec<_> = names.into_iter().collect();
        if names.is_empty() { String::new() } else { format!(": {}", names.join(" + ")) }
    }

    /// What it means, as it's printed; notes what it names.
    fn spelled(&mut self, meaning: &Meaning) -> String {
        self.segments(meaning).join("::").replace(FOREIGN, "::")
    }

    fn segments(&mut self, meaning: &Meaning) -> Vec<String> {
        let krate = self.public.krate;
        match meaning {
            Meaning::Item(id) => {
                self.own.insert(*id);
                self.public.path(*id).unwrap_or_else(|| {
                    let own = krate.items.get(*id);
                    let path = own.map(|own| [krate.path(own.module), vec![own.name.clone()]].concat());
                    [vec!["crate".to_owned()], path.unwrap_or_default()].concat()
                })
            }
            Meaning::Variant(id, name) => [self.segments(&Meaning::Item(*id)), vec![name.clone()]].concat(),
            Meaning::Module(id) => [vec!["crate".to_owned()], krate.path(*id)].concat(),
            Meaning::Foreign(path) => {
                let mut path = path.clone();
                self.crates.extend(path.first().cloned());
                if !is_std(&path)
                    && let Some(first) = path.first_mut()
                {
                    first.insert_str(0, FOREIGN);
                }
                path
            }
            Meaning::Builtin => Vec::new(),
        }
    }

    /// The item of ours that a path leads to.
    fn item(&self, path: &Path) -> Option<usize> {
        if self.is_parameter(path) {
            return None;
        }
        match self.public.krate.follow_type(self.module, &route(path, path.segments.len())) {
            Ok((Meaning::Item(id), _)) => Some(id),
            _ => None,
        }
    }

    fn is_parameter(&self, path: &Path) -> bool {
        let first = path.segments.first().map(|segment| segment.ident.to_string());
        path.leading_colon.is_none() && first.is_some_and(|first| first == "Self" || self.parameters.contains(&first))
    }

    /// Puts another name for the first segments of a path, and tells how many those are now.
    fn rename(&mut self, path: &mut Path, length: usize) -> usize {
        path.segments.iter_mut().for_each(|segment| self.visit_path_arguments_mut(&mut segment.arguments));
        if length == 0 || self.is_parameter(path) {
            return length;
        }
        let (meaning, used) = match self.public.krate.follow_type(self.module, &route(path, length)) {
            Ok((Meaning::Builtin, _)) => return length,
            Ok(found) => found,
            Err(reason) => {
                self.fail(path, reason);
                return length;
            }
        };
        let names = self.segments(&meaning);
        let old = std::mem::take(&mut path.segments);
        let rest = old.iter().skip(used).cloned().collect::<Vec<_>>();
        // `Enum::<T>::Variant` and the like keep what they are given.
        let arguments: Vec<_> = old.into_iter().take(used).map(|segment| segment.arguments).collect();
        let missing = names.len().saturating_sub(arguments.len());
        let surplus = arguments.len().saturating_sub(names.len());
        let arguments = std::iter::repeat_n(PathArguments::None, missing).chain(arguments.into_iter().skip(surplus));
        let named = names.iter().zip(arguments).map(|(name, arguments)| PathSegment { ident: ident(name), arguments });
        path.leading_colon = None;
        path.segments = named.chain(rest).collect();
        names.len().saturating_add(length.saturating_sub(used))
    }
}

impl VisitMut for Printer<'_> {
    fn visit_path_mut(&mut self, path: &mut Path) {
        self.rename(path, path.segments.len());
    }

    fn visit_type_path_mut(&mut self, ty: &mut TypePath) {
        match &mut ty.qself {
            None => self.visit_path_mut(&mut ty.path),
            Some(qself) => {
                self.visit_type_mut(&mut qself.ty);
                qself.position = self.rename(&mut ty.path, qself.position);
            }
        }
    }

    fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
        let conditional =
            |attribute: &&Attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr");
        if let Some(attribute) = attributes.iter().find(conditional) {
            self.fail(attribute, "the outline doesn't follow a condition inside of a signature".to_owned());
        }
        attributes.clear();
    }

    fn visit_macro_mut(&mut self, found: &mut syn::Macro) {
        self.fail(found, "the outline can't see what this macro makes".to_owned());
    }

    // Whether an argument can be changed inside is no matter of callers.
    fn visit_receiver_mut(&mut self, receiver: &mut syn::Receiver) {
        if matches!(receiver.kind, ReceiverKind::Value) {
            receiver.mutability = None;
        }
        visit_mut::visit_receiver_mut(self, receiver);
    }

    fn visit_pat_ident_mut(&mut self, pattern: &mut syn::PatIdent) {
        pattern.mutability = None;
    }
}

/// What a function asks for, and the impl around it too: the parameters of one, the bounds of both.
fn bounded(around: &Generics, own: &Generics) -> Generics {
    let mut generics = own.clone();
    let mut bounds: Vec<syn::WherePredicate> = Vec::new();
    for parameter in &around.params {
        match parameter {
            GenericParam::Type(syn::TypeParam { ident, bounds: of, .. }) if !of.is_empty() => {
                bounds.push(parse_quote!(#ident: #of));
            }
            GenericParam::Lifetime(syn::LifetimeParam { lifetime, bounds: of, .. }) if !of.is_empty() => {
                bounds.push(parse_quote!(#lifetime: #of));
            }
            _ => {}
        }
    }
    bounds.extend(around.where_clause.iter().flat_map(|clause| clause.predicates.iter().cloned()));
    if !bounds.is_empty() {
        let clause: &mut WhereClause = generics.make_where_clause();
        let own = std::mem::take(&mut clause.predicates);
        clause.predicates = bounds.into_iter().chain(own).collect();
    }
    generics
}

/// `<T, N>`.
fn arguments(generics: &Generics) -> String {
    tidy(&generics.split_for_impl().1)
}

fn route(path: &Path, length: usize) -> Route {
    let segments = path.segments.iter().take(length).map(|segment| segment.ident.to_string()).collect();
    Route { foreign: path.leading_colon.is_some(), segments, all: false, line: path.span().start().line }
}

fn ident(name: &str) -> Ident {
    match name.strip_prefix("r#") {
        Some(raw) => Ident::new_raw(raw, Span::call_site()),
        None => Ident::new(name, Span::call_site()),
    }
}

fn tidy(tokens: &impl ToTokens) -> String {
    [
        (" ;", ";"),
        ("? ", "?"),
        ("[ ", "["),
        (" ]", "]"),
        ("-><", "-> <"),
        ("=<", "= <"),
        ("* ", "*"),
        (", }", " }"),
        (FOREIGN, "::"),
    ]
    .into_iter()
    .fold(text(tokens), |text, (spaced, tight)| text.replace(spaced, tight))
    .trim_end_matches(',')
    .to_owned()
}
