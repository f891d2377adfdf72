use tonic::Code;

use super::*;
use crate::domain::JobType;

fn resume() -> Resume {
    let origin = Origin { store: Uuid::from_u128(7), timeline: 3 };
    Resume { origin, position: Position::Sequence(1_234) }
}

fn of_type(name: &str) -> JobFilter {
    JobFilter { types: vec![JobType::new(name).expect("a name")], ..JobFilter::default() }
}

#[test]
fn a_token_tells_its_place() {
    let scope = Scope::of(&of_type("sync"), View::Basic);
    let token = to_token(&resume(), scope);
    assert_eq!(from_token(&token, scope).expect("whole"), resume());
    assert!(token.chars().all(|c| c.is_ascii_alphanumeric()), "{token}");
}

#[test]
fn a_token_of_another_filter_or_view_is_refused() {
    let token = to_token(&resume(), Scope::of(&of_type("sync"), View::Basic));
    for other in [
        Scope::of(&of_type("backup"), View::Basic),
        Scope::of(&of_type("sync"), View::Full),
        Scope::of(&JobFilter::default(), View::Basic),
    ] {
        let status = from_token(&token, other).expect_err("another wish");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("another filter or view"), "{}", status.message());
    }
}

#[test]
fn every_broken_token_is_refused() {
    let scope = Scope::of(&of_type("sync"), View::Basic);
    let token = to_token(&resume(), scope);
    let mut broken = vec!["x".to_owned(), "zz".to_owned(), "é".to_owned(), "ab".repeat(100)];
    broken.extend((1..token.len()).map(|end| token[..end].to_owned()));
    broken.extend((0..token.len()).map(|at| {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        String::from_utf8(bytes).expect("digits")
    }));
    for text in broken {
        let status = from_token(&text, scope).expect_err("broken");
        assert_eq!(status.code(), Code::InvalidArgument, "{text}");
    }
}
