//! The page as a whole, from data that no store has to be made for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::base::digest::Digest;
use crate::base::names::ToolchainId;
use crate::decide::policy::{Step, What, Why};
use crate::decide::remade::Remade;
use crate::face::overview::{Line, Listed};
use crate::store::history::{Collection, Collector, Gone};
use crate::store::{Closed, EntryRecord, Opened, Outcome, UseRecord};

/// 24 November 2026, about noon.
pub(super) const NOW: Duration = Duration::from_secs(1_795_522_000);

const HOSTILE: &str =
    "</script></style><img src=x onerror=alert(1)>\" onload='x' <!-- {{script}} ]]>";

pub(super) fn used(at: SystemTime, project: &str, cold: bool, seconds: f64) -> Happened {
    let event = Event::Use(UseEvent {
        anew: false,
        project: project.parse().unwrap(),
        toolchain: ToolchainId(Digest::of(project.as_bytes())),
        summary: HOSTILE.to_owned(),
        cold,
        outcome: Outcome::Succeeded,
        seconds,
        cold_seconds: Some(60.0),
        compiled: 3,
        size: 1,
        why: vec![HOSTILE.to_owned()],
    });
    Happened { at, event }
}

fn line(number: u64, projects: u64, now: SystemTime) -> Line {
    let project: ProjectName = format!("project-{}", number % projects).parse().unwrap();
    let toolchain = ToolchainId(Digest::of(&number.to_be_bytes()));
    let at = now - Duration::from_secs(number * 7919 % 90 * 86_400);
    let opened = Opened { at, boot: String::new() };
    let closed = Closed { outcome: Outcome::Succeeded, seconds: 2.0, compiled: 1, untouched: None };
    let record = EntryRecord {
        format: 1,
        project: project.clone(),
        toolchain,
        summary: format!("rustc 1.{number}.0{}", if number % 9 == 0 { HOSTILE } else { "" }),
        fidelity: crate::observe::identity::Fidelity::Exact,
        with: std::collections::BTreeSet::new(),
        created: at,
        uses: number,
        size: (number * number * 7_368_787) % (3 << 30),
        inodes: 10,
        successes: 1,
        unused: Vec::new(),
        cold_seconds: Some(60.0),
        last: Some(UseRecord {
            opened,
            cold: true,
            why: Vec::new(),
            remade: Remade::default(),
            closed: Some(closed),
        }),
        shared: None,
        throwaway: false,
        begun: None,
        loaders: std::collections::BTreeSet::new(),
        unkept: None,
        verified: None,
    };
    let entry = Listed::Known { record: Box::new(record) };
    Line {
        project,
        toolchain,
        in_use_by: None,
        pinned: false,
        saved_seconds: 3.0,
        entry,
        uses: Vec::new(),
        detail: Vec::new(),
    }
}

fn data(entries: u64, events: u64) -> Data {
    let now = UNIX_EPOCH + NOW;
    let projects = (entries / 6).max(1);
    let mut lines: Vec<Line> = (0..entries).map(|number| line(number, projects, now)).collect();
    lines.sort_by(|a, b| a.project.cmp(&b.project));
    let mut history: Vec<Happened> = (0..events)
        .map(|number| {
            let at = now - Duration::from_secs((events - number) * 90 * 86_400 / events);
            let seconds = 1.0 + words::number(number % 50);
            used(at, &format!("project-{}", number % projects), number % 20 == 0, seconds)
        })
        .collect();
    let gone =
        Gone { project: None, what: HOSTILE.to_owned(), why: HOSTILE.to_owned(), bytes: 5 << 30 };
    let collection = Collection::new(Collector::Gc, vec![gone], vec![HOSTILE.to_owned()]).unwrap();
    history.push(Happened { at: now, event: Event::Collection(collection) });
    let steps = lines.iter().step_by(3).map(|line| Step {
        what: What::Directory { project: line.project.clone(), toolchain: line.toolchain },
        why: Why::Broken { problem: HOSTILE.to_owned() },
        frees: Usage { bytes: line.size(), inodes: 1 },
    });
    let plan = Plan { steps: steps.collect(), ..Plan::default() };
    let size = lines.iter().map(Line::size).sum::<u64>() + (1 << 30);
    let overview = Overview {
        store: format!("/srv/{HOSTILE}").into(),
        size,
        downloads: 1 << 30,
        trash: 0,
        free: 10 << 30,
        disk: Disk::default(),
        max_size: None,
        week: crate::store::history::sums(&history, None, now, WEEK),
        month: crate::store::history::sums(&history, None, now, MONTH),
        foreign: Vec::new(),
        entries: lines,
    };
    Data::new(Sources {
        overview,
        policy: Policy::default(),
        plan,
        history,
        totals: Totals::default(),
        now,
    })
}

/// The page is made of the template's own elements, whatever the store says: each tag that is opened
/// is closed, and no hostile one is among them.
fn check(page: &str) {
    let body = page.split_once("</style>").unwrap().1;
    assert_eq!(body.matches("<script>").count(), 1);
    assert_eq!(body.matches("</script>").count(), 1);
    assert!(!body.contains("<img") && !body.contains("<!--") && !page.contains("http:"));
    for tag in [
        "svg", "g", "rect", "path", "table", "tr", "td", "th", "details", "figure", "text", "title",
    ] {
        let opened =
            body.matches(&format!("<{tag} ")).count() + body.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, body.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn hostile_text_stays_text_wherever_it_comes_from() {
    let page = data(12, 300).page();
    check(&page);
    assert!(page.contains("&lt;/script&gt;&lt;/style&gt;&lt;img src=x onerror=alert(1)&gt;"));
    assert!(page.contains("{{script}} ]]&gt;"), "a name in the text was filled in");
}

#[test]
fn an_empty_store_has_a_page_too() {
    let mut empty = data(0, 0);
    check(&empty.page());
    empty.overview.size = 0;
    assert!(empty.page().contains("Nothing is kept yet"));
}

#[test]
fn thousands_of_directories_fit_into_a_megabyte_and_what_is_left_out_is_said() {
    let page = data(5000, 12_000).page();
    check(&page);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    for said in
        ["4\u{202f}500 smaller directories with ", "too small to be seen are drawn together"]
    {
        assert!(page.contains(said), "{said}");
    }
}
