//! Medians, percentiles and ratios.

use serde::Serialize;

/// The middle value; of two middle ones the upper.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long single operations took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// From seconds; `None` when nothing was measured.
    pub(crate) fn of(seconds: &mut [f64]) -> Option<Self> {
        seconds.sort_by(f64::total_cmp);
        let max = seconds.last()? * 1e3;
        // The nearest rank: the smallest value that at least this share does not exceed.
        let at = |percent: usize| {
            let rank = (seconds.len() * percent).div_ceil(100).max(1);
            seconds[rank - 1] * 1e3
        };
        Some(Self {
            count: seconds.len(),
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max,
        })
    }

    /// The median of each number.
    pub(crate) fn median(all: &[Self]) -> Option<Self> {
        let of = |field: fn(&Self) -> f64| median(&mut all.iter().map(field).collect::<Vec<_>>());
        Some(Self {
            count: all.first()?.count,
            p50: of(|latency| latency.p50),
            p95: of(|latency| latency.p95),
            p99: of(|latency| latency.p99),
            max: of(|latency| latency.max),
        })
    }
}

/// A median, and how far the rounds lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        let median = median(&mut values);
        Some(Self {
            median,
            least: *values.first()?,
            most: *values.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut seconds: Vec<f64> = (1..=200).rev().map(|n| f64::from(n) / 1e3).collect();
        let latency = Latency::of(&mut seconds).unwrap();
        assert_eq!(latency.count, 200);
        let found = [latency.p50, latency.p95, latency.p99, latency.max];
        for (found, wanted) in found.into_iter().zip([100.0, 190.0, 198.0, 200.0]) {
            assert!((found - wanted).abs() < 1e-9, "{latency:?}");
        }
    }

    #[test]
    fn one_value_is_every_percentile_and_none_is_none() {
        let latency = Latency::of(&mut [0.5]).unwrap();
        assert_eq!(
            (latency.p50, latency.p99, latency.max),
            (500.0, 500.0, 500.0)
        );
        assert_eq!(Latency::of(&mut []), None);
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_spread_has_its_ends() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.0, 3.0));
    }
}
