//! What a check found.

/// Something that cannot be, and the operations that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In one sentence.
    pub what: String,
    /// As few as show it, by their numbers in the history.
    pub operations: Vec<u32>,
    /// Lines that explain more.
    pub notes: Vec<String>,
}

impl Fault {
    pub fn new(what: String, operations: Vec<u32>) -> Fault {
        Fault { what, operations, notes: Vec::new() }
    }
}

/// What one check came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Keys, lists, transactions: what was judged, each by itself.
    pub objects: usize,
    /// Of each kind of fault the first or the smallest.
    pub faults: Vec<Fault>,
    /// How many faults there are.
    pub total: usize,
    /// Keys whose operations overlap too much for a verdict.
    pub undecided: Vec<u32>,
}

impl Findings {
    /// A further fault of a kind, of which only the first is kept.
    pub fn add(&mut self, is_first: bool, fault: impl FnOnce() -> Fault) {
        self.total += 1;
        if is_first {
            self.faults.push(fault());
        }
    }

    pub fn merge(&mut self, other: Findings) {
        self.objects = self.objects.max(other.objects);
        self.faults.extend(other.faults);
        self.total += other.total;
        self.undecided.extend(other.undecided);
    }
}
