//! Everything that is to be seen fits into the time, on slow machines too.

use super::*;

/// When each job ends if the first that waits takes the first slot that is free, by priority.
fn last_end(jobs: &[Planned], window: Duration) -> f64 {
    let mut slots = vec![0.0_f64; SLOTS as usize];
    for job in jobs {
        let pace = job.payload["pace"].as_f64().unwrap();
        let pieces = match job.kind {
            "files.backup" => job.payload["files"].as_f64().unwrap() * 2.0 + 1.0,
            "primes.search" => job.payload["numbers"].as_f64().unwrap() / 250.0,
            "image.render" => job.payload["rows"].as_f64().unwrap(),
            "records.import" => 17.0,
            _ => job.payload["files"].as_f64().unwrap(),
        };
        let attempts = match job.part {
            Part::Retried => 2.0,
            Part::Cancelled => 0.6,
            Part::Plain | Part::Fails => 1.0,
        };
        let first = slots.iter().copied().fold(f64::INFINITY, f64::min);
        let slot = slots.iter().position(|free| free.total_cmp(&first).is_eq()).unwrap();
        slots[slot] = first.max(job.after.as_secs_f64()) + attempts * pieces / pace;
    }
    slots.into_iter().fold(0.0, f64::max) / window.as_secs_f64()
}

#[test]
fn a_round_ends_in_time_whatever_the_machine() {
    for seconds in [3, 27, 120] {
        let window = Duration::from_secs(seconds);
        for (speed, cores) in [(0.000_1, 16), (0.002, 2), (0.02, 1)] {
            let jobs = round(0, window, &Speed::of(speed), cores);
            let end = last_end(&jobs, window);
            assert!(end < 1.0, "{seconds} s, {speed} s a piece, {cores} cores: {end}");
        }
    }
}

#[test]
fn every_part_is_played() {
    let jobs = round(0, Duration::from_secs(3), &Speed::of(0.001), 4);
    let count = |part| jobs.iter().filter(|job| job.part == part).count();
    assert_eq!([Part::Retried, Part::Fails, Part::Cancelled].map(count), [1, 1, 1]);
    assert!(jobs.len() > SLOTS as usize, "some wait");
    let backup = jobs.iter().find(|job| job.part == Part::Retried).unwrap();
    assert!(backup.payload["bad_block"].as_u64() < backup.payload["files"].as_u64());
}

#[test]
fn more_time_is_more_work() {
    let files = |seconds| {
        let jobs = round(0, Duration::from_secs(seconds), &Speed::of(0.001), 4);
        jobs.iter().filter_map(|job| job.payload["files"].as_u64()).sum::<u64>()
    };
    assert!(files(60) > files(5) * 5);
}

#[test]
fn a_slow_machine_is_not_asked_for_more_than_it_can() {
    let jobs = round(0, Duration::from_secs(10), &Speed::of(0.01), 1);
    let busy: f64 = jobs
        .iter()
        .filter(|job| job.kind != "records.import")
        .take(SLOTS as usize)
        .map(|job| job.payload["pace"].as_f64().unwrap() * 0.01)
        .sum();
    assert!(busy < 0.65, "{busy} of a core");
}
