//! `larder report`: the figures are those of `larder status` and `larder gc`, and the page is whole in a real browser.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::browser::{Browser, Server};
use crate::world::{Said, World};

const HOSTILE: &str = "</script><img src=x onerror=\"document.title='taken'\"><!-- \u{202e}";

fn json(world: &World, words: &[&str]) -> Value {
    let said = world.larder(&[words, &["--json"]].concat()).succeeds();
    serde_json::from_str(&said.stdout).unwrap()
}

/// Writes the page, and reads it.
fn page(world: &World, more: &[&str]) -> String {
    let file = world.path("report.html");
    let words = ["report", "--html", file.to_str().unwrap()];
    let said = world.larder(&[&words, more].concat()).succeeds();
    assert!(said.stdout.starts_with(file.to_str().unwrap()), "{said:#?}");
    fs::read_to_string(file).unwrap()
}

/// A store with builds that were cold, warm, changed and failed.
fn used() -> World {
    let world = World::new();
    world.build();
    world.build();
    world.write("flour/kind.txt", "oats\n");
    world.build();
    world.run(&["sh", "-c", "cargo build --offline; false"]);
    let config = "max-size = '5GiB'\nmin-free = '1KiB'\nkeep = 0\ngrace = '0'\n";
    fs::write(world.store().join("larder.toml"), config).unwrap();
    world
}

/// Adds a text that wants to be markup wherever a store keeps text.
fn poison(store: &Path, text: &str) {
    for record in records(store) {
        let mut value: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        value["summary"] = text.into();
        value["last"]["why"] = json!([text]);
        fs::write(&record, value.to_string()).unwrap();
    }
    let gone = json!([{ "project": null, "what": text, "why": text, "bytes": 5 }]);
    let line = json!({
        "at": "2026-11-01T00:00:00.000Z", "event": "collection", "by": "gc", "freed": 5,
        "gone": gone, "more": 0, "unmet": [text]
    });
    let history = store.join("history");
    let known = fs::read_to_string(&history).unwrap_or_default();
    fs::write(&history, format!("{known}{line}\n")).unwrap();
}

fn records(store: &Path) -> Vec<PathBuf> {
    let below = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|item| item.unwrap().path());
    let entries = below(store.join("projects")).filter(|path| path.is_dir()).flat_map(below);
    entries.map(|entry| entry.join("entry.json")).filter(|record| record.exists()).collect()
}

#[test]
fn what_report_and_status_both_say_is_the_same() {
    let world = used();
    let (status, report) = (json(&world, &["status"]), json(&world, &["report"]));
    let said = status.as_object().unwrap();
    assert!(said["entries"].as_array().unwrap().len() >= 2, "{status:#}");
    for (name, value) in said {
        // What is free is everybody's, and changes from call to call.
        if name == "free" {
            assert_eq!(report["free"], report["filesystem"]["free"]["bytes"]);
        } else {
            assert_eq!(report[name], *value, "{name}");
        }
    }
    assert_eq!(status["week"]["uses"], 4, "{status:#}");
    for (periods, sums) in [("weeks", "week"), ("months", "month")] {
        let last = report[periods].as_array().unwrap().last().unwrap();
        for (name, value) in status[sums].as_object().unwrap() {
            assert_eq!(last[name], *value, "{sums} {name}");
        }
    }
    let detail = json(&world, &["status", "bread", "--detail"]);
    let measured = json(&world, &["report", "--detail"]);
    let of_bread = |report: &Value| {
        let entries = report["entries"].as_array().unwrap().clone();
        entries.into_iter().filter(|entry| entry["project"] == "bread").collect::<Vec<_>>()
    };
    assert_eq!(of_bread(&measured), of_bread(&detail));
    assert!(measured["entries"][0]["detail"].is_array(), "{measured:#}");
}

#[test]
fn what_is_about_to_go_is_what_a_dry_run_says() {
    let world = used();
    let planned = json(&world, &["gc", "--dry-run"]);
    let report = json(&world, &["report"]);
    assert!(!planned["steps"].as_array().unwrap().is_empty(), "{planned:#}");
    for name in ["steps", "before", "after", "unmet", "too_small"] {
        assert_eq!(report["plan"][name], planned[name], "{name}");
    }
    assert_eq!(json(&world, &["gc", "--dry-run"])["steps"], planned["steps"], "it took something");
    world.larder(&["gc"]).succeeds();
    let report = json(&world, &["report"]);
    assert_eq!(report["plan"]["steps"], json!([]));
    let freed: u64 =
        report["freed"].as_array().unwrap().iter().map(|it| it["bytes"].as_u64().unwrap()).sum();
    let weeks = report["weeks"].as_array().unwrap();
    assert_eq!(weeks.last().unwrap()["freed"], freed);
    assert!(freed > 0 && report["last_collection"]["unmet"] == 0, "{report:#}");
}

#[test]
fn the_page_shows_the_figures_of_status() {
    let world = used();
    let page = page(&world, &["--detail"]);
    let status = json(&world, &["status"]);
    let (_, table) = page.split_once("id=\"table-directories\"").unwrap();
    let (table, _) = table.split_once("</table>").unwrap();
    let entries = status["entries"].as_array().unwrap();
    assert_eq!(table.matches("<tr>").count(), entries.len() + 1);
    for entry in entries {
        let id = entry["toolchain"].as_str().unwrap().get(..12).unwrap();
        let row = table.lines().find(|row| row.contains(id)).unwrap();
        for name in ["size", "uses"] {
            let value = format!("data-v=\"{}\"", entry["record"][name]);
            assert!(row.contains(&value), "{value} is not in {row}");
        }
    }
    let text = world.larder(&["status"]).succeeds().stdout;
    let size = text.lines().find_map(|line| Some(line.split_once(" of max-size ")?.0)).unwrap();
    assert!(page.contains(&format!("The store takes</dt><dd class=\"big\">{size}<")), "{text}");
    assert!(page.contains("4 builds, "), "{status:#}");
    // The crates of the only project that was built.
    assert!(page.contains("<td class=\"name\">flour</td>"));
}

#[test]
fn an_unused_store_and_hostile_text_are_shown() {
    let world = World::new();
    assert!(page(&world, &[]).contains("<h1>larder "));
    world.build();
    poison(&world.store(), HOSTILE);
    let page = page(&world, &[]);
    assert!(page.contains("&lt;/script&gt;&lt;img src=x onerror=&quot;"));
    assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains("<!--"));
    assert_eq!(page.matches("</script>").count(), 1);
    assert_eq!(json(&world, &["report"])["freed"][0]["why"], HOSTILE);
}

#[test]
fn a_page_that_cannot_be_written_is_refused() {
    let world = World::new();
    let file = world.path("nowhere/report.html");
    let said = world.larder(&["report", "--html", file.to_str().unwrap()]);
    said.refuses(1, &["cannot write", file.to_str().unwrap()]);
    world.larder(&["--store", "nowhere", "report"]).refuses(1, &["nowhere"]);
}

/// A store with so many directories and three months of history, and its page.
fn generated(world: &World, entries: usize) -> (PathBuf, PathBuf) {
    let (store, file) = (world.path("large"), world.path("large.html"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/report-store");
    let mut make = world.command(script);
    make.arg(env!("CARGO_BIN_EXE_larder")).arg(&store).arg(entries.to_string());
    Said::of(&make.output().unwrap()).succeeds();
    (store, file)
}

fn write(world: &World, store: &Path, file: &Path) -> u64 {
    let words = ["report", "--store", store.to_str().unwrap(), "--html", file.to_str().unwrap()];
    world.larder(&words).succeeds();
    fs::metadata(file).unwrap().len()
}

#[test]
#[ignore = "needs Debian's chromium: make report-test"]
#[expect(clippy::disallowed_macros, reason = "tests say what they measured")]
fn browser_shows_500_directories_without_a_word_or_a_request() {
    let world = World::new();
    let (store, file) = generated(&world, 500);
    let server = Server::start(&file);
    let hostile = format!("{HOSTILE}<img src={0}/img><script src={0}/script></script>", server.url);
    poison(&store, &hostile);
    let bytes = write(&world, &store, &file);
    assert!(bytes < 1_000_000, "{bytes} bytes");
    let mut browser = Browser::start(&world.path("browser"));
    browser.resize(1280);
    browser.open(&server.url);
    let times = browser.evaluate(
        "(({ responseEnd, domInteractive, loadEventEnd }) => ({ responseEnd, domInteractive, loadEventEnd }))\
         (performance.getEntriesByType('navigation')[0])",
    );
    println!("{bytes} bytes, 500 directories; milliseconds: {times}");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('#table-directories tbody tr').length"),
        500
    );
    assert_eq!(browser.evaluate("document.images.length + document.scripts.length"), 1);
    assert_ne!(browser.evaluate("document.title"), "taken");
    for width in [1280, 420] {
        browser.resize(width);
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert_eq!(wide, width, "the page is wider than the window");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.requests(), [format!("{}/", server.url)]);
    assert_eq!(server.requests(), ["GET / HTTP/1.1"]);

    // Were any of it markup, its policy would still refuse it.
    let refused = browser.evaluate("fetch('/x').then(() => 'fetched', () => 'refused')");
    assert_eq!(refused, "refused");
    browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=/y>')");
    browser.evaluate("new Promise((done) => setTimeout(done, 300)).then(() => 0)");
    assert_eq!(server.requests(), ["GET / HTTP/1.1"]);
    assert!(!browser.complaints().is_empty(), "the policy was not heard of");
}

#[test]
#[ignore = "needs Debian's chromium: make report-test"]
fn browser_can_read_sort_and_filter_the_page() {
    let world = World::new();
    let (store, file) = generated(&world, 60);
    write(&world, &store, &file);
    let server = Server::start(&file);
    let mut browser = Browser::start(&world.path("browser"));
    browser.resize(1280);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.open(&server.url);
        assert_eq!(browser.evaluate(FAINT), json!([]), "{scheme}: less contrast than 4.5");
    }
    // Each drawing has a name, and each figure stands in a table.
    let unnamed = "[...document.querySelectorAll('svg')].filter((it) => !it.ariaLabel && it.ariaHidden !== 'true').length";
    assert_eq!(browser.evaluate(unnamed), 0);
    let levels = "[...document.querySelectorAll('h1,h2')].map((it) => it.tagName).join('')";
    assert_eq!(browser.evaluate(levels), format!("H1{}", "H2".repeat(10)));
    let headless = "[...document.querySelectorAll('tbody tr')].filter((it) => !it.querySelector('th[scope=row]')).length";
    assert_eq!(browser.evaluate(headless), 0);

    let sizes = "[...document.querySelectorAll('#table-directories tbody tr:not([hidden])')].map((it) => +it.cells[1].dataset.v)";
    let sorted = |order: &str| {
        format!("JSON.stringify({sizes}) === JSON.stringify({sizes}.sort((a, b) => {order}))")
    };
    assert_eq!(browser.evaluate(&sorted("b - a")), true);
    let click = "document.querySelectorAll('#table-directories thead button')[1].click()";
    browser.evaluate(click);
    browser.evaluate(click);
    assert_eq!(browser.evaluate(&sorted("a - b")), true);
    let filter = "(() => { const it = document.querySelector('#filter'); it.value = 'PANTRY trixie'; \
                  it.dispatchEvent(new Event('input')); return document.querySelector('.filter output').textContent })()";
    let shown = browser.evaluate(filter);
    assert!(shown.as_str().unwrap().ends_with(" of 60 shown"), "{shown}");
    let wanted = "[...document.querySelectorAll('#table-directories tbody tr:not([hidden])')]\
                  .every((it) => /pantry/.test(it.textContent) && /trixie/.test(it.textContent))";
    assert_eq!(browser.evaluate(wanted), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs Debian's chromium: make report-test"]
fn browser_without_scripts_shows_the_same_text() {
    let world = World::new();
    let (store, file) = generated(&world, 12);
    write(&world, &store, &file);
    let server = Server::start(&file);
    let mut browser = Browser::start(&world.path("browser"));
    let [with, without] = [true, false].map(|allowed| {
        browser.allow_scripts(allowed);
        browser.open(&server.url);
        let text = browser.source();
        text.split_once("<main").unwrap().1.split_once("</main>").unwrap().0.to_owned()
    });
    assert!(with.contains("<button") && !without.contains("<button"));
    for part in ["table-directories", "table-projects", "class=\"plot\"", "class=\"map wide\""] {
        assert!(without.contains(part), "{part}");
    }
    assert_eq!(without.matches("<tr>").count(), with.matches("<tr>").count());
}

/// Text that has less contrast to what is behind it than WCAG 2.1 asks for (1.4.3, level AA).
const FAINT: &str = r"(() => {
  const part = (value) => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4 };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const parsed = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const contrast = (one, other) => { const [a, b] = [light(one), light(other)].sort((a, b) => b - a); return (a + 0.05) / (b + 0.05) };
  const behind = (at) => { for (; at; at = at.parentElement) { const it = parsed(getComputedStyle(at).backgroundColor); if (it.length === 3) return it } return [255, 255, 255] };
  const found = [];
  for (const at of document.querySelectorAll('body *')) {
    if (![...at.childNodes].some((it) => it.nodeType === 3 && it.data.trim()) || !at.getClientRects().length) continue;
    const style = getComputedStyle(at);
    const colour = parsed(at.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const grounds = at.closest('.map') ? [...at.closest('.map').querySelectorAll('rect[class]:not(.project)')].map((it) => parsed(getComputedStyle(it).fill)) : [behind(at)];
    for (const ground of grounds) if (contrast(colour, ground) < 4.5) found.push(at.textContent.slice(0, 40) + ' ' + colour + ' ' + ground);
  }
  return [...new Set(found)].slice(0, 5);
})()";
