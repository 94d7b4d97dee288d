//! What a handful of samples says.

/// Smallest, middle and largest.
#[derive(Clone, Copy, Default)]
pub struct Spread {
    /// Smallest.
    pub low: f64,
    /// Middle.
    pub middle: f64,
    /// Largest.
    pub high: f64,
}

/// Of some numbers; zeros when there are none.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Spread {
    let values = sorted(values);
    Spread { low: at(&values, 0.0), middle: at(&values, 0.5), high: at(&values, 1.0) }
}

/// The value that this share of all does not exceed.
pub fn at(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// In ascending order, for [`at`].
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}
