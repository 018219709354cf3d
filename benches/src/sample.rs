//! The same thing measured several times.

use serde::{Deserialize, Serialize};

/// What a value of a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of time, for one element (one task, one message, one update).
    Seconds,
    /// Of memory, for one.
    Bytes,
    /// How often something was seen.
    Times,
}

/// The same thing measured several times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What the values are.
    pub unit: Unit,
    /// At least one, all finite.
    pub values: Vec<f64>,
}

impl Sample {
    /// Seconds for one.
    pub fn seconds(values: impl IntoIterator<Item = f64>) -> Sample {
        Sample { unit: Unit::Seconds, values: values.into_iter().collect() }
    }

    /// The value that a share `q` (0 to 1) of the values lies below, interpolated.
    ///
    /// # Panics
    ///
    /// If there are no values.
    ///
    /// ```
    /// use benches::sample::Sample;
    ///
    /// let sample = Sample::seconds([4.0, 1.0, 3.0, 2.0]);
    /// assert_eq!(sample.quantile(0.5), 2.5);
    /// assert_eq!(sample.quantile(1.0), 4.0);
    /// ```
    pub fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let place = q * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    /// The value in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The least value.
    pub fn best(&self) -> f64 {
        self.quantile(0.0)
    }

    /// The values that a quarter and three quarters lie below.
    pub fn quartiles(&self) -> (f64, f64) {
        (self.quantile(0.25), self.quantile(0.75))
    }

    /// How far the quartiles are apart, as a share of the median: 0.02 is quiet, 0.5 is noise.
    pub fn spread(&self) -> f64 {
        let (low, high) = self.quartiles();
        if high > low { (high - low) / self.median().abs() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_and_spread() {
        let sample = Sample::seconds([5.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(sample.median(), 3.0);
        assert_eq!(sample.quartiles(), (2.0, 4.0));
        assert!((sample.spread() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(Sample::seconds([7.0]).spread(), 0.0);
    }
}
