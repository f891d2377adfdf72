use super::*;

fn read(text: &str) -> Result<String, String> {
    text.parse::<Address>().map(|address| address.to_string())
}

#[test]
fn an_address_may_leave_out_scheme_and_port() {
    for (text, address) in [
        ("http://127.0.0.1:50051", "http://127.0.0.1:50051"),
        ("127.0.0.1:1234", "http://127.0.0.1:1234"),
        (" localhost:1234 ", "http://localhost:1234"),
        ("jobs.internal", "http://jobs.internal:50051"),
        ("http://jobs.internal", "http://jobs.internal:80"),
        ("http://jobs.internal:8080/", "http://jobs.internal:8080"),
        ("[::1]:50051", "http://[::1]:50051"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(address), "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused_with_advice() {
    for text in ["", "http://", "https://jobs:443", "grpc://jobs:1", "host:port", "jobs:1/path"] {
        let problem = read(text).unwrap_err();
        assert!(problem.contains("write"), "{text}: {problem}");
    }
}
