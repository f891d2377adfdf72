use tonic::Code;

use super::*;

fn asked(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest { service: service.to_owned() })
}

async fn check(api: &HealthApi, service: &str) -> Result<ServingStatus, Code> {
    let answer = api.check(asked(service)).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

#[tokio::test]
async fn a_check_says_whether_the_server_is_about_to_stop() {
    let shutdown = Shutdown::new();
    let api = HealthApi::new(shutdown.clone());
    for service in SERVICES {
        assert_eq!(check(&api, service).await, Ok(ServingStatus::Serving), "{service:?}");
    }
    shutdown.signal();
    for service in SERVICES {
        assert_eq!(check(&api, service).await, Ok(ServingStatus::NotServing), "{service:?}");
    }
    assert_eq!(check(&api, "other").await, Err(Code::NotFound));
}

#[tokio::test]
async fn a_watch_says_it_once_and_ends() {
    let shutdown = Shutdown::new();
    let api = HealthApi::new(shutdown.clone());
    let watch = api.watch(asked("")).await.expect("a watch").into_inner();
    let unknown = api.watch(asked("other")).await.expect("a watch").into_inner();
    shutdown.signal();
    let late = api.watch(asked("")).await.expect("a watch").into_inner();
    for (answers, wanted) in [
        (watch, &[ServingStatus::Serving, ServingStatus::NotServing][..]),
        (unknown, &[ServingStatus::ServiceUnknown]),
        (late, &[ServingStatus::NotServing]),
    ] {
        let told: Vec<_> = answers.map(|answer| answer.expect("a status").status()).collect().await;
        assert_eq!(told, wanted);
    }
}
