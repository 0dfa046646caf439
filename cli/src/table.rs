//! Tables for people: a header, columns that line up, no line longer than the terminal is wide, or than 80 columns where
//! there is none. One line for each row, so that `grep` works.

use std::io::{self, IsTerminal, Write};

/// A column, and what gives way where a line gets too long.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    name: &'static str,
    right: bool,
    gives: bool,
}

pub const fn left(name: &'static str) -> Column {
    Column { name, right: false, gives: false }
}

/// Numbers.
pub const fn right(name: &'static str) -> Column {
    Column { name, right: true, gives: false }
}

/// Cut where a line would be too long, the widest one of a table first.
pub const fn cut(name: &'static str) -> Column {
    Column { name, right: false, gives: true }
}

#[derive(Debug)]
pub struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<([String; N], Mark)>,
}

/// How a row stands out on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mark {
    #[default]
    Plain,
    /// Look here.
    Warn,
    /// Nothing to do.
    Dim,
}

const WIDTH: usize = 80;
const NARROWEST: usize = 8;

impl<const N: usize> Table<N> {
    pub fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub fn row(&mut self, cells: [String; N]) {
        self.marked(cells, Mark::Plain);
    }

    pub fn marked(&mut self, cells: [String; N], mark: Mark) {
        // What comes from an event may hold a line's end, or what a terminal would obey.
        self.rows.push((cells.map(|cell| cell.replace(char::is_control, " ")), mark));
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// To stdout; in colours only on a terminal, and never with `NO_COLOR`.
    pub fn print(&self) -> io::Result<()> {
        let stdout = io::stdout();
        let width = if stdout.is_terminal() { terminal_width().unwrap_or(WIDTH) } else { WIDTH };
        let mut out = anstream::AutoStream::auto(stdout.lock());
        write!(out, "{}", self.render(width))
    }

    fn render(&self, width: usize) -> String {
        let header = self.columns.map(|column| column.name.to_owned());
        let all = || std::iter::once(&header).chain(self.rows.iter().map(|(cells, _)| cells));
        let mut widths = [0; N];
        for cells in all() {
            for (widest, cell) in widths.iter_mut().zip(cells) {
                *widest = (*widest).max(cell.chars().count());
            }
        }
        let line: usize = widths.iter().sum::<usize>() + 2 * (N - 1);
        for _ in width..line {
            let widest = (0..N).filter(|at| self.columns[*at].gives).max_by_key(|at| widths[*at]);
            if let Some(gives) = widest.filter(|at| widths[*at] > NARROWEST) {
                widths[gives] -= 1;
            }
        }
        let mut text = String::new();
        for (cells, mark) in
            std::iter::once((&header, Mark::Dim)).chain(self.rows.iter().map(|(cells, mark)| (cells, *mark)))
        {
            let line: Vec<_> = (0..N).map(|at| fitted(&cells[at], widths[at], self.columns[at].right)).collect();
            let (begin, end) = mark.codes();
            text.extend([begin, line.join("  ").trim_end(), end, "\n"]);
        }
        text
    }
}

impl Mark {
    fn codes(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("", ""),
            Self::Warn => ("\x1b[33m", "\x1b[0m"),
            Self::Dim => ("\x1b[2m", "\x1b[0m"),
        }
    }
}

/// `1 group`, `2 groups`.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// No longer than `width` characters.
pub fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() > width { fitted(text, width, false) } else { text.to_owned() }
}

fn fitted(cell: &str, width: usize, right: bool) -> String {
    let length = cell.chars().count();
    if length > width {
        return cell.chars().take(width.saturating_sub(1)).chain(['…']).collect();
    }
    if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
}

/// `COLUMNS`, which shells know; nobody asks the terminal itself.
fn terminal_width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok()?.parse().ok()?;
    (columns >= 40).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_one_column_gives_way() {
        let mut table = Table::new([left("ID"), right("N"), cut("MESSAGE")]);
        table.row(["a".repeat(36), "7".to_owned(), format!("a long\nmessage {}", "x".repeat(100))]);
        table.marked(["b".to_owned(), "12345".to_owned(), "short".to_owned()], Mark::Warn);
        let text = table.render(80);
        let plain = anstream::adapter::strip_str(&text).to_string();
        let lines: Vec<_> = plain.lines().collect();
        assert_eq!(lines.len(), 3, "{plain}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{plain}");
        assert!(lines[1].ends_with('…') && lines[1].contains("      7  a long message"), "{plain}");
        assert!(lines[2].starts_with("b  ") && lines[2].contains("12345  short"), "{plain}");
    }
}
