//! Which words of two texts differ.

use std::ops::Range;

/// A piece of a text; `differs` when the other text does not have it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) differs: bool,
}

/// Longer texts are compared at their ends only, so that the table of the comparison stays small.
const MAX_WORDS: usize = 400;

/// Compares word by word; runs of digits and single signs are words too.
pub(crate) fn compare(left: &str, right: &str) -> (Vec<Piece>, Vec<Piece>) {
    let (a, b) = (words(left), words(right));
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (mut keep_a, mut keep_b) = (vec![true; a.len()], vec![true; b.len()]);
    let (range_a, range_b) = (head..a.len() - tail, head..b.len() - tail);
    for keep in [&mut keep_a[range_a.clone()], &mut keep_b[range_b.clone()]] {
        keep.fill(false);
    }
    if range_a.len() <= MAX_WORDS && range_b.len() <= MAX_WORDS {
        for (x, y) in common(&a[range_a.clone()], &b[range_b.clone()]) {
            keep_a[head + x] = true;
            keep_b[head + y] = true;
        }
    }
    (pieces(&a, &keep_a), pieces(&b, &keep_b))
}

fn words(text: &str) -> Vec<&str> {
    fn kind(letter: char) -> u8 {
        match letter {
            letter if letter.is_numeric() => 1,
            letter if letter.is_alphanumeric() => 2,
            letter if letter.is_whitespace() => 3,
            _ => 4,
        }
    }
    let mut out = Vec::new();
    let mut word: Range<usize> = 0..0;
    let mut last = 0;
    for (at, letter) in text.char_indices() {
        let now = kind(letter);
        if at > 0 && (now != last || now == 4) {
            out.push(&text[word.clone()]);
            word.start = at;
        }
        word.end = at + letter.len_utf8();
        last = now;
    }
    if !word.is_empty() {
        out.push(&text[word]);
    }
    out
}

/// Pairs of the longest common subsequence.
fn common(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    let mut best = vec![0u16; (a.len() + 1) * width];
    for x in (0..a.len()).rev() {
        for y in (0..b.len()).rev() {
            best[x * width + y] =
                if a[x] == b[y] { best[(x + 1) * width + y + 1] + 1 } else { best[(x + 1) * width + y].max(best[x * width + y + 1]) };
        }
    }
    let (mut x, mut y, mut out) = (0, 0, Vec::new());
    while x < a.len() && y < b.len() {
        if a[x] == b[y] {
            out.push((x, y));
            x += 1;
            y += 1;
        } else if best[(x + 1) * width + y] >= best[x * width + y + 1] {
            x += 1;
        } else {
            y += 1;
        }
    }
    out
}

fn pieces(words: &[&str], keep: &[bool]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for (nth, word) in words.iter().enumerate() {
        // A space between two words that differ belongs to them.
        let differs = |at: Option<usize>| at.and_then(|at| keep.get(at)).is_some_and(|keep| !keep);
        let keep = &(keep[nth] && !(word.trim().is_empty() && differs(nth.checked_sub(1)) && differs(Some(nth + 1))));
        match out.last_mut() {
            Some(piece) if piece.differs != *keep => piece.text.push_str(word),
            _ => out.push(Piece { text: (*word).to_owned(), differs: !keep }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(pieces: &[Piece]) -> String {
        pieces.iter().map(|piece| if piece.differs { format!("[{}]", piece.text) } else { piece.text.clone() }).collect()
    }

    #[test]
    fn only_the_words_that_differ_are_marked() {
        for (left, right, marked_left, marked_right) in [
            ("Net 45", "Net 30", "Net [45]", "Net [30]"),
            ("250000.00", "180000.00", "[250000].00", "[180000].00"),
            ("Hafenstraße 14", "Hafenstr. 12, Geb. B", "[Hafenstraße 14]", "[Hafenstr. 12, Geb. B]"),
            ("same", "same", "same", "same"),
            ("", "new", "", "[new]"),
            ("a b c d", "a c b d", "a [b ]c d", "a c[ b] d"),
        ] {
            let (a, b) = compare(left, right);
            assert_eq!((marked(&a), marked(&b)), (marked_left.to_owned(), marked_right.to_owned()));
        }
    }

    #[test]
    fn a_text_is_never_changed_by_comparing_it() {
        let long = "word ".repeat(2000);
        for (left, right) in [("ß §1 é\n x", "y"), (long.as_str(), "other")] {
            let (a, b) = compare(left, right);
            assert_eq!(a.iter().map(|piece| piece.text.as_str()).collect::<String>(), left);
            assert_eq!(b.iter().map(|piece| piece.text.as_str()).collect::<String>(), right);
        }
    }
}
