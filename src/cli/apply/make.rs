//! The steps of a plan, made one after the other.

use super::plan::{Action, Plan, Step};
use super::tell;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::format;
use crate::cli::output::{Format, Out};
use crate::proto::v1::{
    DeleteJobTypeRequest, DeleteQuotaRequest, PutJobTypeRequest, PutQuotaRequest,
    UpdateDefaultsRequest, UpdateQueueRequest,
};

/// Makes all steps and tells each when it is made.
///
/// # Errors
///
/// The first step that fails is the last one. That a step cannot be told is no reason to leave out those behind it: it is
/// an error once all are made.
pub async fn all(client: &Client, plan: &mut Plan, out: &mut Out) -> Result<(), Failure> {
    let mut told = Ok(());
    for place in 0..plan.steps.len() {
        let step = &mut plan.steps[place];
        if let Err(failure) = one(client, step).await {
            // Whether it can be told or not, why it ended is what counts.
            drop(tell::whole(plan, place, false, out));
            return Err(failure);
        }
        if told.is_ok() {
            told = tell::step(step, out).and_then(|()| out.flush());
        }
    }
    let told = told.and(tell::whole(plan, plan.steps.len(), false, out)).and(out.flush());
    if told.is_err() && out.format() != Format::Table {
        drop(out.note(&tell::sum(plan, false)));
    }
    told
}

async fn one(client: &Client, step: &mut Step) -> Result<(), Failure> {
    let doing = format!("{} {} {}", step.verb, step.kind, format::plain(&step.name));
    match step.action.clone() {
        Action::UpdateDefaults(defaults) => {
            let request = UpdateDefaultsRequest { defaults: Some(defaults), update_mask: None };
            let request = client.request(request);
            client.change(&doing, client.admin().update_defaults(request)).await.map(drop)
        }
        Action::PutQuota(quota) => {
            let request = client.request(PutQuotaRequest { quota: Some(quota) });
            client.change(&doing, client.admin().put_quota(request)).await.map(drop)
        }
        Action::UpdateQueue { queue, paths } => {
            let paths: Vec<_> = paths.into_iter().map(ToOwned::to_owned).collect();
            let update_mask = (!paths.is_empty()).then_some(prost_types::FieldMask { paths });
            let request = UpdateQueueRequest { queue: Some(queue), update_mask };
            let request = client.request(request);
            client.change(&doing, client.admin().update_queue(request)).await.map(drop)
        }
        Action::PutType(job_type) => {
            let request =
                PutJobTypeRequest { job_type: Some(*job_type), ..PutJobTypeRequest::default() };
            let request = client.request(request);
            let answer = client.change(&doing, client.types().put_job_type(request)).await?;
            if step.verb == "create" && !answer.created {
                (step.verb, step.was_declared) = ("change", true);
            }
            Ok(())
        }
        Action::DeleteType(name) => {
            let request = client.request(DeleteJobTypeRequest { r#type: name });
            client.change(&doing, client.types().delete_job_type(request)).await.map(drop)
        }
        Action::DeleteQuota(name) => {
            let request = client.request(DeleteQuotaRequest { name });
            client.change(&doing, client.admin().delete_quota(request)).await.map(drop)
        }
    }
}
