use tonic::Code;

use super::*;

#[test]
fn a_client_is_told_in_its_two_parts() {
    let told = |text| client(text).map(|client| (client.name, client.version));
    let parts = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
    assert_eq!(told(""), None);
    assert_eq!(told("jobplane-python"), parts("jobplane-python", ""));
    assert_eq!(told("jobplane-python 1.2"), parts("jobplane-python", "1.2"));
    assert_eq!(told("my own client 1.2"), parts("my own client", "1.2"));
}

#[test]
fn every_wrong_field_of_a_filter_is_named() {
    let request =
        v1::ListWorkersRequest { queues: vec!["no spaces".to_owned()], states: vec![1, 9] };
    let status = filter(&request).expect_err("two wrong fields");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("and 1 more field"), "{}", status.message());
}

#[test]
fn an_unspecified_state_does_not_filter() {
    let request = v1::ListWorkersRequest { queues: Vec::new(), states: vec![3, 0] };
    assert_eq!(filter(&request).expect("valid"), WorkerFilter::default());
    let request = v1::ListWorkersRequest { queues: Vec::new(), states: vec![3] };
    assert_eq!(filter(&request).expect("valid").states, [WorkerState::Lost]);
}
