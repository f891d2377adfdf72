use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn each_setting_has_its_bounds() {
    let given = Telling::default();
    assert_eq!(given.validate(), Ok(()));
    assert_eq!(Telling { queue_age: Duration::ZERO, ..given }.validate(), Ok(()));
    let wrong = [
        ("queue-age", Telling { queue_age: Duration::from_millis(999), ..given }),
        ("queue-age", Telling { queue_age: 31 * DAY, ..given }),
        ("event-retention", Telling { events_kept: DAY / 2, ..given }),
        ("audit-retention", Telling { audit_kept: 366 * DAY, ..given }),
    ];
    for (setting, telling) in wrong {
        assert_eq!(telling.validate().map_err(|invalid| invalid.setting), Err(setting));
    }
}
