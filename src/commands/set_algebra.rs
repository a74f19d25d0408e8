//! What the commands that combine sets, and those that combine sorted sets, have in common.

/// What is made of the inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What is done with the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Counted,
    Stored,
}
