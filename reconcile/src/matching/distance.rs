//! How alike two texts are, letter by letter.

/// Longer texts are compared by so many letters.
const LONGEST: usize = 64;

/// Jaro's similarity with Winkler's bonus for a common beginning: 1 for equal texts, 0 for nothing in common.
pub(crate) fn jaro_winkler(left: &str, right: &str) -> f64 {
    if left == right {
        return 1.0;
    }
    with_letters(left, right, Winkler)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other; none beyond `most`.
pub(crate) fn edits(left: &str, right: &str, most: usize) -> Option<usize> {
    if left == right {
        return Some(0);
    }
    with_letters(left, right, Edits { most })
}

/// Something to do with two texts as letters, whatever a letter is.
trait OnLetters {
    type Answer;
    fn run<L: Copy + Eq + Into<u32>>(self, left: &[L], right: &[L]) -> Self::Answer;
}

/// Almost all folded text is ASCII, where a byte is a letter.
fn with_letters<O: OnLetters>(left: &str, right: &str, task: O) -> O::Answer {
    fn cut<L>(letters: &[L]) -> &[L] {
        letters.get(..LONGEST).unwrap_or(letters)
    }
    if left.is_ascii() && right.is_ascii() {
        return task.run(cut(left.as_bytes()), cut(right.as_bytes()));
    }
    let letters = |text: &str| text.chars().take(LONGEST).collect::<Vec<char>>();
    task.run(&letters(left), &letters(right))
}

/// Which letters occur, as bits; different letters may share one.
fn mask<L: Copy + Into<u32>>(letters: &[L]) -> u64 {
    letters.iter().fold(0, |mask, letter| mask | 1 << ((*letter).into() & 63))
}

struct Winkler;

impl OnLetters for Winkler {
    type Answer = f64;

    fn run<L: Copy + Eq + Into<u32>>(self, left: &[L], right: &[L]) -> f64 {
        if mask(left) & mask(right) == 0 {
            return 0.0;
        }
        let jaro = jaro(left, right);
        let prefix = left.iter().zip(right).take(4).take_while(|(one, other)| one == other).count();
        jaro + prefix as f64 * 0.1 * (1.0 - jaro)
    }
}

fn jaro<L: Copy + Eq>(left: &[L], right: &[L]) -> f64 {
    let reach = (left.len().max(right.len()) / 2).saturating_sub(1);
    let mut used_left = 0_u64;
    let mut used_right = 0_u64;
    for (at, letter) in left.iter().enumerate() {
        let window = right.iter().enumerate().take(at + reach + 1).skip(at.saturating_sub(reach));
        for (other, there) in window {
            if there == letter && used_right & (1 << other) == 0 {
                used_left |= 1 << at;
                used_right |= 1 << other;
                break;
            }
        }
    }
    if used_left == 0 {
        return 0.0;
    }
    let matches = f64::from(used_left.count_ones());
    let mut out_of_place = 0_u32;
    let (mut here, mut there) = (used_left, used_right);
    while here != 0 && there != 0 {
        if left.get(here.trailing_zeros() as usize) != right.get(there.trailing_zeros() as usize) {
            out_of_place += 1;
        }
        here &= here - 1;
        there &= there - 1;
    }
    (matches / left.len() as f64 + matches / right.len() as f64 + (matches - f64::from(out_of_place) / 2.0) / matches) / 3.0
}

struct Edits {
    most: usize,
}

impl OnLetters for Edits {
    type Answer = Option<usize>;

    fn run<L: Copy + Eq + Into<u32>>(self, left: &[L], right: &[L]) -> Option<usize> {
        let most = self.most;
        // An edit brings or removes two letters at most.
        if left.len().abs_diff(right.len()) > most || (mask(left) ^ mask(right)).count_ones() as usize > 2 * most {
            return None;
        }
        let before = left.iter().zip(right).take_while(|(one, other)| one == other).count();
        let (left, right) = (left.get(before..)?, right.get(before..)?);
        let after = left.iter().rev().zip(right.iter().rev()).take_while(|(one, other)| one == other).count();
        let (left, right) = (left.get(..left.len() - after)?, right.get(..right.len() - after)?);
        match (left, right) {
            ([], rest) | (rest, []) => Some(rest.len()).filter(|edits| *edits <= most),
            ([_], [_]) => Some(1),
            ([one, two], [other, another]) if one == another && two == other => Some(1),
            _ if most < 2 => None,
            _ => table(left, right, most),
        }
    }
}

/// The usual table, row by row.
fn table<L: Copy + Eq>(left: &[L], right: &[L], most: usize) -> Option<usize> {
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
        for (left, right, expected) in
            [("green", "grene", 1), ("green", "gren", 1), ("green", "greeen", 1), ("green", "grxen", 1), ("łódź", "łudź", 1)]
        {
            assert_eq!((edits(left, right, 1), edits(right, left, 3)), (Some(expected), Some(expected)), "{left} {right}");
        }
        assert_eq!(edits("abcd", "badc", 1), None);
    }
}
