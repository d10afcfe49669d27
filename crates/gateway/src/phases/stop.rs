//! Why a request goes no further.

use api::Problem;
use http::Response;

use crate::render::Body;

/// Why a request goes no further.
pub(crate) enum Stop {
    /// Something is wrong: a page for people, a problem document for programs.
    Refuse(Box<Problem>),
    /// It is answered.
    Answer(Box<Response<Body>>),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Refuse(Box::new(problem))
    }
}

impl From<Response<Body>> for Stop {
    fn from(response: Response<Body>) -> Self {
        Self::Answer(Box::new(response))
    }
}
