//! What tools print, and what is no progress although it looks so.

use proptest::prelude::*;

use super::*;

fn percent(percent: f64) -> Reading {
    Reading { percent: Some(percent), ..Reading::default() }
}

fn ratio(completed: i64, total: i64, unit: &str) -> Reading {
    let (completed, total) = (Some(completed), Some(total));
    Reading { completed, total, unit: unit.to_owned(), ..Reading::default() }
}

/// The figures and the unit alone: names are tested by themselves.
fn figures(said: &Said) -> Option<Reading> {
    let (Said::Progress(reading) | Said::Both(reading)) = said else { return None };
    Some(Reading {
        completed: reading.completed,
        total: reading.total,
        percent: reading.percent,
        unit: reading.unit.clone(),
        ..Reading::default()
    })
}

#[test]
fn what_tools_print_is_read() {
    let table = [
        ("45%", percent(45.0)),
        (" 45.3 %", percent(45.3)),
        ("450/1000", ratio(450, 1000, "")),
        ("[450/1000]", ratio(450, 1000, "")),
        ("450 of 1000", ratio(450, 1000, "")),
        ("450 / 1000", ratio(450, 1000, "")),
        ("Completed 450 of 1000 files (45%)", ratio(450, 1000, "files")),
        ("450/1000 (45.0%) done, ETA 00:12", ratio(450, 1000, "")),
        ("1,500/3,000 rows", ratio(1500, 3000, "rows")),
        ("Progress: 45%", percent(45.0)),
        ("Processed 450/1000 files", ratio(450, 1000, "files")),
        ("Downloading 12%", percent(12.0)),
        // tqdm
        (" 45%|####5     | 450/1000 [00:10<00:12, 45.0it/s]", ratio(450, 1000, "")),
        ("  0%|          | 0/1000 [00:00<?, ?it/s]", ratio(0, 1000, "")),
        ("Training: 45%|████▌     | 450/1000 [00:10<00:12, 45.0it/s]", ratio(450, 1000, "")),
        // rsync --info=progress2
        ("    32,768,000  45%   31.25MB/s    0:00:01 (xfr#5, to-chk=169/396)", percent(45.0)),
        // wget
        ("file.iso   45%[=====>          ]  45.00M  10.2MB/s    eta 8s", percent(45.0)),
        // curl -#
        ("##########                     45.3%", percent(45.3)),
        // pv
        (" 450MiB 0:00:10 [45.0MiB/s] [======>         ] 45% ETA 0:00:12", percent(45.0)),
        // wget without a terminal, yt-dlp, gradle, rclone, apt
        ("     0K .......... .......... ..........  0% 1.23M 8s", percent(0.0)),
        ("[download]  45.0% of 100.00MiB at 10.00MiB/s ETA 00:05", percent(45.0)),
        ("<=====--------> 45% EXECUTING [10s]", percent(45.0)),
        ("Transferred:   12.5 MiB / 100 MiB, 12%, 1 MiB/s, ETA 1m", percent(12.0)),
        ("Transferred:   3 / 10, 30%", ratio(3, 10, "")),
        ("Reading package lists... 45%", percent(45.0)),
        // pip: of a size, so no items
        ("   ━━━━━━━━━━━━ 12.5/50.0 MB 10.1 MB/s eta 0:00:05", percent(25.0)),
        // cargo, keras
        ("    Building [=====>                   ] 450/1000: foo, bar", ratio(450, 1000, "")),
        ("450/1000 [=====>....] - ETA: 12s - loss: 0.1", ratio(450, 1000, "")),
        // ninja, pytest, docker build
        ("[450/1000] Building foo.o", ratio(450, 1000, "")),
        ("test_a.py ....                        [ 45%]", percent(45.0)),
        // git
        ("Receiving objects:  45% (450/1000)", ratio(450, 1000, "")),
    ];
    let wrong: Vec<_> = table
        .iter()
        .map(|(line, wanted)| (line, figures(&read(line, Mode::Auto)), wanted))
        .filter(|(_, found, wanted)| found.as_ref() != Some(wanted))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_only_looks_so_is_none() {
    let lines = [
        "",
        "done",
        "2024/11/22",
        "11/22 10:30:00 started",
        "a/1/2",
        "/var/log/1/2",
        "disk 45% full",
        "tests failed in 3/10 of the cases we looked at today",
        "CPU 45% memory 20%",
        "120%",
        "5/3",
        "12.5/100",
        "http://example.com/45%20x",
        "ratio 1/0",
        "-5%",
        "warning: 45% of the quota is used",
        "24/7 support",
        "1/2 cup of sugar",
        "50% off",
        "coverage: 92%",
        "TOTAL      1234     56    95%",
        "Disk usage: 45%",
        "/dev/sda1       100G   45G   55G  45% /",
        "3 packets transmitted, 3 received, 0% packet loss, time 2003ms",
        "8.5/10",
        "Passed: 45/50",
        "Test 3/10 passed 2/5",
        "450/1000 (99%)",
        "  % Total    % Received % Xferd  Average Speed",
        "a1b2c3d4: Downloading [=====>     ]  12.5MB/100MB",
        "99999999999999999999/99999999999999999999",
    ];
    let wrong: Vec<_> = lines
        .iter()
        .map(|line| (line, read(line, Mode::Auto)))
        .filter(|(_, said)| *said != Said::Nothing)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_figure_beside_other_words_is_logged_too() {
    assert!(matches!(read("[450/1000] Building foo.o", Mode::Auto), Said::Both(_)));
    assert!(matches!(read("450/1000", Mode::Auto), Said::Progress(_)));
    let Said::Both(step) = read("Step 3/10 : RUN make", Mode::Auto) else { panic!("no step") };
    assert_eq!((step.step_number, step.step_count, step.completed), (3, 10, None));
    let Said::Progress(git) = read("Receiving objects:  45% (450/1000)", Mode::Auto) else {
        panic!("no progress");
    };
    assert_eq!(git.step, "Receiving objects");
}

#[test]
fn lines_of_json_say_all_of_it() {
    let line = r#"{"progress":{"completed":450,"total":1000,"step":"copy","message":"m","succeeded":440,"failed":10,
        "unit":"rows","step_number":2,"step_count":3}}"#;
    for mode in [Mode::Auto, Mode::Json] {
        let Said::Progress(reading) = read(line, mode) else { panic!("{mode:?}") };
        assert_eq!((reading.completed, reading.total), (Some(450), Some(1000)));
        assert_eq!((reading.succeeded, reading.failed), (Some(440), Some(10)));
        assert_eq!((reading.step.as_str(), reading.unit.as_str()), ("copy", "rows"));
        assert_eq!((reading.step_number, reading.step_count), (2, 3));
    }
    assert_eq!(read(line, Mode::Off), Said::Nothing);
    assert_eq!(read("45%", Mode::Json), Said::Nothing);
    for wrong in [
        r#"{"progress":{"completed":-1}}"#,
        r#"{"progress":{"completed":3,"total":2}}"#,
        r#"{"progress":{"percent":101}}"#,
        r#"{"progress":{"completed":"3"}}"#,
        r#"{"progress":{}}"#,
        r#"{"progress":3}"#,
        r#"{"progress":{"completed":3}"#,
    ] {
        assert_eq!(read(wrong, Mode::Json), Said::Nothing, "{wrong}");
    }
}

#[test]
fn a_new_step_keeps_the_figures_before_it() {
    let before = ratio(4, 9, "files");
    let step = Reading { step: "next".to_owned(), ..Reading::default() };
    let after = step.after(Some(&before));
    assert_eq!((after.completed, after.total, after.step.as_str()), (Some(4), Some(9), "next"));
    assert_eq!(percent(3.0).after(Some(&before)), percent(3.0));
}

fn fits(reading: &Reading) -> bool {
    let counts = [reading.completed, reading.total, reading.succeeded, reading.failed];
    counts.iter().flatten().all(|count| *count >= 0)
        && reading.total.is_none_or(|total| reading.completed.unwrap_or(0) <= total)
        && reading.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent))
        && (reading.percent.is_none() || reading.total.is_none())
        && reading.unit.len() <= PROGRESS_UNIT_BYTES_MAX
        && reading.step.len() <= PROGRESS_NAME_BYTES_MAX
}

proptest! {
    #[test]
    fn any_text_is_taken_and_a_reading_fits(line in "\\PC{0,200}") {
        if let Said::Progress(reading) | Said::Both(reading) = read(&line, Mode::Auto) {
            prop_assert!(fits(&reading), "{:?}", reading);
        }
    }

    #[test]
    fn so_does_what_is_made_of_the_parts_of_progress(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "45%", "450/1000", "1000/450", " ", "[", "]", "####", "|", "Step", "of", "12.5", "MiB", "/", "ü", "99",
                "9999999999999999999999/99999999999999999999999", "…", "(", ")", "100.0%", ",", "\u{2588}",
            ]),
            0..12,
        )
    ) {
        let line = parts.concat();
        if let Said::Progress(reading) | Said::Both(reading) = read(&line, Mode::Auto) {
            prop_assert!(fits(&reading), "{:?} of {}", reading, line);
        }
    }
}
