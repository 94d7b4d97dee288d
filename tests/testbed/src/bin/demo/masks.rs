//! What the rules of the example must give, written down a second time: the proof must not ask the plugin that it checks.

/// `masking` with `type: name`: of each word two stars in place of the second and third letter; of a word of three
/// letters the last one stays.
pub(crate) fn name(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let letters: Vec<char> = word.chars().collect();
        match letters.len() {
            0 => String::new(),
            1 => "**".to_owned(),
            2 | 3 => letters.iter().take(1).chain(&['*', '*']).chain(letters.iter().skip(2)).collect(),
            _ => letters.iter().take(1).chain(&['*', '*']).chain(letters.iter().skip(3)).collect(),
        }
    });
    words.collect::<Vec<String>>().join(" ")
}

/// `masking` with `type: email`: four stars in place of the fourth to the seventh letter before the @.
pub(crate) fn email(text: &str) -> String {
    let (person, domain) =
        text.split_once('@').map_or((text, None), |(person, domain)| (person, Some(domain)));
    let start: String = person.chars().take(3).collect();
    let end: String = person.chars().skip(7).collect();
    let domain = domain.map_or(String::new(), |domain| format!("@{domain}"));
    format!("{start}****{end}{domain}")
}

/// `masking` with `type: custom`, from 4 to 12; phone numbers are ASCII.
pub(crate) fn phone(text: &str) -> String {
    text.chars().enumerate().map(|(at, letter)| if (4..12).contains(&at) { '*' } else { letter }).collect()
}

/// `literal_string`.
pub(crate) const NOTES: &str = "(removed)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_original_come_out() {
        for (given, expected) in
            [("John Doe", "J**n D**e"), ("ABCD", "A**D"), ("A B", "** **"), ("Al Bob", "A** B**b")]
        {
            assert_eq!(name(given), expected);
        }
        assert_eq!(email("john.doe@example.com"), "joh****e@example.com");
        assert_eq!(email("jo@x.io"), "jo****@x.io");
        assert_eq!(phone("1234567812345678"), "1234********5678");
        assert_eq!(phone("sensitive"), "sens*****");
    }
}
