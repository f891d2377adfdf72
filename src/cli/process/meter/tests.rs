//! Usage and limits, of samples that the tests make.

use super::*;

const MIB: u64 = 1 << 20;

struct Run {
    meter: Meter,
    start: Instant,
}

impl Run {
    fn new(limits: Limits) -> Self {
        let start = crate::runtime::Clock::monotonic();
        Self { meter: Meter::new(limits, start), start }
    }

    fn at(&mut self, seconds: f64, cpu: f64, memory_bytes: u64) -> Option<Over> {
        let at = self.start + Duration::from_secs_f64(seconds);
        let cpu = Duration::from_secs_f64(cpu);
        self.meter.take(Sample { at, cpu, memory_bytes, processes: 1 })
    }

    fn usage(&self) -> Usage {
        self.meter.usage().unwrap()
    }
}

#[test]
fn usage_is_what_was_used_since_the_sample_before() {
    let mut run = Run::new(Limits::default());
    assert_eq!(run.at(1.0, 0.5, 10 * MIB), None);
    assert!((run.usage().cpu_percent - 50.0).abs() < 0.1);
    run.at(2.0, 2.5, 5 * MIB);
    assert!((run.usage().cpu_percent - 200.0).abs() < 0.1, "two cores");
    assert_eq!((run.usage().memory_bytes, run.usage().peak_memory_bytes), (5 * MIB, 10 * MIB));
    // A process ended and took its time along.
    run.at(3.0, 1.0, MIB);
    assert!(run.usage().cpu_percent.abs() < 0.1);
}

#[test]
fn memory_over_its_limit_is_told_at_once() {
    let mut run = Run::new(Limits { memory_bytes: Some(MIB), ..Limits::default() });
    assert_eq!(run.at(0.2, 0.0, MIB), None);
    let over = run.at(0.4, 0.0, MIB + 1);
    assert_eq!(over, Some(Over::Memory { used_bytes: MIB + 1, limit_bytes: MIB }));
}

#[test]
fn the_processor_may_be_used_more_for_a_moment_but_not_on_and_on() {
    let mut run = Run::new(Limits { cpu_percent: Some(50.0), ..Limits::default() });
    for second in 1..5 {
        assert_eq!(run.at(f64::from(second), f64::from(second), 0), None, "after {second} s");
    }
    let over = run.at(5.0, 5.0, 0);
    assert!(
        matches!(over, Some(Over::Cpu { used_percent, .. }) if used_percent > 99.0),
        "{over:?}"
    );
    let mut run = Run::new(Limits { cpu_percent: Some(50.0), ..Limits::default() });
    for second in 1..30 {
        // Busy for a second of four.
        let cpu = f64::from((second + 3) / 4);
        assert_eq!(run.at(f64::from(second), cpu, 0), None, "after {second} s");
    }
}
