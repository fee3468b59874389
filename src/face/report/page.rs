//! The page, put together.

use sha2::{Digest, Sha256};

use super::html::Html;
use super::{Data, events, sections, tables, words};
use crate::base::encoding::base64;
use crate::output;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page about a store.
pub(super) fn page(data: &Data) -> Html {
    Html::fill(TEMPLATE, |name| {
        let mut html = Html::default();
        match name {
            "security" => {
                html.text(policy());
            }
            "title" => {
                html.text(format_args!("larder: {}", data.overview.store.display()));
            }
            "style" => {
                html.raw(STYLE);
            }
            "script" => {
                html.raw(SCRIPT);
            }
            "about" => about(data, &mut html),
            "glance" => sections::glance(data, &mut html),
            "attention" => sections::attention(data, &mut html),
            "space" => sections::space(data, &mut html),
            "map" => sections::map(data, &mut html),
            "directories" => tables::directories(data, &mut html),
            "builds" => sections::builds(data, &mut html),
            "saved" => sections::saved(data, &mut html),
            "next" => tables::next(data, &mut html),
            "freed" => events::freed(data, &mut html),
            "verified" => events::verified(data, &mut html),
            "projects" => tables::projects(data, &mut html),
            _ => {
                html.raw("Made by larder ").text(data.version);
                html.raw(". <code>larder report --json</code> prints the figures of this page.");
            }
        }
        html
    })
}

fn about(data: &Data, html: &mut Html) {
    html.raw("<p class=\"about\">Store ").element("code", &[], data.overview.store.display());
    html.raw(", as of ");
    let stamp = words::stamp(data.made.0);
    html.element("time", &[("datetime", &stamp)], output::moment(data.made.0)).raw(" UTC");
    match &data.since {
        None => html.raw(". Nothing is known yet of what happened in it.</p>"),
        Some(since) => {
            html.raw("; what happened is known since ").text(words::day(since.0)).raw(".</p>")
        }
    };
}

/// What the page may do, which is nothing but to show itself: no network, and no other script or style
/// than its own, by their digests.
fn policy() -> String {
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(SCRIPT)),
        base64(&Sha256::digest(STYLE)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skeleton_names_nothing_that_would_be_loaded() {
        for text in [TEMPLATE, STYLE, SCRIPT] {
            for bad in ["http:", "https:", "//", "url(", "@import", "src=", "fetch", "style="] {
                let comments =
                    if bad == "//" { text.replace("  // ", "") } else { text.to_owned() };
                assert!(!comments.contains(bad), "{bad}");
            }
        }
    }
}
