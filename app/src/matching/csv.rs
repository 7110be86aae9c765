//! Tables in files: comma-separated values with a heading, as spreadsheets and databases write them (RFC 4180).
//!
//! It promises that what is wrong is named with file, line and column. It leaves out other encodings than UTF-8.

use std::fmt;
use std::path::{Path, PathBuf};

/// A table with its heading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// One text for each column, and the line each row begins on.
    pub rows: Vec<(usize, Vec<String>)>,
}

/// Why a table could not be read.
#[derive(Debug)]
pub struct CsvError {
    /// Where from.
    pub file: PathBuf,
    /// Line and column, from 1; none when the file as a whole is wrong.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}, line {line}, column {column}: {}", self.file.display(), self.reason),
            None => write!(f, "{}: {}", self.file.display(), self.reason),
        }
    }
}

impl std::error::Error for CsvError {}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is no table.
    pub fn read(file: &Path) -> Result<Self, CsvError> {
        let wrong = |at, reason| CsvError { file: file.to_owned(), at, reason };
        let bytes = std::fs::read(file).map_err(|error| wrong(None, format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let line = bytes.iter().take(before).filter(|byte| **byte == b'\n').count() + 1;
            let column = bytes.iter().take(before).rev().take_while(|byte| **byte != b'\n').count() + 1;
            wrong(Some((line, column)), "is not UTF-8 text; export it as UTF-8".to_owned())
        })?;
        Self::parse(&text).map_err(|(at, reason)| wrong(at, reason))
    }

    /// Reads a text: the reason and its line and column when it is no table.
    ///
    /// # Errors
    /// When it is no table.
    pub fn parse(text: &str) -> Result<Self, (Option<(usize, usize)>, String)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader { letters: text.chars().peekable(), line: 1, column: 1, separator: separator(text) };
        let Some((_, columns)) = reader.row()? else {
            return Err((None, "is empty; a heading with the names of the columns is needed".to_owned()));
        };
        let columns: Vec<String> = columns.into_iter().map(|name| name.trim().to_owned()).collect();
        for (index, name) in columns.iter().enumerate() {
            if name.is_empty() {
                return Err((Some((1, 1)), format!("the heading has no name for column {}", index + 1)));
            }
            if columns.iter().take(index).any(|other| other == name) {
                return Err((Some((1, 1)), format!("the heading has {name:?} twice")));
            }
        }
        let mut rows = Vec::new();
        while let Some((line, row)) = reader.row()? {
            if row.len() != columns.len() {
                return Err((Some((line, 1)), format!("has {} values where the heading has {} names", row.len(), columns.len())));
            }
            rows.push((line, row));
        }
        Ok(Self { columns, rows })
    }

    /// Position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }
}

/// Spreadsheets of some countries write semicolons or tabs: what the heading has most of.
fn separator(text: &str) -> char {
    let heading = text.lines().next().unwrap_or_default();
    let count = |mark: char| heading.chars().filter(|letter| *letter == mark).count();
    [',', ';', '\t'].into_iter().max_by_key(|mark| (count(*mark), *mark == ',')).unwrap_or(',')
}

struct Reader<'a> {
    letters: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
    separator: char,
}

type Wrong = (Option<(usize, usize)>, String);

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.letters.next()?;
        if letter == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(letter)
    }

    /// The next row that is not blank, with the line it begins on.
    fn row(&mut self) -> Result<Option<(usize, Vec<String>)>, Wrong> {
        loop {
            if self.letters.peek().is_none() {
                return Ok(None);
            }
            let line = self.line;
            let row = self.values()?;
            if row.len() > 1 || row.iter().any(|value| !value.trim().is_empty()) {
                return Ok(Some((line, row)));
            }
        }
    }

    fn values(&mut self) -> Result<Vec<String>, Wrong> {
        let mut row = Vec::new();
        loop {
            row.push(self.value()?);
            match self.next() {
                Some(letter) if letter == self.separator => {}
                Some('\r') if self.letters.peek() == Some(&'\n') => {
                    self.next();
                    return Ok(row);
                }
                _ => return Ok(row),
            }
        }
    }

    /// One value; stops before what ends it.
    fn value(&mut self) -> Result<String, Wrong> {
        let mut value = String::new();
        while self.letters.peek() == Some(&' ') {
            self.next();
        }
        if self.letters.peek() == Some(&'"') {
            return self.quoted();
        }
        while let Some(letter) = self.letters.peek().copied() {
            if letter == self.separator || letter == '\n' || letter == '\r' {
                break;
            }
            self.next();
            value.push(letter);
        }
        value.truncate(value.trim_end().len());
        Ok(value)
    }

    fn quoted(&mut self) -> Result<String, Wrong> {
        let from = (self.line, self.column);
        self.next();
        let mut value = String::new();
        loop {
            match self.next() {
                None => return Err((Some(from), "this quotation mark is never closed".to_owned())),
                Some('"') if self.letters.peek() == Some(&'"') => {
                    self.next();
                    value.push('"');
                }
                Some('"') => break,
                Some(letter) => value.push(letter),
            }
        }
        while self.letters.peek() == Some(&' ') {
            self.next();
        }
        match self.letters.peek().copied() {
            None | Some('\n' | '\r') => Ok(value),
            Some(letter) if letter == self.separator => Ok(value),
            Some(_) => {
                Err((Some((self.line, self.column)), "text after a closing quotation mark; double the marks inside a value".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_spreadsheets_write_them() {
        let table = Table::parse("\u{feff}id, name\r\n1, \"Acme, Inc. \"\"A\"\"\nand more\"\r\n\r\n2,\n").expect("reads");
        assert_eq!(table.columns, ["id", "name"]);
        assert_eq!(
            table.rows,
            [(2, vec!["1".to_owned(), "Acme, Inc. \"A\"\nand more".to_owned()]), (5, vec!["2".to_owned(), String::new()])]
        );
        assert_eq!(Table::parse("id;name\n1;a,b\n").expect("reads").rows[0].1, ["1", "a,b"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        for (text, at, reason) in [
            ("", None, "is empty"),
            ("a,b\n1,2\n3\n", Some((3, 1)), "has 1 values where the heading has 2 names"),
            ("a,b\n1,\"2\n", Some((2, 3)), "never closed"),
            ("a,b\n1,\"2\" x\n", Some((2, 7)), "after a closing quotation mark"),
            ("a,a\n", Some((1, 1)), "\"a\" twice"),
        ] {
            let (found, text) = Table::parse(text).expect_err(text);
            assert!(found == at && text.contains(reason), "{found:?} {text}");
        }
    }
}
