//! Medians and the middle half.

/// The value below which a share of the values lies.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (share * last as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Where the true median lies with 95 % confidence, by order statistics.
pub(crate) fn median_interval(values: &[f64]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let spread = 0.98 / (values.len().max(1) as f64).sqrt();
    (
        quantile(values, (0.5 - spread).max(0.0)),
        quantile(values, (0.5 + spread).min(1.0)),
    )
}

/// `1.031 (95 %: 1.020 to 1.044, middle half 0.99 to 1.08, 200 pairs)`.
pub(crate) fn described(values: &[f64]) -> String {
    let (low, high) = median_interval(values);
    format!(
        "median {:.3} (95 %: {low:.3} to {high:.3}; middle half {:.3} to {:.3}; {} values)",
        median(values),
        quantile(values, 0.25),
        quantile(values, 0.75),
        values.len()
    )
}
