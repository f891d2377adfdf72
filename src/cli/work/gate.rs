//! How busy the machine is, and whether there is room for work.

use std::collections::VecDeque;

use sysinfo::{MemoryRefreshKind, System};

use crate::proto::v1::HostUsage;

/// Samples of which the mean counts: a start of a program is no load.
const SAMPLES: usize = 3;
/// Open again below this part of the limit, so that the gate does not flutter.
const OPEN_BELOW: f64 = 0.9;

/// Closed while the machine is busier than it may be. Without a limit it is open.
pub(super) struct Gate {
    most: Option<f64>,
    recent: VecDeque<f64>,
    open: bool,
}

impl Gate {
    /// Closed above so many percent of all cores; until the first figures are there, too.
    pub(super) fn new(most: Option<f64>) -> Self {
        Self { most, recent: VecDeque::new(), open: most.is_none() }
    }

    /// Whether there is room for work.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// The mean of the last samples, in percent of all cores.
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    pub(super) fn load(&self) -> f64 {
        self.recent.iter().sum::<f64>() / self.recent.len().max(1) as f64
    }

    /// Takes a sample; answers whether the gate moved.
    pub(super) fn sample(&mut self, cpu_percent: f64) -> bool {
        self.recent.push_back(cpu_percent);
        if self.recent.len() > SAMPLES {
            self.recent.pop_front();
        }
        let Some(most) = self.most else { return false };
        let first = self.recent.len() == 1;
        let load = self.load();
        let open = load <= most && (self.open || first || load < most * OPEN_BELOW);
        std::mem::replace(&mut self.open, open) != open
    }
}

/// The machine's processors and memory.
pub(super) struct Machine(System);

impl Machine {
    /// # Errors
    ///
    /// The system does not tell.
    pub(super) fn new() -> Result<Self, sysinfo::Error> {
        let mut system = System::new()?;
        // Figures are differences: this is the first of two looks.
        system.refresh_cpu_usage();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        Ok(Self(system))
    }

    /// Memory in all, in bytes.
    pub(super) fn memory_bytes(&self) -> i64 {
        i64::try_from(self.0.total_memory()).unwrap_or(i64::MAX)
    }

    /// How busy it was since the look before.
    pub(super) fn look(&mut self) -> HostUsage {
        self.0.refresh_cpu_usage();
        self.0.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        HostUsage {
            cpu_percent: Some(f64::from(self.0.global_cpu_usage()).clamp(0.0, 100.0)),
            memory_bytes: i64::try_from(self.0.used_memory()).ok(),
            memory_total_bytes: Some(self.memory_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_it_is_open() {
        let mut gate = Gate::new(None);
        assert!(gate.is_open() && !gate.sample(100.0) && gate.is_open());
    }

    #[test]
    fn it_is_closed_until_the_first_figures_are_there() {
        let mut gate = Gate::new(Some(80.0));
        assert!(!gate.is_open() && gate.sample(79.0) && gate.is_open());
        let mut gate = Gate::new(Some(80.0));
        assert!(!gate.sample(81.0) && !gate.is_open());
    }

    #[test]
    fn a_peak_does_not_close_it_and_it_opens_well_below_the_limit() {
        let mut gate = Gate::new(Some(80.0));
        for load in [50.0, 50.0, 100.0] {
            gate.sample(load);
        }
        assert!(gate.is_open(), "a mean of 67");
        gate.sample(100.0);
        assert!(!gate.is_open(), "a mean of 83");
        for load in [75.0, 75.0, 75.0, 75.0] {
            assert!(!gate.sample(load));
        }
        for load in [70.0, 70.0, 70.0] {
            gate.sample(load);
        }
        assert!(gate.is_open(), "below 72");
    }

    #[test]
    fn the_machine_has_memory() {
        let mut machine = Machine::new().unwrap();
        let usage = machine.look();
        assert!(machine.memory_bytes() > 0);
        assert!(usage.memory_bytes.is_some_and(|used| used > 0 && used <= machine.memory_bytes()));
    }
}
