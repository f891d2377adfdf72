//! Pairs of measurements and what they come to.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::options::Plan;
use super::worker::PATIENCE;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// In the row's unit.
    pub value: f64,
    /// Processor time of the server for one operation, in microseconds.
    pub cpu_us: Option<f64>,
}

/// What a row came to.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Ours, the median.
    pub ours: Sample,
    /// The baseline's, the median; none if the row has none.
    pub bare: Option<Sample>,
    /// The median of the ratios of the pairs; ours alone without a baseline.
    pub ratio: f64,
    /// The lowest and the highest of them.
    pub spread: (f64, f64),
    /// What one should know to read it.
    pub note: Option<String>,
}

impl Figure {
    /// With what one should know to read it.
    pub fn noting(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// Measures both sides in turns.
pub async fn pairs(
    plan: &Plan,
    mut ours: impl AsyncFnMut() -> Result<Sample>,
    mut bare: impl AsyncFnMut() -> Result<Sample>,
) -> Result<Figure> {
    let mut sides = Vec::with_capacity(plan.pairs);
    for _ in 0..plan.pairs {
        sides.push((ours().await?, bare().await?));
    }
    Ok(of_pairs(&sides))
}

/// What pairs come to.
pub fn of_pairs(sides: &[(Sample, Sample)]) -> Figure {
    let ratios: Vec<f64> = sides.iter().map(|(ours, bare)| ours.value / bare.value).collect();
    Figure {
        ours: middle(sides.iter().map(|(ours, _)| *ours)),
        bare: Some(middle(sides.iter().map(|(_, bare)| *bare))),
        ratio: median(ratios.clone()),
        spread: range(&ratios),
        note: None,
    }
}

/// Measures what has no baseline.
pub async fn alone(plan: &Plan, mut ours: impl AsyncFnMut() -> Result<Sample>) -> Result<Figure> {
    let mut samples = Vec::with_capacity(plan.pairs);
    for _ in 0..plan.pairs {
        samples.push(ours().await?);
    }
    Ok(of_alone(&samples))
}

/// What measurements without a baseline come to.
pub fn of_alone(samples: &[Sample]) -> Figure {
    let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
    let ours = middle(samples.iter().copied());
    Figure { ours, bare: None, ratio: ours.value, spread: range(&values), note: None }
}

fn middle(samples: impl Iterator<Item = Sample> + Clone) -> Sample {
    let cpu: Vec<f64> = samples.clone().filter_map(|sample| sample.cpu_us).collect();
    Sample {
        value: median(samples.map(|sample| sample.value).collect()),
        cpu_us: (!cpu.is_empty()).then(|| median(cpu)),
    }
}

/// The middle of them; zero if there is none.
pub fn median(values: Vec<f64>) -> f64 {
    percentile(values, 0.5)
}

/// The value that this part of them does not exceed; zero if there is none.
pub fn percentile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (part * values.len() as f64).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

fn range(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}

/// What is measured.
pub trait Measurable {
    /// Processor time it has used so far.
    fn cpu_time(&self) -> Result<Duration>;
}

/// A measurement of throughput under way.
pub struct Running<'a> {
    server: &'a dyn Measurable,
    began: Instant,
    cpu: Duration,
}

impl<'a> Running<'a> {
    /// Begins now.
    pub fn begin(server: &'a dyn Measurable) -> Result<Self> {
        Ok(Self { server, cpu: server.cpu_time()?, began: Instant::now() })
    }

    /// Waits for so long, and longer while nothing was done: a busy machine may need more than the shortest
    /// measurement gives it.
    pub async fn lasts(&self, length: Duration, done: impl Fn() -> bool) {
        tokio::time::sleep(length).await;
        while !done() && self.began.elapsed() < PATIENCE {
            tokio::time::sleep(length).await;
        }
    }

    /// Ends now, after so many operations: operations per second.
    pub fn end(self, operations: u64) -> Result<Sample> {
        let took = self.began.elapsed().as_secs_f64();
        let cpu = self.server.cpu_time()?.saturating_sub(self.cpu).as_secs_f64();
        let operations = operations as f64;
        anyhow::ensure!(operations > 0.0, "nothing was done in {took:.3} s");
        Ok(Sample { value: operations / took, cpu_us: Some(1e6 * cpu / operations) })
    }
}
