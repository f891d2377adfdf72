use super::*;

#[test]
fn origins_are_as_browsers_write_them() {
    for origin in [
        "https://jobs.example.com",
        "http://localhost:3000",
        "http://[::1]:8080",
        "http://10.0.0.1",
    ] {
        assert!(is_origin(origin), "{origin}");
    }
    for wrong in [
        "*",
        "",
        "null",
        "jobs.example.com",
        "https://jobs.example.com/",
        "https://jobs.example.com/page",
        "https://Jobs.example.com",
        "https://jobs.example.com:443",
        "https://me@jobs.example.com",
        "ftp://jobs.example.com",
        "https://",
        "https://*.example.com ",
    ] {
        assert!(!is_origin(wrong), "{wrong}");
    }
}

#[test]
fn the_one_that_is_wrong_is_named() {
    let origins = ["https://a.example".to_owned(), "*".to_owned()];
    let message = validate(&origins).expect_err("no origin").to_string();
    assert!(message.starts_with(r#"cors-origin is "*", and must be a scheme"#), "{message}");
}
