use crate::grpc::convert::Path;

#[test]
fn a_path_is_spelled_as_the_api_names_it() {
    let root = Path::root("spec");
    let policy = root.field("retry_policy");
    let delays = policy.field("delays");
    assert_eq!(delays.index(3).to_string(), "spec.retry_policy.delays[3]");
    assert_eq!(root.field("labels").key("a \"b\"").to_string(), r#"spec.labels["a \"b\""]"#);
    assert_eq!(Path::root("").field("job_id").to_string(), "job_id");
    assert_eq!(Path::root("").field("labels").key("k").to_string(), r#"labels["k"]"#);
}

#[test]
fn a_long_key_is_cut_at_a_character() {
    let key = "ä".repeat(10_000);
    let text = Path::root("labels").key(&key).to_string();
    assert!(text.len() < 100 && text.ends_with("…]"), "{text}");
}
