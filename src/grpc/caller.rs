//! Who calls: the one place where an identity is taken from a request.

use tonic::Request;

use crate::auth::Caller;

/// The caller of a request; everybody is anonymous so far.
#[must_use]
pub fn caller<T>(_request: &Request<T>) -> Caller {
    Caller::anonymous()
}
