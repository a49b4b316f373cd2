//! How long things take, counted in buckets.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds in microseconds for what a server does: from a fast disk's sync to what nobody waits for.
const QUICK: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];
/// Upper bounds in microseconds for takeovers: from a promotion in place to a night.
const LONG: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    3_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    3_600_000_000,
];

/// A histogram that whoever measures never waits for: three atomic additions. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Latency {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bounds: &'static [u64],
    /// One for each bound, and one for what is beyond the last.
    counts: Vec<AtomicU64>,
    sum_us: AtomicU64,
}

impl Latency {
    /// For what takes from tenths of a millisecond to seconds.
    #[must_use]
    pub fn quick() -> Self {
        Self::within(QUICK)
    }

    /// For what takes from tenths of a second to hours.
    #[must_use]
    pub fn long() -> Self {
        Self::within(LONG)
    }

    fn within(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self {
            inner: Arc::new(Inner {
                bounds,
                counts,
                sum_us: AtomicU64::new(0),
            }),
        }
    }

    /// Counts one that took so long.
    pub fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.inner.bounds.partition_point(|bound| *bound < micros);
        if let Some(count) = self.inner.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.sum_us.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::quick()
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        // The sum may be ahead of the counts by what is being counted at this moment.
        let sum = seconds(self.inner.sum_us.load(Ordering::Relaxed));
        let bounds = self
            .inner
            .bounds
            .iter()
            .map(|bound| seconds(*bound))
            .chain([f64::INFINITY]);
        let counts = self.inner.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let all = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, all, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::{Registry, Unit};

    use super::*;

    #[test]
    fn buckets_add_up_and_a_bound_is_part_of_its_bucket() {
        let latency = Latency::long();
        for ms in [1, 50, 51, 900, 9_000_000] {
            latency.took(Duration::from_millis(ms));
        }
        let mut registry = Registry::default();
        registry.register_with_unit("it", "It", Unit::Seconds, latency);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "# TYPE it_seconds histogram",
            "it_seconds_bucket{le=\"0.05\"} 2",
            "it_seconds_bucket{le=\"0.1\"} 3",
            "it_seconds_bucket{le=\"1.0\"} 4",
            "it_seconds_bucket{le=\"3600.0\"} 4",
            "it_seconds_bucket{le=\"+Inf\"} 5",
            "it_seconds_count 5",
            "it_seconds_sum 9001.002",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
    }
}
