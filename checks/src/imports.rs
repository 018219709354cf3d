//! Which files of a crate import each other.
//!
//! The rule. A file *imports* another one of its crate if its code uses a name that is defined
//! there: by a private `use`, by a path such as `crate::a::Item`, `super::Item`, `child::Item`, or
//! through a name that a `use` has brought in. Re-exports are followed to the file with the
//! definition. Not an import is
//!
//! - `mod child;`, which only says where the file stands,
//! - a re-export, `pub use child::Item` or `pub(crate) use`, as long as the file does not use the
//!   name itself,
//! - a `use` of a module, without a name in it that is used,
//! - anything under `#[cfg(test)]`, in documentation, or in attributes.
//!
//! So a directory's `mod.rs` may declare and re-export its children, which may use what `mod.rs`
//! defines; but then `mod.rs` may not use what the children define. No set of files may be a cycle:
//! it could only be read as a whole.
//!
//! What the rule does not see: names that a macro makes, and methods, which have no path.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Ident, Item, ItemMod, ItemUse, Macro, Meta, UseTree, Visibility,
    visit::{self, Visit},
};

/// Files that import each other, directly or through each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The files, sorted.
    pub files: Vec<PathBuf>,
    /// The imports among them: the file, the file it imports, and the paths by which it does.
    pub imports: Vec<(PathBuf, PathBuf, Vec<String>)>,
}

/// A crate's files, and the imports among them.
pub struct Crate {
    modules: Vec<Module>,
    /// Where each macro of the crate is defined: macros are also known without a path.
    macros: HashMap<String, PathBuf>,
}

/// A module: a file, or a part of one.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Its number in [`Crate::modules`]; the root's is its own.
    parent: usize,
    children: HashMap<String, usize>,
    /// What it defines itself.
    items: HashMap<String, PathBuf>,
    /// The names that its `use` declarations bring in, and the paths they stand for.
    names: HashMap<String, Vec<String>>,
    /// The modules of which it brings in all names.
    globs: Vec<Vec<String>>,
    /// Paths in its code and in its private `use` declarations.
    paths: BTreeSet<Vec<String>>,
}

/// What a path leads to.
enum Target {
    Module(usize),
    Item(PathBuf),
}

impl Crate {
    /// Reads the crate of the root file `root`. `read` returns the text of a file, or `None` if
    /// there is none.
    ///
    /// # Errors
    ///
    /// If a file is missing or is not Rust.
    pub fn read(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Result<Crate, String> {
        let mut all = Crate { modules: Vec::new(), macros: HashMap::new() };
        let directory = root.parent().unwrap_or(Path::new("")).to_owned();
        all.load_file(root, &directory, 0, read)?;
        Ok(all)
    }

    /// All files of the crate.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.modules.iter().map(|module| module.file.clone()).collect()
    }

    /// Adds the module in `file`, whose children are in `directory`.
    fn load_file(
        &mut self,
        file: &Path,
        directory: &Path,
        parent: usize,
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> Result<usize, String> {
        let text = read(file).ok_or_else(|| format!("{}: no such file", file.display()))?;
        let parsed =
            syn::parse_file(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        self.load(parsed.items, file, directory, parent, read)
    }

    fn load(
        &mut self,
        items: Vec<Item>,
        file: &Path,
        directory: &Path,
        parent: usize,
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> Result<usize, String> {
        let number = self.modules.len();
        self.modules.push(Module { file: file.into(), parent, ..Module::default() });
        let mut module = Collector::default();
        for item in &items {
            let Item::Mod(child) = item else {
                module.visit_item(item);
                continue;
            };
            if is_for_tests(&child.attrs) {
                continue;
            }
            let name = name_of(&child.ident);
            let inside = directory.join(&name);
            let child = match &child.content {
                Some((_, items)) => self.load(items.clone(), file, &inside, number, read)?,
                None => {
                    let (file, directory) = place(child, file, directory, read);
                    self.load_file(&file, &directory, number, read)?
                }
            };
            self.modules[number].children.insert(name, child);
        }
        for (name, exported) in module.macros {
            self.macros.insert(name.clone(), file.into());
            if exported {
                self.modules[0].items.insert(name.clone(), file.into());
            }
            module.items.insert(name);
        }
        let this = &mut self.modules[number];
        this.items.extend(module.items.into_iter().map(|name| (name, file.into())));
        (this.names, this.globs, this.paths) = (module.names, module.globs, module.paths);
        Ok(number)
    }

    /// What `path` leads to as seen in a module; `None` if that is outside of the crate. `depth`
    /// ends the search where names stand for each other.
    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        if depth == 0 {
            return None;
        }
        match first.as_str() {
            "crate" => self.walk(0, rest, depth),
            "self" => self.walk(module, rest, depth),
            "super" => {
                let parent = self.modules[module].parent;
                match rest.first().map(String::as_str) {
                    Some("super") => self.resolve(parent, rest, depth),
                    _ => self.walk(parent, rest, depth),
                }
            }
            _ => self.walk(module, path, depth),
        }
    }

    /// The same for a path that begins in a module.
    fn walk(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let Some((first, rest)) = path.split_first() else { return Some(Target::Module(module)) };
        let this = &self.modules[module];
        if let Some(child) = this.children.get(first) {
            return self.walk(*child, rest, depth);
        }
        if let Some(file) = this.items.get(first) {
            return Some(Target::Item(file.clone()));
        }
        if let Some(stands_for) = this.names.get(first) {
            // `use name;` or `use name::…` of another crate leads to itself.
            let whole = [stands_for, rest].concat();
            return self.resolve(module, &whole, depth - 1);
        }
        let inside = |glob: &Vec<String>| match self.resolve(module, glob, depth - 1) {
            Some(Target::Module(other)) if other != module => self.walk(other, path, depth - 1),
            _ => None,
        };
        this.globs.iter().find_map(inside)
    }

    /// For each file, the files that it imports, and by which paths.
    pub fn imports(&self) -> BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>> {
        let mut found: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
        for (number, module) in self.modules.iter().enumerate() {
            for path in &module.paths {
                let is_macro = path.last().is_some_and(|name| name.ends_with('!'));
                let path: Vec<String> =
                    path.iter().map(|name| name.trim_end_matches('!').into()).collect();
                let file = match self.resolve(number, &path, 16) {
                    Some(Target::Item(file)) => file,
                    None if is_macro && path.len() == 1 => match self.macros.get(&path[0]) {
                        Some(file) => file.clone(),
                        None => continue,
                    },
                    _ => continue,
                };
                if file != module.file {
                    let imports = found.entry(module.file.clone()).or_default();
                    imports.entry(file).or_default().insert(path.join("::"));
                }
            }
        }
        found
    }

    /// All cycles: sets of files, each of which reaches all others of its set by imports.
    pub fn cycles(&self) -> Vec<Cycle> {
        let imports = self.imports();
        let reached = |from: &PathBuf| {
            let (mut found, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(file) = open.pop() {
                for next in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
                    if found.insert(next.clone()) {
                        open.push(next);
                    }
                }
            }
            found
        };
        let reached: BTreeMap<&PathBuf, BTreeSet<PathBuf>> =
            imports.keys().map(|file| (file, reached(file))).collect();
        let reaches =
            |from: &PathBuf, to: &PathBuf| reached.get(from).is_some_and(|r| r.contains(to));
        let mut sets = BTreeSet::new();
        for file in imports.keys().filter(|file| reaches(file, file)) {
            let both = imports.keys().filter(|other| reaches(file, other) && reaches(other, file));
            sets.insert(both.cloned().collect::<Vec<_>>());
        }
        let cycle = |files: Vec<PathBuf>| {
            let among = files.iter().flat_map(|from| {
                let imports = imports[from].iter().filter(|(to, _)| files.contains(to));
                imports.map(|(to, by)| (from.clone(), to.clone(), by.iter().cloned().collect()))
            });
            Cycle { imports: among.collect(), files }
        };
        sets.into_iter().map(cycle).collect()
    }
}

/// The file of the module that `child` declares, and the directory of its children.
fn place(
    child: &ItemMod,
    file: &Path,
    directory: &Path,
    read: &dyn Fn(&Path) -> Option<String>,
) -> (PathBuf, PathBuf) {
    let path = child.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    if let Some(path) = path {
        let file = file.parent().unwrap_or(Path::new("")).join(path);
        let directory = file.parent().unwrap_or(Path::new("")).to_owned();
        return (file, directory);
    }
    let inside = directory.join(name_of(&child.ident));
    let in_directory = inside.join("mod.rs");
    if read(&in_directory).is_some() {
        (in_directory, inside)
    } else {
        (inside.with_extension("rs"), inside)
    }
}

fn name_of(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// Whether the attributes say `#[cfg(test)]`, or that and something else.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let mut words = Vec::new();
            idents(list.tokens.clone(), &mut words);
            words.iter().any(|word| word == "test")
                && !words.iter().any(|word| word == "not" || word == "any")
        }
        _ => false,
    })
}

fn idents(tokens: TokenStream, found: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => found.push(ident.to_string()),
            TokenTree::Group(group) => idents(group.stream(), found),
            _ => {}
        }
    }
}

/// Collects what a module defines and uses, without its children.
#[derive(Default)]
struct Collector {
    items: BTreeSet<String>,
    /// The macros it defines, and whether they are exported.
    macros: Vec<(String, bool)>,
    names: HashMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    paths: BTreeSet<Vec<String>>,
}

impl Collector {
    fn add_use(&mut self, tree: &UseTree, mut path: Vec<String>, is_private: bool) {
        match tree {
            UseTree::Path(part) => {
                path.push(name_of(&part.ident));
                self.add_use(&part.tree, path, is_private);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, path.clone(), is_private);
                }
            }
            UseTree::Glob(_) => self.globs.push(path),
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(name) = path.last().cloned() {
                    self.names.insert(name, path);
                }
            }
            UseTree::Name(name) => self.add_name(&name.ident, &name.ident, path, is_private),
            UseTree::Rename(name) if name.ident == "self" => {
                self.names.insert(name_of(&name.rename), path);
            }
            UseTree::Rename(name) => self.add_name(&name.ident, &name.rename, path, is_private),
        }
    }

    fn add_name(&mut self, name: &Ident, here: &Ident, mut path: Vec<String>, is_private: bool) {
        path.push(name_of(name));
        if is_private {
            self.paths.insert(path.clone());
        }
        if path.len() > 1 || name != here {
            self.names.insert(name_of(here), path);
        }
    }

    /// Collects the paths in the tokens of a macro.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut after_dot = false;
        for token in tokens {
            let word = match &token {
                TokenTree::Ident(ident) => Some(name_of(ident)),
                _ => None,
            };
            match word {
                Some(word) if colons == 2 || path.is_empty() && !after_dot => path.push(word),
                Some(word) => {
                    self.add_path(&mut path);
                    path.extend((!after_dot).then_some(word));
                }
                None => {
                    let punct = match &token {
                        TokenTree::Punct(punct) => Some(punct.as_char()),
                        _ => None,
                    };
                    if punct == Some(':') && !path.is_empty() && colons < 2 {
                        colons += 1;
                        continue;
                    }
                    if punct == Some('!')
                        && colons == 0
                        && let Some(last) = path.last_mut()
                    {
                        last.push('!');
                    }
                    self.add_path(&mut path);
                    if let TokenTree::Group(group) = token {
                        self.add_tokens(group.stream());
                    }
                    after_dot = punct == Some('.');
                    colons = 0;
                    continue;
                }
            }
            (colons, after_dot) = (0, false);
        }
        self.add_path(&mut path);
    }

    fn add_path(&mut self, path: &mut Vec<String>) {
        if !path.is_empty() {
            self.paths.insert(std::mem::take(path));
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name): (&[Attribute], Option<&Ident>) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Impl(item) => (&item.attrs, None),
            Item::Macro(item) => (&item.attrs, None),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Union(item) => (&item.attrs, Some(&item.ident)),
            Item::Use(item) => (&item.attrs, None),
            _ => (&[], None),
        };
        if is_for_tests(attributes) {
            return;
        }
        self.items.extend(name.map(name_of));
        if let Item::Macro(item) = item
            && let Some(name) = &item.ident
        {
            let exported = attributes.iter().any(|one| one.path().is_ident("macro_export"));
            self.macros.push((name_of(name), exported));
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_private = matches!(item.vis, Visibility::Inherited);
        self.add_use(&item.tree, Vec::new(), is_private);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.insert(path.segments.iter().map(|part| name_of(&part.ident)).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, one: &'ast Macro) {
        let mut path: Vec<_> = one.path.segments.iter().map(|part| name_of(&part.ident)).collect();
        if let Some(last) = path.last_mut() {
            last.push('!');
        }
        self.paths.insert(path);
        self.add_tokens(one.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cycles of a crate of these files, by the names of their files.
    fn cycles(files: &[(&str, &str)]) -> Vec<String> {
        let read = |path: &Path| {
            let text = files.iter().find(|(name, _)| Path::new(name) == path);
            text.map(|(_, text)| (*text).to_owned())
        };
        let one = Crate::read(Path::new("lib.rs"), &read).unwrap();
        assert_eq!(one.files().len(), files.len());
        let names = |cycle: Cycle| {
            let names = cycle.files.iter().map(|file| file.display().to_string());
            names.collect::<Vec<_>>().join(" ")
        };
        one.cycles().into_iter().map(names).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn two_files_that_use_each_other_are_a_cycle() {
        let root = ("lib.rs", "mod a; mod b;");
        let b = ("b.rs", "use crate::a::A; pub struct B(A);");
        for a in [
            "use crate::b::B; pub struct A;",
            "pub struct A; fn f() -> crate::b::B { todo!() }",
            "pub struct A; fn f() { super::b::B::new(); }",
            "use super::b; pub struct A; fn f() { b::B::new(); }",
            "use crate::b as other; pub struct A; fn f() { other::B::new(); }",
            "use crate::b::{self}; pub struct A; impl From<b::B> for A {}",
            "use crate::b::*; pub struct A; fn f(_: B) {}",
            "pub struct A; fn f() { println!(\"{}\", crate::b::B.number()); }",
            "pub struct A; macro_rules! m { () => { $crate::b::B } }",
            "pub struct A; fn f() { use crate::b::B; }",
            "pub struct A; mod inner { use super::super::b::B; }",
        ] {
            assert_eq!(cycles(&[root, ("a.rs", a), b]), ["a.rs b.rs"], "{a}");
        }
        for a in [
            "pub struct A;",
            "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
            "pub struct A; #[cfg(test)] fn f() -> crate::b::B { todo!() }",
            "/// [`B`](crate::b::B)\npub struct A;",
            "pub use crate::b::B; pub struct A;",
            "use crate::b; pub struct A;",
            "pub struct A { b: u32 } fn f(a: A) { println!(\"{}\", a.b); }",
            "use std::b::B; pub struct A;",
        ] {
            assert_eq!(cycles(&[root, ("a.rs", a), b]), NONE, "{a}");
        }
    }

    #[test]
    fn a_parent_may_declare_and_re_export_what_uses_it() {
        let child = ("child.rs", "use super::Parent; pub struct Child(Parent);");
        for (root, expected) in [
            ("mod child; pub use child::Child; pub struct Parent;", None),
            ("mod child; pub(crate) use child::Child; pub struct Parent;", None),
            ("mod child; use child::Child; pub struct Parent;", Some("child.rs lib.rs")),
            ("mod child; pub struct Parent; fn f(_: child::Child) {}", Some("child.rs lib.rs")),
            (
                "mod child; pub use child::Child; pub struct Parent; fn f(_: Child) {}",
                Some("child.rs lib.rs"),
            ),
        ] {
            let found = cycles(&[("lib.rs", root), child]);
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{root}");
        }
    }

    #[test]
    fn re_exports_lead_to_the_definition() {
        let files = [
            ("lib.rs", "mod facade; mod other;"),
            ("facade/mod.rs", "mod inner; pub use inner::Item;"),
            ("facade/inner.rs", "pub struct Item(crate::other::Other);"),
            ("other.rs", "use crate::facade::Item; pub struct Other;"),
        ];
        assert_eq!(cycles(&files), ["facade/inner.rs other.rs"]);
    }

    #[test]
    fn a_cycle_of_three_is_one() {
        let files = [
            ("lib.rs", "mod a; mod b; #[path = \"elsewhere.rs\"] mod c; mod free;"),
            ("a.rs", "pub fn a() { crate::b::b() }"),
            ("b.rs", "pub fn b() { crate::c::c() }"),
            ("elsewhere.rs", "pub fn c() { crate::a::a() }"),
            ("free.rs", "pub fn free() { crate::a::a() }"),
        ];
        assert_eq!(cycles(&files), ["a.rs b.rs elsewhere.rs"]);
    }

    #[test]
    fn macros_are_known_without_a_path() {
        let files = [
            ("lib.rs", "#[macro_use] mod a; mod b;"),
            ("a.rs", "macro_rules! m { () => {} } fn f() { crate::b::f() }"),
            ("b.rs", "pub fn f() { m!() }"),
        ];
        assert_eq!(cycles(&files), ["a.rs b.rs"]);
    }
}
