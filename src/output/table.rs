//! Tables for people.

use super::screen::{HIDDEN, Screen};

/// A column of a table that has to fit on a screen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// What stands above it.
    pub name: &'static str,
    /// Where there is no room for all, those with the highest number are left out first; 0 stays.
    pub rank: u8,
    /// Its cells may be cut to so many characters before a column is left out: to the first number
    /// for one that is good to have, to the second for one that is missed.
    pub least: Option<(usize, usize)>,
}

impl Column {
    /// A column whose cells are never cut.
    pub(crate) const fn new(name: &'static str, rank: u8) -> Self {
        Self { name, rank, least: None }
    }

    /// A column whose cells may be cut.
    pub(crate) const fn cut(name: &'static str, rank: u8, least: (usize, usize)) -> Self {
        Self { name, rank, least: Some(least) }
    }
}

/// Lays out rows of cells in columns; the first row is the head, numbers are right-aligned.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(|column| width(rows, column)).collect();
    let right: Vec<bool> = (0..columns).map(|column| is_numeric(rows, column)).collect();
    let mut text = String::new();
    for row in rows {
        let mut due = 0;
        for (column, cell) in row.iter().enumerate() {
            let pad = widths[column] - cell.chars().count();
            let (before, after) = if right[column] { (pad, 0) } else { (0, pad) };
            if cell.is_empty() {
                due += before;
            } else {
                // Blanks are due only where something follows.
                text.extend(std::iter::repeat_n(' ', due + before));
                text.push_str(cell);
                due = 0;
            }
            due += after + GAP;
        }
        text.push('\n');
    }
    text
}

/// Lines of words, which go on in further lines where a screen is too narrow; those are so much more
/// indented than what they belong to.
pub(crate) fn wrapped(text: &str, indent: usize, screen: Screen) -> String {
    text.lines().map(|line| wrapped_line(line, indent, screen) + "\n").collect()
}

fn wrapped_line(line: &str, indent: usize, screen: Screen) -> String {
    let room = screen.width.unwrap_or(usize::MAX);
    let indent = indent + line.len() - line.trim_start_matches(' ').len();
    let (mut text, mut taken) = (String::new(), 0);
    for (index, word) in line.split(' ').enumerate() {
        let length = word.chars().count();
        if taken > indent && length > 0 && taken + 1 + length > room {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            taken = indent;
        } else if index > 0 {
            text.push(' ');
            taken += 1;
        }
        text.push_str(word);
        taken += length;
    }
    text
}

/// Columns from this rank on are good to have, others are missed.
const GOOD_TO_HAVE: u8 = 4;

/// Between two columns.
const GAP: usize = 2;

/// Lays out what fits on a screen: cells are cut where they may be, then columns are left out.
pub(crate) fn fitted(columns: &[Column], rows: Vec<Vec<String>>, screen: Screen) -> String {
    let mut all = vec![columns.iter().map(|column| column.name.to_owned()).collect()];
    // A row is one line, whatever names are in it.
    let one_line = |cell: String| cell.replace('\n', &HIDDEN.to_string());
    all.extend(rows.into_iter().map(|row| row.into_iter().map(one_line).collect()));
    let Some(room) = screen.width else { return table(&all) };
    let mut columns = columns.to_vec();
    loop {
        let widths: Vec<usize> = (0..columns.len()).map(|column| width(&all, column)).collect();
        let taken = widths.iter().sum::<usize>() + GAP * columns.len().saturating_sub(1);
        let Some(over) = taken.checked_sub(room).filter(|over| *over > 0) else {
            return table(&all);
        };
        let ranked = (0..columns.len()).filter(|column| columns[*column].rank > 0);
        let worst = ranked.max_by_key(|column| columns[*column].rank);
        let is_missed = worst.is_none_or(|worst| columns[worst].rank < GOOD_TO_HAVE);
        let spare = |column: usize| {
            let least = columns[column].least;
            let least = least.map(|(first, second)| if is_missed { second } else { first });
            widths[column].saturating_sub(least.unwrap_or(usize::MAX).max(1))
        };
        let spares: Vec<usize> = (0..columns.len()).map(spare).collect();
        if spares.iter().sum::<usize>() >= over || worst.is_none() {
            cut(&mut all, &widths, spares, over);
            return table(&all);
        }
        if let Some(worst) = worst {
            columns.remove(worst);
            all.iter_mut().filter(|row| row.len() > worst).for_each(|row| {
                row.remove(worst);
            });
        }
    }
}

/// Cuts cells until so many characters are saved, always in the column that can spare the most.
fn cut(rows: &mut [Vec<String>], widths: &[usize], mut spares: Vec<usize>, mut over: usize) {
    let mut allowed = widths.to_vec();
    while over > 0 {
        let most = (0..spares.len()).max_by_key(|column| spares[*column]);
        let Some(column) = most.filter(|column| spares[*column] > 0) else { break };
        spares[column] -= 1;
        allowed[column] -= 1;
        over -= 1;
    }
    for row in rows {
        for (cell, allowed) in row.iter_mut().zip(&allowed) {
            if cell.chars().count() > *allowed {
                *cell = cell.chars().take(allowed.saturating_sub(1)).chain(['…']).collect();
            }
        }
    }
}

fn width(rows: &[Vec<String>], column: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column));
    cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
}

fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    let digits = |row: &Vec<String>| {
        row.get(column).is_none_or(|cell| {
            cell == "-" || cell.starts_with(|first: char| first.is_ascii_digit())
        })
    };
    rows.len() > 1 && column > 0 && rows[1..].iter().all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [&str; 3]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn columns_line_up_and_numbers_stand_right() {
        let rows = [row(["NAME", "SIZE", "NOTE"]), row(["a", "9", "x"]), row(["long", "10", ""])];
        snapbox::assert_data_eq!(
            table(&rows),
            snapbox::str![[r"
NAME  SIZE  NOTE
a        9  x
long    10

"]]
        );
    }

    #[test]
    fn words_go_on_in_the_next_line() {
        let wrap = |width| wrapped("ok    store: all is well", 6, Screen { width, unicode: true });
        assert_eq!(wrap(None), "ok    store: all is well\n");
        assert_eq!(wrap(Some(24)), wrap(None));
        assert_eq!(wrap(Some(18)), "ok    store: all\n      is well\n");
        assert_eq!(wrap(Some(3)), "ok    store:\n      all\n      is\n      well\n");
    }

    #[test]
    fn what_does_not_fit_is_cut_then_left_out() {
        const COLUMNS: [Column; 3] =
            [Column::new("NAME", 0), Column::cut("WHAT", 0, (6, 6)), Column::new("USES", 2)];
        let show = |width| {
            let rows = vec![row(["rye", "a long description", "7"])];
            fitted(&COLUMNS, rows, Screen { width: Some(width), unicode: true })
        };
        for width in 8..60 {
            let text = show(width);
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width.max(12), "{width}: {text}");
        }
        assert!(show(60).contains("a long description  ") && show(60).contains("USES"));
        assert!(show(25).contains("…") && show(25).contains("USES"));
        assert!(!show(13).contains("USES") && show(13).contains("a lon"));
    }
}
