//! CSV as Bulk API 2.0 reads and writes it (RFC 4180).

/// Splits text into rows of cells.
pub(crate) fn parse(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let (mut row, mut cell, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => {
                quoted = !quoted;
                any = true;
            }
            ',' if !quoted => {
                row.push(std::mem::take(&mut cell));
                any = true;
            }
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if any || !cell.is_empty() {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                any = false;
            }
            c => cell.push(c),
        }
    }
    if any || !cell.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

/// Appends one row, every cell quoted.
pub(crate) fn write_row<T: AsRef<str>>(out: &mut String, cells: impl IntoIterator<Item = T>) {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push('"');
        out.push_str(&cell.as_ref().replace('"', "\"\""));
        out.push('"');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::{parse, write_row};

    #[test]
    fn what_is_written_reads_back() {
        let rows = [vec!["a", "b,c"], vec!["say \"x\"", "two\nlines"], vec!["", "é"]];
        let mut text = String::new();
        for row in &rows {
            write_row(&mut text, row);
        }
        assert_eq!(parse(&text), rows);
        assert_eq!(parse("Id,Name\r\n1,\r\n"), [vec!["Id", "Name"], vec!["1", ""]]);
    }
}
