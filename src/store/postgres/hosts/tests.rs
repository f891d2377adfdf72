//! URLs of one host and of several.

use super::*;

const WITHIN: Duration = Duration::from_secs(6);

#[test]
fn a_url_of_one_host_is_taken_as_it_is() {
    for url in [
        "postgres://ann:se%2Ccret@db.example:6432/jobs?sslmode=verify-full",
        "postgres:///jobs?host=/run/postgresql",
        "postgresql://localhost",
    ] {
        assert_eq!(urls(url), [url]);
    }
    assert_eq!(Hosts::of("postgres://ann@one/jobs", WITHIN).unwrap().within, WITHIN);
}

#[test]
fn a_url_of_several_hosts_is_one_for_each() {
    let url = "postgres://ann:a,b@one:5433,two,[::1]:5434/jobs\
        ?target_session_attrs=read-write&sslmode=require";
    let hosts = Hosts::of(url, WITHIN).unwrap();
    assert_eq!(hosts.place(), "one:5433,two:5432,[::1]:5434");
    assert_eq!(hosts.within, WITHIN / 3);
    for options in &hosts.options {
        assert_eq!((options.get_username(), options.get_database()), ("ann", Some("jobs")));
        assert!(matches!(options.get_ssl_mode(), sqlx::postgres::PgSslMode::Require));
    }
}

#[test]
fn a_wish_for_the_primary_is_none_of_the_librarys() {
    let wish = "postgres://one,two/jobs?target_session_attrs=primary";
    assert_eq!(urls(wish), ["postgres://one/jobs", "postgres://two/jobs"]);
    let other = "postgres://one/jobs?sslmode=require&application_name=x";
    assert_eq!(urls(other), [other]);
}

#[test]
fn a_url_that_cannot_be_read_is_refused() {
    for url in ["postgres://one:port/jobs", "postgres://one,two:99999/jobs", "one,two"] {
        assert!(Hosts::of(url, WITHIN).is_err(), "{url}");
    }
}

#[tokio::test]
async fn hosts_that_nobody_is_on_are_told_as_such() {
    // Nobody can listen there.
    let hosts = Hosts::of("postgres://ann@127.0.0.1:1,127.0.0.1:2/jobs", WITHIN).unwrap();
    assert!(matches!(hosts.connect().await, Err(sqlx::Error::Io(_))));
    assert!(matches!(hosts.writable().await, Err(sqlx::Error::Io(_))));
}
