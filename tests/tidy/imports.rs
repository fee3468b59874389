//! Which source file imports which, with re-exports followed to where an item is defined.
//!
//! A file and those below it in the tree of modules are one room: what passes between them is not counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, UseTree, Visibility};

/// A path of modules below the crate.
type Module = Vec<String>;

/// What is found in one file.
struct File {
    module: Module,
    /// What it names, whole, in other files.
    named: Vec<Module>,
    /// What it shows under its own name, and where that is.
    shown: BTreeMap<String, Module>,
}

/// For each module those that it imports from.
pub fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let files = files();
    let modules: BTreeMap<Module, &File> =
        files.iter().map(|file| (file.module.clone(), file)).collect();
    let of = |file: &File| {
        let homes = file.named.iter().filter_map(|path| home(path, &modules, 8));
        let apart =
            |other: &&Module| !other.starts_with(&file.module) && !file.module.starts_with(other);
        homes.filter(apart).map(|module| module.join("::")).collect()
    };
    files.iter().map(|file| (file.module.join("::"), of(file))).collect()
}

/// The module in which a path ends.
fn home<'f>(
    path: &[String],
    modules: &BTreeMap<Module, &'f File>,
    follow: usize,
) -> Option<&'f Module> {
    for count in (1..=path.len()).rev() {
        let Some(file) = modules.get(&path[..count]) else { continue };
        if let Some(shown) = path.get(count).and_then(|name| file.shown.get(name)) {
            let whole: Module = shown.iter().chain(&path[count + 1..]).cloned().collect();
            return if follow > 0 { home(&whole, modules, follow - 1) } else { None };
        }
        return Some(&file.module);
    }
    None
}

fn files() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let parsed = super::sources().into_iter().filter_map(|(path, _)| {
        let text = std::fs::read_to_string(src.parent()?.join(&path)).unwrap();
        let name = path.strip_prefix("src").ok()?.with_extension("");
        let module: Module = name.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        let is_root = module == ["lib"] || module == ["main"];
        (!is_root).then(|| (module, syn::parse_file(&text).unwrap()))
    });
    let parsed: Vec<(Module, syn::File)> = parsed.collect();
    let all: BTreeSet<Module> = parsed.iter().map(|(module, _)| module.clone()).collect();
    let scan = |(module, file): &(Module, syn::File)| {
        let mut scan = Scan { all: &all, module, named: Vec::new(), shown: BTreeMap::new() };
        scan.visit_file(file);
        File { module: module.clone(), named: scan.named, shown: scan.shown }
    };
    parsed.iter().map(scan).collect()
}

struct Scan<'a> {
    all: &'a BTreeSet<Module>,
    module: &'a Module,
    named: Vec<Module>,
    shown: BTreeMap<String, Module>,
}

impl Scan<'_> {
    /// A path as it is written, from the crate's top; nothing for one of another crate or of the file itself.
    fn whole(&self, path: &[String]) -> Option<Module> {
        let (mut base, mut rest) = (self.module.clone(), path);
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            _ => {
                base.push(path[0].clone());
                if !self.all.contains(&base) {
                    return None;
                }
                base.pop();
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    fn flatten(&self, tree: &UseTree, before: &mut Module, found: &mut Vec<(String, Module)>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.flatten(&path.tree, before, found);
                before.pop();
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.flatten(tree, before, found));
            }
            UseTree::Glob(_) => found.extend(self.whole(before).map(|it| ("*".to_owned(), it))),
            UseTree::Name(_) | UseTree::Rename(_) => {
                let (real, own) = match tree {
                    UseTree::Rename(name) => (&name.ident, &name.rename),
                    UseTree::Name(name) => (&name.ident, &name.ident),
                    _ => return,
                };
                let mut path = before.clone();
                if real != "self" {
                    path.push(real.to_string());
                }
                found.extend(self.whole(&path).map(|it| (own.to_string(), it)));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Scan<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut found = Vec::new();
        self.flatten(&item.tree, &mut Module::new(), &mut found);
        if matches!(item.vis, Visibility::Inherited) {
            self.named.extend(found.into_iter().map(|(_, path)| path));
        } else {
            self.shown.extend(found);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Module = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if parts.len() > 1 {
            self.named.extend(self.whole(&parts));
        }
        visit::visit_path(self, path);
    }
}
