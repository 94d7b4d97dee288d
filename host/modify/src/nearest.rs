//! "Did you mean": the nearest of some names.

/// A hint with the nearest name, or with all of them if none is near.
pub(crate) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>, none: &str) -> String {
    let known: Vec<&str> = known.collect();
    if known.is_empty() {
        return none.to_owned();
    }
    let nearest = known.iter().map(|known| (strsim::jaro_winkler(name, known), known));
    match nearest.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((score, nearest)) if score > 0.75 => format!("did you mean `{nearest}`?"),
        _ => format!("there are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_named_and_else_all() {
        let known = ["masking", "literal_string"];
        assert_eq!(hint("maskin", known.into_iter(), "-"), "did you mean `masking`?");
        assert_eq!(hint("zzz", known.into_iter(), "-"), "there are: masking, literal_string");
        assert_eq!(hint("x", std::iter::empty(), "nothing there"), "nothing there");
    }
}
