//! Order is kept, and nothing is lost but what is counted.

use proptest::prelude::*;

use super::*;

fn job(number: u8) -> Lease {
    Lease { job_id: format!("job-{number}"), epoch: 1 }
}

fn line(number: usize, bytes: usize) -> LogEntry {
    let time = Some(Timestamp { seconds: i64::try_from(number).unwrap(), nanos: 0 });
    let message = format!("{number} {}", "x".repeat(bytes));
    LogEntry { time, message, ..LogEntry::default() }
}

/// The number of a line, or how many a gap stands for.
fn read(entry: &LogEntry) -> Result<usize, u64> {
    let number = entry.message.split(' ').next().unwrap().parse().unwrap();
    match &entry.data {
        None => Ok(number),
        Some(data) => {
            let data = prost_types::Struct::decode(data.clone()).unwrap();
            let Some(Kind::NumberValue(lines)) = data.fields["dropped_lines"].kind else {
                panic!("no number: {data:?}");
            };
            assert_eq!(entry.level(), LogLevel::Warning);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let lines = lines as u64;
            assert_eq!(lines, number as u64, "the text says the same");
            Err(lines)
        }
    }
}

fn all(spool: &mut Spool, job: &Lease) -> Vec<LogEntry> {
    let mut lines = Vec::new();
    while !spool.is_empty(job) {
        let batch = spool.take(job, usize::MAX);
        assert!(!batch.is_empty() && batch.len() <= LOG_BATCH_LINES_MAX);
        assert!(batch.iter().map(LogEntry::encoded_len).sum::<usize>() <= LOG_BATCH_BYTES_MAX);
        lines.extend(batch);
    }
    lines
}

#[test]
fn what_fits_comes_out_as_it_went_in_by_way_of_the_disk() {
    let mut spool = Spool::new(16 << 20);
    let lines: Vec<_> = (0..30_000).map(|number| line(number, 200)).collect();
    for line in &lines {
        spool.push(&job(1), line.clone());
    }
    assert!(spool.memory <= 2 * SPOOL_MEMORY_BYTES_MAX, "{}", spool.memory);
    assert!(!spool.order.is_empty(), "some are on disk");
    assert_eq!(spool.waiting(), 30_000);
    assert_eq!(all(&mut spool, &job(1)), lines);
    assert_eq!((spool.waiting(), spool.dropped(), spool.memory), (0, 0, 0));
    assert!(spool.order.is_empty() && spool.jobs.is_empty());
}

#[test]
fn when_the_disk_is_full_the_oldest_give_way_to_one_line_that_counts_them() {
    let mut spool = Spool::new(1 << 20);
    for number in 0..20_000 {
        spool.push(&job(1), line(number, 200));
    }
    let lines = all(&mut spool, &job(1));
    let read: Vec<_> = lines.iter().map(read).collect();
    let Err(dropped) = read[0] else { panic!("no gap: {:?}", read[0]) };
    assert_eq!(dropped, spool.dropped());
    let dropped = usize::try_from(dropped).unwrap();
    assert!(dropped > 5_000, "{dropped}");
    let kept: Vec<_> = (dropped..20_000).map(Ok).collect();
    assert_eq!(read[1..], kept);
    assert_eq!(lines[0].time.unwrap().seconds, i64::try_from(dropped).unwrap() - 1);
}

#[test]
fn the_oldest_of_all_jobs_give_way_first() {
    let mut spool = Spool::new(1 << 20);
    let quiet: Vec<_> = (0..400).map(|number| line(number, 2_000)).collect();
    for line in &quiet {
        spool.push(&job(1), line.clone());
    }
    for number in 0..20_000 {
        spool.push(&job(2), line(number, 200));
    }
    let first: Vec<_> = all(&mut spool, &job(2)).iter().map(read).collect();
    assert!(first[0].is_err());
    let of_quiet: Vec<_> = all(&mut spool, &job(1)).iter().map(read).collect();
    let lost: u64 = of_quiet.iter().filter_map(|line| line.err()).sum();
    let kept = of_quiet.iter().filter(|line| line.is_ok()).count() as u64;
    assert_eq!(lost + kept, 400);
}

#[test]
fn without_a_disk_memory_stays_bounded_and_what_is_dropped_is_counted() {
    let mut spool = Spool::new(0);
    for number in 0..50_000 {
        spool.push(&job(1), line(number, 200));
        assert!(spool.memory <= SPOOL_MEMORY_BYTES_MAX + (64 << 10));
    }
    let read: Vec<_> = all(&mut spool, &job(1)).iter().map(read).collect();
    let lost: u64 = read.iter().filter_map(|line| line.err()).sum();
    let kept = read.iter().filter(|line| line.is_ok()).count() as u64;
    assert_eq!((lost + kept, lost), (50_000, spool.dropped()));
}

#[derive(Debug, Clone)]
enum Step {
    Push { job: u8, lines: usize, bytes: usize },
    Take { job: u8, bytes: usize, put_back: bool },
    Remove { job: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![0..100usize, 0..8_000usize];
    prop_oneof![
        6 => (0..4u8, 1..400usize, bytes)
            .prop_map(|(job, lines, bytes)| Step::Push { job, lines, bytes }),
        3 => (0..4u8, 0..200_000usize, any::<bool>())
            .prop_map(|(job, bytes, put_back)| Step::Take { job, bytes, put_back }),
        1 => (0..4u8).prop_map(|job| Step::Remove { job }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Per job, lines come out in the order they went in; where numbers are missing, a gap stands for exactly them.
    #[test]
    fn order_is_kept_and_gaps_are_exact(
        disk in prop_oneof![Just(0usize), Just(256usize << 10), Just(4usize << 20)],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut spool = Spool::new(disk);
        // For each job: the next number in, the next number expected out.
        let mut numbers = [(0usize, 0usize); 4];
        let check = |lines: &[LogEntry], next: &mut usize| {
            for entry in lines {
                match read(entry) {
                    Ok(number) => { assert_eq!(number, *next); *next += 1; }
                    Err(dropped) => *next += usize::try_from(dropped).unwrap(),
                }
            }
        };
        for step in steps {
            match step {
                Step::Push { job: of, lines, bytes } => {
                    for _ in 0..lines {
                        let number = &mut numbers[usize::from(of)].0;
                        spool.push(&job(of), line(*number, bytes));
                        *number += 1;
                    }
                }
                Step::Take { job: of, bytes, put_back } => {
                    let batch = spool.take(&job(of), bytes);
                    if put_back {
                        spool.put_back(&job(of), batch);
                    } else {
                        check(&batch, &mut numbers[usize::from(of)].1);
                    }
                }
                Step::Remove { job: of } => {
                    spool.remove(&job(of));
                    let (next_in, next_out) = &mut numbers[usize::from(of)];
                    *next_out = *next_in;
                }
            }
        }
        for of in 0..4u8 {
            let lines = all(&mut spool, &job(of));
            let (next_in, next_out) = &mut numbers[usize::from(of)];
            check(&lines, next_out);
            prop_assert_eq!(*next_in, *next_out);
        }
        prop_assert_eq!((spool.waiting(), spool.memory, spool.order.len()), (0, 0, 0));
    }
}
