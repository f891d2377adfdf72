//! Which views a job may concern: each stands under the part of its filter that tells most, so that a
//! change is tried against few of them however many there are.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::domain::{Category, Job, JobFilter, JobType, QueueName};

use super::view::View;

/// What a view stands under, most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Field {
    Id,
    ExternalId,
    Subject,
    Owner,
    Label,
    Type,
    CreatedBy,
    Queue,
    Category,
}

const FIELDS: usize = 9;

/// See the module. A shelf is found by the hash of its name: two names that share one cost a look more.
#[derive(Default)]
pub(super) struct Index {
    hasher: RandomState,
    shelves: HashMap<u64, Vec<Arc<View>>>,
    /// Views that stand under each field, so that fields nobody asks by cost nothing.
    used: [usize; FIELDS],
    /// Views without a part to find them by.
    rest: Vec<Arc<View>>,
}

impl Index {
    /// Views without a part to find them by.
    pub(super) const fn unindexed(&self) -> usize {
        self.rest.len()
    }

    /// Whether a view of this filter can be found by a part of it.
    pub(super) fn has_place_for(filter: &JobFilter) -> bool {
        place(filter).is_some()
    }

    pub(super) fn insert(&mut self, view: &Arc<View>) {
        match place(view.filter()) {
            Some((field, names)) => {
                self.used[field as usize] += 1;
                for name in names {
                    let shelf = self.hasher.hash_one((field, name));
                    self.shelves.entry(shelf).or_default().push(Arc::clone(view));
                }
            }
            None => self.rest.push(Arc::clone(view)),
        }
    }

    pub(super) fn remove(&mut self, view: &Arc<View>) {
        let others = |held: &Arc<View>| !Arc::ptr_eq(held, view);
        match place(view.filter()) {
            Some((field, names)) => {
                self.used[field as usize] -= 1;
                for name in names {
                    let shelf = self.hasher.hash_one((field, name));
                    if let Some(views) = self.shelves.get_mut(&shelf) {
                        views.retain(others);
                        if views.is_empty() {
                            self.shelves.remove(&shelf);
                        }
                    }
                }
            }
            None => self.rest.retain(others),
        }
    }

    /// Every view that `job` may concern, or may have concerned in its queue before.
    pub(super) fn candidates(&self, job: &Job, queue_before: Option<&QueueName>) -> Vec<Arc<View>> {
        let mut found = self.rest.clone();
        let mut add = |field: Field, name: &[&str]| {
            if self.used[field as usize] > 0
                && let Some(views) = self.shelves.get(&self.hash(field, name))
            {
                found.extend(views.iter().map(Arc::clone));
            }
        };
        let (spec, status) = (&job.spec, &job.status);
        if self.used[Field::Id as usize] > 0 {
            add(Field::Id, &[&job.id.to_string()]);
        }
        for (field, text) in [
            (Field::ExternalId, &spec.external_id),
            (Field::Subject, &spec.subject),
            (Field::Owner, &spec.owner),
            (Field::CreatedBy, &status.created_by),
        ] {
            add(field, &[text]);
        }
        if self.used[Field::Label as usize] > 0 {
            for (key, value) in &spec.labels {
                add(Field::Label, &[key, value]);
            }
        }
        add(Field::Type, &[spec.job_type.as_str()]);
        if let Some(category) = &status.category {
            add(Field::Category, &[category.as_str()]);
        }
        let queue = &status.effective.queue;
        add(Field::Queue, &[queue.as_str()]);
        if let Some(before) = queue_before.filter(|before| *before != queue) {
            add(Field::Queue, &[before.as_str()]);
            // One view may stand under both queues.
            found.sort_unstable_by_key(Arc::as_ptr);
            found.dedup_by(|one, other| Arc::ptr_eq(one, other));
        }
        found
    }

    /// Texts hash as they do when they are owned.
    fn hash(&self, field: Field, name: &[&str]) -> u64 {
        self.hasher.hash_one((field, name))
    }
}

/// The field a view stands under, and the names it is found by there. The empty text is no name: most
/// jobs have it.
fn place(filter: &JobFilter) -> Option<(Field, Vec<Vec<String>>)> {
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let one = |name: String| vec![vec![name]];
    let each = |names: &mut dyn Iterator<Item = &str>| {
        names.map(|name| vec![name.to_owned()]).collect::<Vec<_>>()
    };
    if !filter.job_ids.is_empty() {
        return Some((Field::Id, filter.job_ids.iter().map(|id| vec![id.to_string()]).collect()));
    }
    for (field, text) in [
        (Field::ExternalId, &filter.external_id),
        (Field::Subject, &filter.subject),
        (Field::Owner, &filter.owner),
    ] {
        if let Some(text) = named(text) {
            return Some((field, one(text)));
        }
    }
    if let Some((key, value)) = filter.labels.iter().next() {
        return Some((Field::Label, vec![vec![key.clone(), value.clone()]]));
    }
    if !filter.types.is_empty() {
        return Some((Field::Type, each(&mut filter.types.iter().map(JobType::as_str))));
    }
    if let Some(caller) = named(&filter.created_by) {
        return Some((Field::CreatedBy, one(caller)));
    }
    if !filter.queues.is_empty() {
        return Some((Field::Queue, each(&mut filter.queues.iter().map(QueueName::as_str))));
    }
    if !filter.categories.is_empty() {
        let mut names = filter.categories.iter().map(Category::as_str);
        return Some((Field::Category, each(&mut names)));
    }
    None
}
