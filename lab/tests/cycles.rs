//! The files of a crate don't import one another in a ring: whoever reads one has to know only
//! those that it builds on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The crates that have no ring.
const CRATES: [&str; 6] = [
    "core",
    "engine",
    "backend-linux",
    "cli",
    "lab",
    "fuzz/bodies",
];

/// The code of each module: its file without comments, and without what is there for tests.
type Modules = BTreeMap<String, String>;

fn read(dir: &Path, module: &str, modules: &mut Modules) {
    for path in fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let name = if matches!(name, "lib" | "main" | "mod") {
            module.to_owned()
        } else {
            format!("{module}::{name}")
        };
        if path.is_dir() {
            read(&path, &name, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            modules
                .entry(name)
                .or_default()
                .push_str(&without_tests(&fs::read_to_string(&path).unwrap()));
        }
    }
}

fn without_tests(source: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (mut code, mut lines) = (String::new(), source.lines());
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            // An item ends in the column where it began.
            lines.find(|other| indent(other) == indent(line) && other.ends_with(['}', ';']));
        } else {
            code.extend([line.split("//").next().unwrap(), "\n"]);
        }
    }
    code
}

/// Whether the module is declared, other than for tests.
fn is_linked(module: &str, modules: &Modules) -> bool {
    let Some((parent, name)) = module.rsplit_once("::") else {
        return true;
    };
    modules
        .get(parent)
        .is_some_and(|code| code.contains(&format!("mod {name}")))
        && is_linked(parent, modules)
}

/// The paths of a `use`: `a::{b, c::d}` has two.
fn paths(tree: &str) -> Vec<String> {
    let Some((prefix, group)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let (mut depth, mut found) = (0, Vec::new());
    let parts = group.split_inclusive(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c == ','
    });
    for part in parts {
        let part = part.trim().trim_end_matches(',');
        let part = if part.contains('{') {
            part
        } else {
            part.trim_end_matches('}')
        };
        found.extend(
            paths(part)
                .iter()
                .map(|path| format!("{}{path}", prefix.trim())),
        );
    }
    found
}

/// The imports of a module as they are written, and whether others see them through it.
fn imports(code: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let before = code[line..at].trim();
        if before.is_empty() || before.starts_with("pub") {
            let tree = code[at + 4..].split(';').next().unwrap();
            found.extend(
                paths(tree)
                    .into_iter()
                    .map(|path| (!before.is_empty(), path)),
            );
        }
    }
    found
}

/// The module that a path in `module` leads to, through all that hand the name on; `None` if that
/// is in another crate.
fn resolve(path: &str, module: &str, modules: &Modules) -> Option<String> {
    let (mut at, mut rest) = (module, path);
    while let Some((first, others)) = rest.split_once("::") {
        match first {
            "crate" => at = "crate",
            "super" => at = at.rsplit_once("::")?.0,
            "self" => {}
            _ => break,
        }
        rest = others;
    }
    let is_ours = rest.len() < path.len();
    let mut at = at.to_owned();
    loop {
        let first = rest.split("::").next()?;
        let child = format!("{at}::{first}");
        if modules.contains_key(&child) {
            (at, rest) = (child, rest.get(first.len() + 2..).unwrap_or("self"));
            continue;
        }
        let is_named = |path: &String| path.rsplit("::").next() == Some(first);
        let handed_on = imports(&modules[&at])
            .into_iter()
            .map(|(_, path)| path)
            .find(|path| is_named(path) && *path != first);
        return match handed_on {
            Some(path) if at != module || is_ours => resolve(&path, &at, modules),
            _ => (is_ours || at != module).then_some(at),
        };
    }
}

/// The modules whose names `module` uses.
fn needs(module: &str, modules: &Modules) -> BTreeSet<String> {
    let code = &modules[module];
    let uses = |name: &str| code.matches(name).count() > 1;
    let imported = imports(code);
    // A name that is only handed on is nothing that this module has to know.
    let own = imported
        .iter()
        .filter(|(is_public, path)| !is_public || uses(path.rsplit("::").next().unwrap()));
    let own = own.map(|(_, path)| path.clone());
    let is_end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    let inline = ["crate::", "super::"]
        .into_iter()
        .flat_map(|start| code.match_indices(start));
    let inline = inline.map(|(at, _)| {
        code[at..]
            .split(is_end)
            .next()
            .unwrap()
            .trim_end_matches(':')
            .to_owned()
    });
    let inline = inline.filter(|path| path.contains("::"));
    own.chain(inline)
        .filter_map(|path| resolve(&path, module, modules))
        .filter(|other| other != module)
        .collect()
}

#[test]
fn no_files_of_a_crate_import_one_another_in_a_ring() {
    for name in CRATES {
        let mut modules = Modules::new();
        read(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(name)
                .join("src"),
            "crate",
            &mut modules,
        );
        let linked: Modules = modules
            .clone()
            .into_iter()
            .filter(|(module, _)| is_linked(module, &modules))
            .collect();
        let mut graph: BTreeMap<_, _> = linked
            .keys()
            .map(|module| (module.clone(), needs(module, &linked)))
            .collect();
        assert!(
            graph.values().map(BTreeSet::len).sum::<usize>() >= graph.len() / 2,
            "{name}: imports are found"
        );
        // A module that needs none of those that are left, or that none of them needs, is in no
        // ring.
        let is_outside = |graph: &BTreeMap<String, BTreeSet<String>>, module: &String| {
            graph[module].is_empty() || !graph.values().any(|needs| needs.contains(module))
        };
        while let Some(outside) = graph
            .keys()
            .find(|module| is_outside(&graph, module))
            .cloned()
        {
            graph.remove(&outside);
            graph
                .values_mut()
                .for_each(|needs| _ = needs.remove(&outside));
        }
        assert!(graph.is_empty(), "{name}: a ring is in {graph:#?}");
    }
}
