//! What files may say, and how it comes back.

use serde::{Deserialize, Serialize};

use super::*;
use crate::domain::schedule::OverlapPolicy;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sheet {
    #[serde(with = "span")]
    span: Duration,
    #[serde(default, with = "optional_span")]
    maybe: Option<Duration>,
    #[serde(default, with = "spans")]
    list: Vec<Duration>,
    #[serde(default, with = "optional_moment")]
    at: Option<Timestamp>,
}

fn read(json: &str) -> Result<Sheet, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn spans_are_texts_or_seconds() {
    let sheet = read(r#"{"span": "1h 30m", "maybe": 90, "list": [60, "5m", "250ms"]}"#).unwrap();
    assert_eq!(sheet.span, Duration::from_secs(5_400));
    assert_eq!(sheet.maybe, Some(Duration::from_secs(90)));
    assert_eq!(sheet.list.iter().map(Duration::as_millis).sum::<u128>(), 360_250);
    assert_eq!(sheet.at, None);
}

#[test]
fn moments_have_an_offset() {
    let sheet = read(r#"{"span": 1, "at": "2026-03-29T03:00:00+02:00"}"#).unwrap();
    assert_eq!(moment_text(sheet.at.unwrap()).unwrap(), "2026-03-29T01:00:00Z");
    let error = read(r#"{"span": 1, "at": "2026-03-29T03:00:00"}"#).unwrap_err();
    assert!(error.contains("a moment with its offset"), "{error}");
}

#[test]
fn what_is_no_span_is_refused() {
    for bad in ["-5", "\"soon\"", "\"\"", "[]", "1.5", "\"5 parsecs\""] {
        assert!(read(&format!(r#"{{"span": {bad}}}"#)).is_err(), "{bad}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let sheet = Sheet {
        span: Duration::from_millis(1_500),
        maybe: Some(Duration::from_secs(86_400)),
        list: vec![Duration::ZERO, Duration::from_nanos(1)],
        at: Some(Timestamp::from_micros(1_234_567)),
    };
    let json = serde_json::to_string(&sheet).unwrap();
    assert_eq!(read(&json).unwrap(), sheet);
    let packed = rmp_serde::to_vec_named(&sheet).unwrap();
    assert_eq!(rmp_serde::from_slice::<Sheet>(&packed).unwrap(), sheet);
}

#[test]
fn choices_are_named_in_any_case() {
    for policy in OverlapPolicy::ALL {
        let json = serde_json::to_string(policy).unwrap();
        assert_eq!(serde_json::from_str::<OverlapPolicy>(&json).unwrap(), *policy);
        assert_eq!(policy.as_str().to_lowercase().parse(), Ok(*policy));
    }
    let error = "sometimes".parse::<OverlapPolicy>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "must be one of SKIP, ALLOW, QUEUE_ONE, CANCEL_RUNNING, is \"sometimes\""
    );
}

#[test]
fn long_spans_are_written_in_days_and_read_again() {
    const DAY: u64 = 86_400;
    for (seconds, text) in
        [(365 * DAY, "365days"), (DAY, "1day"), (30 * DAY + 90, "30days 1m 30s"), (90, "1m 30s")]
    {
        let span = Duration::from_secs(seconds);
        assert_eq!(span_text(span), text);
        assert_eq!(humantime::parse_duration(text).unwrap(), span);
    }
    let range = Duration::from_secs(1)..=Duration::from_secs(365 * DAY);
    let told = out_of_range(Duration::from_millis(500), &range);
    assert_eq!(told, "must be from 1s to 365days, is 500ms");
}
