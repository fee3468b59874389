//! `docs/errors.md`: everything that larder says on stderr, read from its sources.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprCall, ExprMethodCall, ItemConst, ItemEnum, ItemMod, ItemStruct};
use syn::{Lit, LitStr, Macro, Token};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Error,
    /// What an error of the kind "cannot read PATH" gives as its cause.
    Cause,
    Warning,
    Note,
    /// A line of `larder doctor`.
    Check,
}

#[derive(Debug)]
struct Message {
    kind: Kind,
    /// The words, with capitals for what differs.
    text: String,
    /// What helps, if it is said apart from the words.
    remedy: Option<String>,
    /// What the sources say of it.
    meaning: String,
    /// Whether the system's own words follow, with what helps against them.
    has_cause: bool,
}

/// Text that is put together as `format!` does it.
struct Template {
    text: String,
    arguments: Vec<String>,
}

impl Parse for Template {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let text: LitStr = input.parse()?;
        let rest = input.parse::<proc_macro2::TokenStream>()?.to_string();
        Ok(Self { text: text.value(), arguments: arguments(&rest) })
    }
}

/// The arguments of a call, parted at the commas that are not inside of brackets.
fn arguments(tokens: &str) -> Vec<String> {
    let (mut all, mut depth) = (vec![String::new()], 0);
    for character in tokens.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if character == ',' && depth == 0 {
            all.push(String::new());
        } else if let Some(last) = all.last_mut() {
            last.push(character);
        }
    }
    all.into_iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

/// The names of constants and their values.
type Constants = BTreeMap<String, String>;

/// A word in capitals for what an expression stands for, or a constant's value.
fn placeholder(expression: &str, constants: &Constants) -> String {
    const WRAPPERS: [&str; 12] = [
        "display", "short", "to_string", "as_str", "unwrap_or", "unwrap_or_default", "len", "name",
        "root", "line", "get", "trim",
    ];
    let expression = expression.split('=').next_back().unwrap_or_default();
    let words: Vec<&str> = expression
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let is_name = |word: &&&str| !WRAPPERS.contains(*word) && !word.starts_with(char::is_numeric);
    let named: Vec<&&str> = words.iter().filter(is_name).collect();
    if let Some(value) = named.iter().rev().find_map(|word| constants.get(**word)) {
        return value.clone();
    }
    match (named.last(), expression.contains("display")) {
        (Some(&&"self"), _) if expression.contains("name") => "COMMAND".to_owned(),
        (Some(name), _) => name.to_uppercase().replace('_', " "),
        (None, true) => "PATH".to_owned(),
        (None, false) => "…".to_owned(),
    }
}

impl Template {
    /// The text with words for its placeholders.
    fn shown(&self, constants: &Constants) -> String {
        let mut arguments = self.arguments.iter().filter(|argument| !argument.contains(" = "));
        let named = |name: &str| {
            let mut all = self.arguments.iter();
            all.find_map(|argument| argument.strip_prefix(&format!("{name} = ")))
        };
        let (mut shown, mut rest) = (String::new(), self.text.as_str());
        while let Some(start) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(start);
            shown.push_str(before);
            if from.starts_with("{{") || from.starts_with("}}") {
                shown.push_str(&from[..1]);
                rest = &from[2..];
                continue;
            }
            let end = from.find('}').expect("a placeholder ends");
            let name = from[1..end].split(':').next().unwrap_or_default();
            let expression = match name {
                "" => arguments.next().map_or("", String::as_str),
                name => named(name).unwrap_or(name),
            };
            shown.push_str(&placeholder(expression, constants));
            rest = &from[end + 1..];
        }
        shown + rest
    }
}

/// Finds what can be said in one file.
struct Scan<'a> {
    constants: &'a Constants,
    found: Vec<Message>,
}

/// What stands in `///` above something.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let lines = lines.filter_map(|attribute| match &attribute.meta.require_name_value().ok()?.value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
    };
    attributes.iter().any(is_test)
}

/// The text of an expression that is a literal, `format!`, or a closure that returns one.
fn template(expression: &Expr) -> Option<Template> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(Template { text: text.value(), arguments: Vec::new() }),
            _ => None,
        },
        Expr::Reference(inner) => template(&inner.expr),
        Expr::Paren(inner) => template(&inner.expr),
        Expr::MethodCall(call) if ["into", "to_owned"].iter().any(|it| call.method == it) => {
            template(&call.receiver)
        }
        Expr::Closure(closure) => template(&closure.body),
        Expr::Block(block) => block.block.stmts.last().and_then(|last| match last {
            syn::Stmt::Expr(expression, None) => template(expression),
            syn::Stmt::Macro(last) => last.mac.parse_body().ok(),
            _ => None,
        }),
        Expr::Macro(inner) if inner.mac.path.is_ident("format") => inner.mac.parse_body().ok(),
        _ => None,
    }
}

impl Scan<'_> {
    fn add(&mut self, kind: Kind, template: &Template, meaning: String, has_cause: bool) {
        let text = template.shown(self.constants);
        // An error in words, with its causes and what helps.
        let has_cause = has_cause || text.ends_with(": ERROR");
        self.found.push(Message { kind, text, remedy: None, meaning, has_cause });
    }

    /// An error by its attribute; what only passes another one on says nothing.
    fn error(&mut self, attributes: &[Attribute], meaning: &[Attribute], fields: &syn::Fields) {
        let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("error"));
        let Some(template) = attribute.and_then(|it| it.parse_args::<Template>().ok()) else {
            return;
        };
        let is_source = |field: &syn::Field| {
            let by_name = field.ident.as_ref().is_some_and(|name| name == "source");
            by_name || field.attrs.iter().any(|it| it.path().is_ident("source"))
        };
        let has_cause = fields.iter().any(is_source);
        self.add(Kind::Error, &template, documentation(meaning), has_cause);
    }

    fn check(&mut self, call: &ExprCall) {
        let Some(found) = call.args.get(1).and_then(template) else { return };
        let remedy = call.args.get(2);
        let remedy = remedy.and_then(template).map(|remedy| remedy.shown(self.constants));
        let text = found.shown(self.constants);
        let remedy = remedy.or_else(|| {
            // A constant.
            let Some(Expr::Path(path)) = call.args.get(2) else { return None };
            self.constants.get(&path.path.segments.last()?.ident.to_string()).cloned()
        });
        let meaning = String::new();
        self.found.push(Message { kind: Kind::Check, text, remedy, meaning, has_cause: false });
    }
}

impl<'ast> Visit<'ast> for Scan<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        for variant in &item.variants {
            self.error(&variant.attrs, &variant.attrs, &variant.fields);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.error(&item.attrs, &item.attrs, &item.fields);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        if item.path.is_ident("bail") || item.path.is_ident("anyhow") {
            if let Ok(template) = item.parse_body::<Template>() {
                self.add(Kind::Error, &template, String::new(), false);
            }
        }
        // What is inside of other macros, such as `vec!`, is not parsed by itself.
        let inner = item.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        for expression in inner.iter().flatten() {
            self.visit_expr(expression);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let kind = match call.method.to_string().as_str() {
            "context" | "with_context" => Some((Kind::Error, true)),
            "warning" => Some((Kind::Warning, false)),
            "note" => Some((Kind::Note, false)),
            _ => None,
        };
        let template = call.args.first().and_then(template);
        if let Some(((kind, has_cause), template)) = kind.zip(template) {
            self.add(kind, &template, String::new(), has_cause);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let names: Vec<String> =
                path.path.segments.iter().map(|name| name.ident.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let text = call.args.last().and_then(template);
            match (names.as_slice(), text) {
                (["Check", "warning" | "failed"], _) => self.check(call),
                (["io", "Error", "other" | "new"], Some(text)) => {
                    self.add(Kind::Cause, &text, String::new(), false);
                }
                _ => {}
            }
        }
        visit::visit_expr_call(self, call);
    }
}

/// The values of the constants that are text or numbers.
struct Values(Constants);

impl<'ast> Visit<'ast> for Values {
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        if let Expr::Lit(literal) = &*item.expr {
            let value = match &literal.lit {
                Lit::Str(text) => text.value(),
                Lit::Int(number) => number.base10_digits().to_owned(),
                _ => return,
            };
            self.0.insert(item.ident.to_string(), value);
        }
    }
}

/// The sources that are no tests, parsed, by their paths below `src/`.
fn sources() -> Vec<(String, syn::File)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let walk = walkdir::WalkDir::new(&src).sort_by_file_name().into_iter().map(Result::unwrap);
    let rust = walk.filter(|item| item.path().extension().is_some_and(|it| it == "rs"));
    let rust = rust.filter(|item| item.file_name() != "tests.rs");
    rust.map(|item| {
        let text = std::fs::read_to_string(item.path()).unwrap();
        let name = item.path().strip_prefix(&src).unwrap().to_str().unwrap();
        (name.trim_end_matches(".rs").to_owned(), syn::parse_file(&text).unwrap())
    })
    .collect()
}

/// Where a message belongs: the command by which it is said, or the room.
fn room(path: &str) -> String {
    let mut names = path.split('/');
    match (names.next().unwrap_or_default(), names.next()) {
        ("commands", Some("moving")) => "larder move".to_owned(),
        ("commands", Some("named")) => "larder pin, unpin, rm, explain".to_owned(),
        ("commands", Some("mod")) => "every command".to_owned(),
        ("commands", Some("room")) => "larder run".to_owned(),
        ("commands", Some(command)) => format!("larder {command}"),
        ("doctor", _) => "larder doctor".to_owned(),
        ("relocate", _) => "larder move".to_owned(),
        ("project" | "session" | "command" | "link", _) => "larder run".to_owned(),
        (room, _) => room.to_owned(),
    }
}

/// What the rooms are for, in words for those who do not know the sources.
const ROOMS: [(&str, &str); 30] = [
    ("larder run", "`larder run`, `verify`: before, beside and after the command"),
    ("larder verify", "`larder verify`"),
    ("larder init", "`larder init`"),
    ("larder doctor", "`larder doctor`"),
    ("larder status", "`larder status`"),
    ("larder explain", "`larder explain`"),
    ("larder pin, unpin, rm, explain", "`larder pin`, `unpin`, `rm`, `explain`: directories by their ids"),
    ("larder rm", "`larder rm`"),
    ("larder gc", "`larder gc`"),
    ("larder move", "`larder move`"),
    ("larder man", "`larder man`"),
    ("larder probe", "Inside of a sandbox"),
    ("every command", "Every command"),
    ("names", "Names of projects"),
    ("digest", "Digests and ids"),
    ("config", "`larder.toml`"),
    ("policy", "Limits and budgets"),
    ("store", "The store"),
    ("collect", "Collecting"),
    ("evict", "Deleting"),
    ("sweep", "Deleting inside of directories"),
    ("identity", "The toolchain and what else decides the bytes"),
    ("place", "The sandbox"),
    ("sources", "The sources"),
    ("tree", "Reading files"),
    ("cargo_layout", "Cargo's target directory"),
    ("caches", "Caches of Go and ccache"),
    ("mkosi", "What mkosi says"),
    ("edit", "Changing build scripts"),
    ("foreign", "Paths in other programs' configuration"),
];

fn entry(text: &mut String, message: &Message, exit_code: &str) {
    let said = message.text.split_once("; ");
    let (what, remedy) = match said {
        Some((what, remedy)) => (what, Some(remedy.to_owned())),
        None => (message.text.as_str(), None),
    };
    let remedy = message.remedy.clone().or(remedy);
    let (meaning, code) = match message.meaning.split_once(" Exit code ") {
        Some((meaning, code)) => (meaning, format!("Exit code {}", code.trim_end_matches('.'))),
        None => (message.meaning.as_str(), exit_code.to_owned()),
    };
    let shown = what.replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_");
    let _ = writeln!(text, "\n### {shown}\n");
    let meaning = if meaning.is_empty() { String::new() } else { format!("{meaning} ") };
    let kind = match message.kind {
        Kind::Error => format!("{code}."),
        Kind::Cause => "The cause of an error whose words stand before it.".to_owned(),
        Kind::Warning => "A warning: the work goes on.".to_owned(),
        Kind::Note => "For your information: nothing failed.".to_owned(),
        Kind::Check => "A line of the diagnosis.".to_owned(),
    };
    let _ = writeln!(text, "{meaning}{kind}");
    match (remedy, message.has_cause, message.kind) {
        (Some(remedy), ..) => {
            let _ = writeln!(text, "**What to do:** {remedy}.");
        }
        (None, true, _) => {
            let _ = writeln!(text, "**What to do:** what helps against [the cause](#what-the-system-says).");
        }
        (None, _, Kind::Note) => {}
        (None, ..) => {
            eprintln!("MISSING {message:?}");
        }
    }
}

/// The whole document.
pub fn document() -> String {
    let files = sources();
    let mut values = Values(Constants::from([
        ("CARGO_PKG_VERSION".to_owned(), "VERSION".to_owned()),
        ("ENTER".to_owned(), "mkosi-chroot".to_owned()),
    ]));
    files.iter().for_each(|(_, file)| values.visit_file(file));
    let mut rooms: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for (path, file) in &files {
        let mut scan = Scan { constants: &values.0, found: Vec::new() };
        scan.visit_file(file);
        rooms.entry(room(path)).or_default().append(&mut scan.found);
    }
    rooms.retain(|_, messages| !messages.is_empty());
    let mut text = include_str!("errors-head.md").to_owned();
    let _ = writeln!(text, "\n## What the system says\n");
    let _ = writeln!(text, "| The cause | What to do |\n|---|---|");
    for (errno, remedy) in larder::output::REMEDIES {
        let _ = writeln!(text, "| {} | {remedy} |", std::io::Error::from(errno));
    }
    let _ = writeln!(text, "| anything else | {} |", larder::output::OTHERWISE);
    for (room, title) in ROOMS {
        let Some(mut messages) = rooms.remove(room) else {
            panic!("nothing is said in {room}: take it out of ROOMS");
        };
        messages.sort_by(|a, b| (a.kind, &a.text).cmp(&(b.kind, &b.text)));
        messages.dedup_by(|a, b| a.text == b.text);
        let _ = writeln!(text, "\n## {title}");
        let wraps = !room.starts_with("larder ") || room == "larder run" || room == "larder verify";
        let code = match (room, wraps) {
            ("larder run" | "larder verify", _) => "Exit code 125",
            (_, true) => "Exit code 1, from `run` and `verify` 125",
            (_, false) => "Exit code 1",
        };
        messages.iter().for_each(|message| entry(&mut text, message, code));
    }
    assert!(rooms.is_empty(), "ROOMS lacks {:?}", rooms.keys().collect::<Vec<_>>());
    text
}
