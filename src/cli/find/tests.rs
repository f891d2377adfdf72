//! Against a fake server that lists what the test says.

use std::collections::VecDeque;

use super::*;
use crate::cli::exit::Exit;
use crate::cli::tests::fake::Fake;
use crate::proto::v1::ListJobsResponse;

const ONE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const OTHER: &str = "01890a5d-ac96-774b-bcce-b30211111111";

fn page(ids: &[&str]) -> ListJobsResponse {
    let jobs = ids.iter().map(|id| Job { id: (*id).to_owned(), ..Job::default() });
    ListJobsResponse { jobs: jobs.collect(), ..ListJobsResponse::default() }
}

async fn found(written: &str, pages: [ListJobsResponse; 3]) -> Result<String, Failure> {
    let fake = Fake::start(VecDeque::new()).await;
    fake.pages(pages);
    let client = Client::connect(&fake.address, None).await.unwrap();
    job(&client, &parse::job_id(written).unwrap()).await
}

#[tokio::test]
async fn a_beginning_or_an_end_names_a_job_wherever_it_is_listed() {
    let pages = |at: usize| {
        let mut pages = [page(&[]), page(&[]), page(&[])];
        pages[at] = page(&[ONE, OTHER]);
        pages
    };
    for at in 0..3 {
        assert_eq!(found("099a8057", pages(at)).await.unwrap(), ONE);
        assert_eq!(found("01890A5D-AC96-774B-BCCE-B302099", pages(at)).await.unwrap(), ONE);
    }
}

#[tokio::test]
async fn what_fits_several_jobs_is_refused_with_their_ids() {
    let failure = found("01890a5d", [page(&[ONE]), page(&[OTHER, ONE]), page(&[])]).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    let said = failure.lines().join("\n");
    assert!(
        said.contains(ONE) && said.contains(OTHER) && said.contains("more of the id"),
        "{said}"
    );
}

#[tokio::test]
async fn what_fits_no_job_is_not_found() {
    let failure = found("ffffffff", [page(&[ONE]), page(&[]), page(&[])]).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::NotFound);
    assert!(failure.lines().last().unwrap().contains("jobplane list"));
}

#[test]
fn a_beginning_tells_when_the_job_was_made() {
    // 0x01890a5dac96 ms; eight digits leave 16 bits open.
    let whole = created("01890a5d-ac96").unwrap();
    let (after, before) = (whole.create_time_after.unwrap(), whole.create_time_before.unwrap());
    let second = 0x0189_0a5d_ac96_i64 / 1_000;
    assert!(after.seconds <= second - 4 && before.seconds >= second + 4);
    assert!(before.seconds - after.seconds <= 12);
    let part = created("01890a5d").unwrap();
    let (after, before) = (part.create_time_after.unwrap(), part.create_time_before.unwrap());
    assert!((70..80).contains(&(before.seconds - after.seconds)));
    // An end is no time.
    assert!(created("ffffffff").is_none());
}
