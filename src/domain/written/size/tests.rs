//! What is a size, and that it is written as it is read.

use proptest::prelude::*;

use super::*;

#[test]
fn suffixes_mean_what_they_mean_to_kubernetes() {
    for (text, bytes) in [
        ("0", 0),
        ("4096", 4_096),
        ("7B", 7),
        ("64KiB", 64 << 10),
        ("1k", 1_000),
        ("512M", 512_000_000),
        ("512MB", 512_000_000),
        ("512Mi", 512 << 20),
        ("512 mib", 512 << 20),
        ("1.5Gi", 3 << 29),
        ("0.5G", 500_000_000),
        ("2T", 2_000_000_000_000),
        ("1Pi", 1 << 50),
        ("1.0001Ki", 1_024),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(parse(text), Ok(bytes), "{text}");
    }
    for wrong in [
        "",
        "M",
        "-1",
        "+1",
        "2X",
        "1..5G",
        "1.5.5G",
        ".5G",
        "5.G",
        "1iB",
        "NaN",
        "1e6",
        "18446744073709551616",
        "99999Pi",
    ] {
        let said = parse(wrong).unwrap_err().to_string();
        assert!(
            said.contains("M is 10^6, Mi is 2^20") && said.ends_with(&format!("{wrong:?}")),
            "{said}"
        );
    }
}

#[test]
fn a_size_is_shown_in_the_largest_unit_that_holds_it() {
    for (bytes, shown) in [
        (0, "0"),
        (1_023, "1023"),
        (1_024, "1Ki"),
        (3 << 29, "1536Mi"),
        (100_000_000, "100M"),
        (1_025, "1025"),
    ] {
        assert_eq!(text(bytes), shown);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(bytes: u64, small in 0_u64..5_000, unit in 0..UNITS.len()) {
        prop_assert_eq!(parse(&text(bytes)), Ok(bytes));
        let round = small * UNITS[unit].1;
        prop_assert_eq!(parse(&text(round)), Ok(round));
        prop_assert_eq!(parse(&format!("{small}{}B", UNITS[unit].0)), Ok(round));
    }
}
