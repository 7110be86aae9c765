//! How alike two texts are, letter by letter.

/// Letters that fit on the stack; longer texts are compared by this many.
const LONGEST: usize = 64;

/// The letters of a text, at most [`LONGEST`].
struct Letters {
    all: [char; LONGEST],
    count: usize,
}

impl Letters {
    fn of(text: &str) -> Self {
        let mut all = ['\0'; LONGEST];
        let mut count = 0;
        for (place, letter) in all.iter_mut().zip(text.chars()) {
            *place = letter;
            count += 1;
        }
        Self { all, count }
    }

    fn slice(&self) -> &[char] {
        self.all.get(..self.count).unwrap_or_default()
    }
}

/// Jaro's similarity with Winkler's bonus for a common beginning: 1 for equal texts, 0 for nothing in common.
pub(crate) fn jaro_winkler(left: &str, right: &str) -> f64 {
    if left == right {
        return 1.0;
    }
    let (left, right) = (Letters::of(left), Letters::of(right));
    let (left, right) = (left.slice(), right.slice());
    let jaro = jaro(left, right);
    let prefix = left.iter().zip(right).take(4).take_while(|(one, other)| one == other).count();
    jaro + prefix as f64 * 0.1 * (1.0 - jaro)
}

fn jaro(left: &[char], right: &[char]) -> f64 {
    if left.is_empty() || right.is_empty() {
        return 0.0;
    }
    let reach = (left.len().max(right.len()) / 2).saturating_sub(1);
    let mut used_left = 0_u64;
    let mut used_right = 0_u64;
    let mut matches = 0_u32;
    for (at, letter) in left.iter().enumerate() {
        let from = at.saturating_sub(reach);
        let found = right
            .iter()
            .enumerate()
            .take(at + reach + 1)
            .skip(from)
            .find(|(other, there)| *there == letter && used_right & (1 << other) == 0);
        if let Some((other, _)) = found {
            used_left |= 1 << at;
            used_right |= 1 << other;
            matches += 1;
        }
    }
    if matches == 0 {
        return 0.0;
    }
    let picked = |letters: &[char], used: u64| -> Vec<char> {
        letters.iter().enumerate().filter(|(at, _)| used & (1 << at) != 0).map(|(_, letter)| *letter).collect()
    };
    let out_of_place = picked(left, used_left).iter().zip(&picked(right, used_right)).filter(|(one, other)| one != other).count();
    let matches = f64::from(matches);
    (matches / left.len() as f64 + matches / right.len() as f64 + (matches - out_of_place as f64 / 2.0) / matches) / 3.0
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other; none beyond `most`.
pub(crate) fn edits(left: &str, right: &str, most: usize) -> Option<usize> {
    if left == right {
        return Some(0);
    }
    let (left, right) = (Letters::of(left), Letters::of(right));
    let (left, right) = (left.slice(), right.slice());
    if left.len().abs_diff(right.len()) > most {
        return None;
    }
    let mut before = [0_usize; LONGEST + 1];
    let mut above = [0_usize; LONGEST + 1];
    let mut row = [0_usize; LONGEST + 1];
    for (at, cell) in above.iter_mut().enumerate() {
        *cell = at;
    }
    for (down, letter) in left.iter().enumerate() {
        row[0] = down + 1;
        let mut best = row[0];
        for (across, other) in right.iter().enumerate() {
            let mut cost = (above[across] + usize::from(letter != other)).min(above[across + 1] + 1).min(row[across] + 1);
            if down > 0 && across > 0 && left.get(down - 1) == Some(other) && right.get(across - 1) == Some(letter) {
                cost = cost.min(before[across - 1] + 1);
            }
            row[across + 1] = cost;
            best = best.min(cost);
        }
        if best > most {
            return None;
        }
        before = above;
        above = row;
    }
    above.get(right.len()).copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_alike_as_the_literature_says() {
        let near = |left: &str, right: &str, expected: f64| {
            let found = jaro_winkler(left, right);
            assert!((found - expected).abs() < 0.001, "{left} {right} {found}");
        };
        near("martha", "marhta", 0.961);
        near("dwayne", "duane", 0.84);
        near("dixon", "dicksonx", 0.813);
        near("", "a", 0.0);
        near("same", "same", 1.0);
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(edits("19320715", "19320175", 2), Some(1));
        assert_eq!(edits("kitten", "sitting", 3), Some(3));
        assert_eq!(edits("kitten", "sitting", 2), None);
        assert_eq!(edits("", "ab", 2), Some(2));
    }
}
