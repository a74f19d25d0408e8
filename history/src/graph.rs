//! What must come before what, and the smallest circle in it.

use std::collections::VecDeque;

use super::Key;

/// How one transaction depends on another, from the strongest kind to the weakest: cycles of the stronger
/// ones alone are looked for first, because they say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependency {
    WriteWrite,
    WriteRead,
    ReadWrite,
    Pipeline,
    Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    Register(Key),
    List(Key),
    Counter(Key),
}

/// Why there is an edge.
#[derive(Clone, Copy, Debug)]
pub struct Reason {
    pub dependency: Dependency,
    pub object: Option<Object>,
    /// It leads from a helper on; the edge into the helper says why.
    pub follows: bool,
    /// The transaction that shows the order of two versions, if it is a third one.
    pub witness: Option<u32>,
}

impl Reason {
    pub fn new(dependency: Dependency, object: Object) -> Self {
        Reason { dependency, object: Some(object), follows: false, witness: None }
    }

    pub fn pipeline() -> Self {
        Reason { dependency: Dependency::Pipeline, object: None, follows: false, witness: None }
    }

    /// The order of the clock: for an object, if it tells the order of its versions.
    pub fn time(object: Option<Object>) -> Self {
        Reason { dependency: Dependency::Time, object, follows: object.is_some(), witness: None }
    }

    pub fn shown_by(self, witness: u32) -> Self {
        Reason { witness: Some(witness), ..self }
    }

    /// From a helper on, to what comes after all that lead to it.
    pub fn onward(object: Object) -> Self {
        Reason { dependency: Dependency::WriteWrite, object: Some(object), follows: true, witness: None }
    }
}

#[derive(Clone, Copy)]
struct Edge {
    from: u32,
    to: u32,
    reason: Reason,
}

pub struct Graph {
    /// Nodes below this are transactions, others helpers.
    transactions: u32,
    nodes: u32,
    edges: Vec<Edge>,
}

/// A circle: each transaction with the reasons why it comes before the next one, the last before the first.
pub struct Cycle {
    pub steps: Vec<(u32, Vec<Reason>)>,
}

/// Edges that the search for the smallest cycle looks at, at most; a component of a broken history can have
/// all transactions in it.
const SEARCH_EDGES_MAX: usize = 20_000_000;

impl Graph {
    pub fn new(transactions: usize) -> Self {
        Graph { transactions: transactions as u32, nodes: transactions as u32, edges: Vec::new() }
    }

    /// New nodes that stand for many edges: everything that leads in comes before everything that it leads
    /// to. The first of them.
    pub fn add_helpers(&mut self, count: usize) -> u32 {
        self.nodes += count as u32;
        self.nodes - count as u32
    }

    /// `from` comes before `to`. That something comes before itself says nothing.
    pub fn add(&mut self, from: u32, to: u32, reason: Reason) {
        if from != to {
            self.edges.push(Edge { from, to, reason });
        }
    }

    /// The smallest cycle of the strongest dependencies that have one.
    pub fn smallest_cycle(&self) -> Option<Cycle> {
        let weakest = Dependency::Time;
        // Almost always there is none at all, which one look tells.
        if Adjacency::new(self, weakest).components().is_empty() {
            return None;
        }
        let kinds = [
            Dependency::WriteWrite,
            Dependency::WriteRead,
            Dependency::ReadWrite,
            Dependency::Pipeline,
            weakest,
        ];
        kinds
            .into_iter()
            .find_map(|dependency| Adjacency::new(self, dependency).smallest_cycle(self.transactions))
    }
}

/// The edges up to a kind of dependency, by where they begin.
struct Adjacency {
    /// Where the edges of a node begin in `edges`.
    starts: Vec<u32>,
    edges: Vec<Edge>,
}

impl Adjacency {
    fn new(graph: &Graph, weakest: Dependency) -> Self {
        let chosen = || graph.edges.iter().filter(|edge| edge.reason.dependency <= weakest);
        let mut starts = vec![0; graph.nodes as usize + 1];
        chosen().for_each(|edge| starts[edge.from as usize + 1] += 1);
        for node in 1..starts.len() {
            starts[node] += starts[node - 1];
        }
        let mut next = starts.clone();
        let unset = Edge { from: 0, to: 0, reason: Reason::time(None) };
        let mut edges = vec![unset; starts[graph.nodes as usize] as usize];
        for edge in chosen() {
            let place = &mut next[edge.from as usize];
            edges[*place as usize] = *edge;
            *place += 1;
        }
        Adjacency { starts, edges }
    }

    fn of(&self, node: u32) -> &[Edge] {
        &self.edges[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    /// The strongly connected components with more than one node (Tarjan, "Depth-First Search and Linear
    /// Graph Algorithms", SIAM J. Comput. 1972), with a stack of its own in place of recursion.
    fn components(&self) -> Vec<Vec<u32>> {
        const UNSEEN: u32 = u32::MAX;
        let nodes = self.starts.len() - 1;
        let mut index = vec![UNSEEN; nodes];
        let mut low = vec![0; nodes];
        let mut on_stack = vec![false; nodes];
        let (mut stack, mut components) = (Vec::new(), Vec::new());
        // Nodes on the way, and the edge that each looks at next.
        let mut way: Vec<(u32, u32)> = Vec::new();
        let mut count = 0;
        for root in 0..nodes as u32 {
            if index[root as usize] != UNSEEN {
                continue;
            }
            way.push((root, self.starts[root as usize]));
            while let Some(&mut (node, ref mut next)) = way.last_mut() {
                let at = node as usize;
                if index[at] == UNSEEN {
                    index[at] = count;
                    low[at] = count;
                    count += 1;
                    stack.push(node);
                    on_stack[at] = true;
                }
                if *next < self.starts[at + 1] {
                    let to = self.edges[*next as usize].to;
                    *next += 1;
                    if index[to as usize] == UNSEEN {
                        way.push((to, self.starts[to as usize]));
                    } else if on_stack[to as usize] {
                        low[at] = low[at].min(index[to as usize]);
                    }
                    continue;
                }
                way.pop();
                if let Some(&(parent, _)) = way.last() {
                    low[parent as usize] = low[parent as usize].min(low[at]);
                }
                if low[at] != index[at] {
                    continue;
                }
                let first = stack.iter().rposition(|&member| member == node).unwrap_or(0);
                let members = stack.split_off(first);
                members.iter().for_each(|&member| on_stack[member as usize] = false);
                if members.len() > 1 {
                    components.push(members);
                }
            }
        }
        components
    }

    fn smallest_cycle(&self, transactions: u32) -> Option<Cycle> {
        let mut components = self.components();
        components.sort_by_key(Vec::len);
        let mut component_of = vec![u32::MAX; self.starts.len() - 1];
        for (number, members) in components.iter().enumerate() {
            members.iter().for_each(|&member| component_of[member as usize] = number as u32);
        }
        let mut search = Search {
            adjacency: self,
            transactions,
            component_of,
            came_by: vec![u32::MAX; self.starts.len() - 1],
            edges_left: SEARCH_EDGES_MAX,
        };
        let mut best: Option<Cycle> = None;
        for &start in components.iter().flatten().filter(|&&node| node < transactions) {
            let shorter_than = best.as_ref().map_or(u32::MAX, |cycle| cycle.steps.len() as u32);
            // Two is the least.
            if shorter_than == 2 || (best.is_some() && search.edges_left == 0) {
                break;
            }
            best = search.from(start, shorter_than).or(best);
        }
        best
    }
}

/// Breadth-first search for the way from a transaction back to itself, counted in transactions.
struct Search<'a> {
    adjacency: &'a Adjacency,
    transactions: u32,
    component_of: Vec<u32>,
    /// The edge by which a node was reached.
    came_by: Vec<u32>,
    edges_left: usize,
}

impl Search<'_> {
    fn from(&mut self, start: u32, shorter_than: u32) -> Option<Cycle> {
        let mut reached = Vec::new();
        // Helpers cost nothing: they go to the front.
        let mut queue = VecDeque::from([(start, 0)]);
        let mut found = None;
        'search: while let Some((node, length)) = queue.pop_front() {
            if length + 1 >= shorter_than {
                break;
            }
            let first = self.adjacency.starts[node as usize];
            for (edge, number) in self.adjacency.of(node).iter().zip(first..) {
                self.edges_left = self.edges_left.saturating_sub(1);
                if edge.to == start {
                    found = Some(number);
                    break 'search;
                }
                let inside = self.component_of[edge.to as usize] == self.component_of[start as usize];
                if !inside || self.came_by[edge.to as usize] != u32::MAX {
                    continue;
                }
                self.came_by[edge.to as usize] = number;
                reached.push(edge.to);
                if edge.to < self.transactions {
                    queue.push_back((edge.to, length + 1));
                } else {
                    queue.push_front((edge.to, length));
                }
            }
        }
        let cycle = found.map(|last| self.unwind(start, last));
        reached.into_iter().for_each(|node| self.came_by[node as usize] = u32::MAX);
        cycle
    }

    /// The cycle that ends with the edge `last` back to `start`.
    fn unwind(&self, start: u32, last: u32) -> Cycle {
        let mut steps = Vec::new();
        let mut reasons = Vec::new();
        let mut number = last;
        loop {
            let edge = &self.adjacency.edges[number as usize];
            reasons.push(edge.reason);
            if edge.from < self.transactions {
                reasons.reverse();
                steps.push((edge.from, std::mem::take(&mut reasons)));
            }
            if edge.from == start {
                steps.reverse();
                return Cycle { steps };
            }
            number = self.came_by[edge.from as usize];
        }
    }
}
