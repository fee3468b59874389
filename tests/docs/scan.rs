//! What larder can say on stderr, read from its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprCall, ExprMethodCall, ItemConst, ItemEnum, ItemFn, ItemMod};
use syn::{ItemStruct, Lit, LitStr, Macro, ReturnType, Token, Visibility};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Error,
    /// What an error such as "cannot read PATH" gives as its cause.
    Cause,
    Warning,
    /// Why a directory is not used.
    Unusable,
    /// Why something is not collected.
    Stays,
    Note,
    /// A line of `larder doctor`.
    Check,
}

#[derive(Debug)]
pub struct Message {
    pub kind: Kind,
    /// The words, with capitals for what differs.
    pub text: String,
    /// What helps, if it is said apart from the words.
    pub remedy: Option<String>,
    /// What the sources say of it.
    pub meaning: String,
    /// Whether another error follows, with what helps against it.
    pub has_cause: bool,
}

/// What one room can say.
#[derive(Debug, Default)]
pub struct Said {
    pub messages: Vec<Message>,
    /// What it is that cannot be done, in "cannot VERB PATH".
    pub verbs: BTreeSet<String>,
}

impl Said {
    /// Where there is only one thing that a file cannot do, its error is known by that.
    fn with_its_only_verb(mut self) -> Self {
        let only = self.verbs.first().filter(|_| self.verbs.len() == 1).cloned();
        let is_refusal = |message: &&mut Message| message.text == "cannot VERB PATH";
        if let Some((verb, message)) = only.zip(self.messages.iter_mut().find(is_refusal)) {
            message.text = format!("cannot {verb} PATH");
        }
        self
    }
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
    let compact: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut names, mut rest) = (Vec::new(), compact.as_str());
    while let Some(start) = rest.find(is_word) {
        let from = &rest[start..];
        let end = from.find(|c: char| !is_word(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        // What is called is not what is shown.
        if !after.starts_with(['(', ':', '!']) && !word.starts_with(|c: char| c.is_ascii_digit()) {
            names.push(word);
        }
        rest = after;
    }
    if let Some(value) = names.iter().rev().find_map(|name| constants.get(*name)) {
        return value.clone();
    }
    match (names.last(), compact.contains("display")) {
        (Some(&"self"), _) if compact.contains("name") => "COMMAND".to_owned(),
        (Some(name), _) => name.to_uppercase().replace('_', "-"),
        (None, true) => "PATH".to_owned(),
        (None, false) => "…".to_owned(),
    }
}

impl Template {
    /// The text with words for its placeholders.
    fn shown(&self, constants: &Constants) -> String {
        let mut arguments = self.arguments.iter().filter(|argument| !argument.contains(" = "));
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
                name => name,
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
    said: Said,
}

/// What stands in `///` above something.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let lines =
        lines.filter_map(|attribute| match &attribute.meta.require_name_value().ok()?.value {
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

/// What `PathError` says.
const REFUSAL: &str = "cannot {verb} {path}";

/// Looks for a name in a type.
struct Named<'a> {
    name: &'a str,
    is_found: bool,
}

impl<'ast> Visit<'ast> for Named<'_> {
    fn visit_ident(&mut self, ident: &'ast proc_macro2::Ident) {
        self.is_found |= ident == self.name;
    }
}

/// Whether a type is, or holds, one of a name.
fn names(within: &syn::Type, name: &str) -> bool {
    let mut named = Named { name, is_found: false };
    named.visit_type(within);
    named.is_found
}

impl Scan<'_> {
    fn add(&mut self, kind: Kind, template: &Template, meaning: String, has_cause: bool) {
        let text = template.shown(self.constants);
        // An error in words, with its causes and what helps.
        let has_cause = has_cause || [": ERROR", ": …"].iter().any(|end| text.ends_with(end));
        self.said.messages.push(Message { kind, text, remedy: None, meaning, has_cause });
    }

    /// An error by its attribute; what only passes another one on says nothing, but for a refusal by the system,
    /// which each room says of what it does itself.
    fn error(&mut self, attributes: &[Attribute], meaning: &[Attribute], fields: &syn::Fields) {
        if fields.iter().any(|field| names(&field.ty, "PathError")) {
            self.refusal(documentation(meaning));
        }
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

    fn refusal(&mut self, meaning: String) {
        let template = Template { text: REFUSAL.to_owned(), arguments: Vec::new() };
        self.add(Kind::Error, &template, meaning, true);
    }

    fn verb(&mut self, expression: Option<&Expr>) {
        self.said.verbs.extend(expression.and_then(template).map(|template| template.text));
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
        let message = Message { kind: Kind::Check, text, remedy, meaning, has_cause: false };
        self.said.messages.push(message);
    }
}

impl<'ast> Visit<'ast> for Scan<'_> {
    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if matches!(&field.member, syn::Member::Named(name) if name == "verb") {
            self.verb(Some(&field.expr));
        }
        visit::visit_field_value(self, field);
    }

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

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let is_seen = matches!(item.vis, Visibility::Restricted(_));
        if let (true, ReturnType::Type(_, output)) = (is_seen, &item.sig.output) {
            if names(output, "PathError") {
                self.refusal("The system refused.".to_owned());
            }
        }
        visit::visit_item_fn(self, item);
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
        if call.method == "at" && call.args.len() == 2 {
            self.verb(call.args.first());
        }
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
                (["Err"], Some(text)) => self.add(Kind::Unusable, &text, String::new(), false),
                (["stays"], Some(text)) => self.add(Kind::Stays, &text, String::new(), false),
                (["PathError", "new"], _) => self.verb(call.args.first()),
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

/// What each file can say, by its path below `src/`.
pub fn scan() -> Vec<(String, Said)> {
    let mut files = sources();
    // What it says is said by the rooms that say what they do.
    files.retain(|(path, _)| path != "base/path_error");
    let mut values = Values(Constants::from([
        ("CARGO_PKG_VERSION".to_owned(), "VERSION".to_owned()),
        ("ENTER".to_owned(), "mkosi-chroot".to_owned()),
    ]));
    for (_, file) in &files {
        values.visit_file(file);
    }
    let said = files.into_iter().map(|(path, file)| {
        let mut scan = Scan { constants: &values.0, said: Said::default() };
        scan.visit_file(&file);
        (path, scan.said.with_its_only_verb())
    });
    said.collect()
}
