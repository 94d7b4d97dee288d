//! Words of a plugin, made fit to stand in a line of ours.

/// The text on one line and without control characters, at most `longest` bytes of it: a plugin must not be able to
/// write lines that look like the host's, or to speak to a terminal.
#[must_use]
pub fn one_line(text: &str, longest: usize) -> String {
    let cut = text.get(..text.floor_char_boundary(longest)).unwrap_or_default();
    let mut line = String::with_capacity(cut.len());
    line.extend(cut.chars().map(|letter| if hidden(letter) { ' ' } else { letter }));
    if cut.len() < text.len() {
        line.push('…');
    }
    line
}

/// Control characters, separators of lines, and marks that turn the direction of what follows.
pub(crate) fn hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_lines_becomes_one() {
        assert_eq!(one_line("a\nERROR b\r\x1b[2J\u{202e}c\u{9b}", 100), "a ERROR b  [2J c ");
        assert_eq!(one_line("né", 2), "n…");
        assert_eq!(one_line("né", 3), "né");
        assert_eq!(one_line("", 0), "");
    }
}
