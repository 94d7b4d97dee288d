//! Which types take a value and keep less of it without a word: Postgres rounds digits, cuts off times, and tells nobody.

/// Whether values of the source's type may lose something in a column of the target's type, both as `format_type` prints them.
/// What does not fit with an error is not meant: that tells itself.
pub(super) fn loses(source: &str, target: &str) -> bool {
    let (from, to) = (source.trim_end_matches("[]"), target.trim_end_matches("[]"));
    if from == to {
        return false;
    }
    let ((from, from_sizes), (to, to_sizes)) = (parts(from), parts(to));
    let is_number = |name: &str| matches!(name, "numeric" | "double precision" | "real");
    let is_whole = |name: &str| matches!(name, "bigint" | "integer" | "smallint");
    match to.as_str() {
        "numeric" => match to_sizes.get(1) {
            // A scale: digits behind the point.
            Some(kept) => match from.as_str() {
                "numeric" => from_sizes.get(1).is_none_or(|given| given > kept),
                other => is_number(other),
            },
            None => false,
        },
        "double precision" => matches!(from.as_str(), "numeric" | "bigint"),
        "real" => matches!(from.as_str(), "numeric" | "double precision" | "bigint" | "integer"),
        "money" => is_number(&from),
        "date" => from.starts_with("timestamp"),
        "name" => from != "name" && !is_whole(&from),
        time if is_time(time) => {
            let digits = |sizes: &[i32]| sizes.first().copied().unwrap_or(6);
            let cut = time.starts_with("time ") && from.starts_with("timestamp");
            // An interval may be of some fields only.
            let fields = time.starts_with("interval") && time != "interval" && time != from;
            is_time(&from) && (cut || fields || digits(&from_sizes) > digits(&to_sizes))
        }
        _ => false,
    }
}

fn is_time(name: &str) -> bool {
    ["timestamp ", "time ", "interval"].iter().any(|start| name.starts_with(start))
}

/// A name without its sizes, and the sizes.
fn parts(text: &str) -> (String, Vec<i32>) {
    let Some((before, rest)) = text.split_once('(') else { return (text.to_owned(), Vec::new()) };
    let Some((sizes, after)) = rest.split_once(')') else { return (text.to_owned(), Vec::new()) };
    let sizes = sizes.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    (format!("{before}{after}"), sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_rounds_or_cuts_off_in_silence_is_a_loss_and_nothing_else_is() {
        for (source, target) in [
            ("numeric(10,4)", "numeric(12,2)"),
            ("numeric", "numeric(38,10)"),
            ("double precision", "numeric(10,2)"),
            ("numeric(10,2)", "double precision"),
            ("bigint", "double precision"),
            ("double precision", "real"),
            ("integer", "real"),
            ("numeric(10,2)[]", "numeric(10,1)[]"),
            ("numeric", "money"),
            ("timestamp without time zone", "timestamp(3) without time zone"),
            ("timestamp(6) with time zone", "timestamp(0) with time zone"),
            ("timestamp with time zone", "date"),
            ("timestamp without time zone", "time without time zone"),
            ("time without time zone", "time(0) without time zone"),
            ("interval", "interval(2)"),
            ("interval", "interval year to month"),
            ("text", "name"),
        ] {
            assert!(loses(source, target), "{source} to {target}");
        }
        for (source, target) in [
            ("numeric(10,2)", "numeric(8,4)"),
            ("numeric(10,2)", "numeric"),
            ("integer", "numeric(12,2)"),
            ("integer", "bigint"),
            ("bigint", "integer"),
            ("integer", "double precision"),
            ("real", "double precision"),
            ("numeric", "text"),
            ("timestamp(3) without time zone", "timestamp without time zone"),
            ("timestamp with time zone", "timestamp without time zone"),
            ("date", "timestamp with time zone"),
            ("interval(2)", "interval"),
            ("character varying(10)", "character varying(5)"),
            ("public.mood", "text"),
            ("text", "text"),
            ("name", "name"),
            ("type 4711", "numeric"),
        ] {
            assert!(!loses(source, target), "{source} to {target}");
        }
    }
}
