use tonic::Code;

use super::*;

fn filter(owner: &str) -> v1::JobFilter {
    v1::JobFilter { owner: owner.to_owned(), ..v1::JobFilter::default() }
}

const LAST: JobId = JobId(Uuid::from_u128(0x0192_7c3e_0000_7000_8000_0000_0000_002a));

#[test]
fn a_token_leads_back_to_its_job() {
    let token = to_token(LAST, &filter("ann"));
    assert_eq!(from_token(&token, &filter("ann")).expect("valid"), Some(LAST));
    assert_eq!(from_token(&token.to_uppercase(), &filter("ann")).expect("valid"), Some(LAST));
}

#[test]
fn no_token_is_the_first_page() {
    assert_eq!(from_token("", &filter("ann")).expect("valid"), None);
}

#[test]
fn a_token_is_refused_with_another_filter() {
    let token = to_token(LAST, &filter("ann"));
    let status = from_token(&token, &filter("bob")).expect_err("another filter");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("another filter"), "{}", status.message());
}

#[test]
fn a_token_that_was_tampered_with_is_refused() {
    let token = to_token(LAST, &filter("ann"));
    let flipped = if token.starts_with('0') { "1" } else { "0" };
    let other = format!("{flipped}{}", &token[1..]);
    for bad in ["x", "zz", &token[2..], &format!("{token}00"), &other, &token.replace('0', "g")] {
        let status = from_token(bad, &filter("ann")).expect_err(bad);
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}
