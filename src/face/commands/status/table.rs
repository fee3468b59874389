//! The table that people read.

use rayon::prelude::*;

use super::Status;
use crate::face::overview::{Line, Listed};
use crate::output::{self, Column, Screen};

const COLUMNS: [Column; 11] = [
    Column::new("PROJECT", 0),
    Column::new("ID", 7),
    Column::cut("TOOLCHAIN", 0, (26, 12)),
    Column::new("SIZE", 0),
    Column::new("BUDGET", 5),
    Column::new("LAST USE", 1),
    Column::new("USES", 6),
    Column::new("TOOK", 2),
    Column::new("COLD", 3),
    Column::new("SAVED", 4),
    Column::cut("STATE", 0, (24, 8)),
];

/// Characters of a full bar.
const BAR: usize = 8;

/// The directories, a line each.
pub(super) fn table(status: &Status, screen: Screen) -> String {
    let has_budget = status.overview.max_size.is_some();
    let columns = COLUMNS.into_iter().filter(|column| has_budget || column.name != "BUDGET");
    let columns: Vec<Column> = columns.collect();
    let rows =
        status.overview.entries.par_iter().map(|line| cells(line, status, columns.len())).collect();
    output::fitted(&columns, rows, screen)
}

fn cells(line: &Line, status: &Status, columns: usize) -> Vec<String> {
    let record = match &line.entry {
        Listed::Known { record } => record,
        Listed::Damaged { damaged } => {
            let mut cells = vec![line.project.to_string(), line.toolchain.short()];
            cells.resize(columns - 1, "-".to_owned());
            cells.push(format!("{damaged}; the next run begins anew"));
            return cells;
        }
    };
    let closed = record.last.as_ref().and_then(|last| last.closed.as_ref());
    let or_none = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), output::seconds);
    let mut cells = vec![
        line.project.to_string(),
        line.toolchain.short(),
        record.summary.clone(),
        output::size(record.size),
    ];
    cells.extend(status.overview.max_size.map(|max| bar(record.size, max.0)));
    cells.extend([
        output::ago(record.last_use(), status.now),
        record.uses.to_string(),
        or_none(closed.map(|closed| closed.seconds)),
        or_none(record.cold_seconds),
        or_none(Some(line.saved_seconds).filter(|saved| *saved > 0.0)),
        line.state(),
    ]);
    cells
}

/// A part of a whole, as a bar and in percent; what is not nothing is seen.
fn bar(part: u64, whole: u64) -> String {
    let share = |of: u128| u128::from(part).saturating_mul(of).div_ceil(u128::from(whole.max(1)));
    let full = usize::try_from(share(BAR as u128)).unwrap_or(BAR).min(BAR);
    format!("{}{} {:>3}%", "█".repeat(full), "░".repeat(BAR - full), share(100).min(999))
}
