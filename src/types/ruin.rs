//! What is left of a value that nobody can see any more: dropped in slices, so that nobody waits for it. Any one thread.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::hash::{Form, Hash};
use super::list::List;
use super::set::Set;
use super::sorted_set::{SortedSet, TreeRemains};
use super::{Collection, Value};
use crate::encoding::fields::FieldsRemains;
use crate::encoding::members::MembersRemains;
use crate::encoding::quicklist::Quicklist;

/// Parts of a value that are left.
pub enum Ruin {
    /// Nodes of a list.
    Nodes(Box<Quicklist>),
    /// Members of a set.
    Members(MembersRemains),
    /// Fields of a table.
    Fields(FieldsRemains),
    /// Fields of a table, and the order in which they would have expired.
    TimedFields(FieldsRemains, BTreeSet<(i64, u64)>),
    /// Members of a sorted set.
    Tree(Box<TreeRemains>),
    /// A few allocations.
    Rest(Value),
}

impl Ruin {
    /// A whole value.
    pub fn of(value: Value) -> Ruin {
        match value {
            Value::Other(Collection::List(List::Quick(quick))) => Ruin::Nodes(quick),
            Value::Other(Collection::Set(Set::Table(table))) => Ruin::Members(table.into_remains()),
            Value::Other(Collection::Hash(Hash::Other(form))) => match *form {
                Form::Table(table) => Ruin::Fields(table.into_remains()),
                Form::TimedTable(table) => {
                    let (fields, order) = table.into_parts();
                    Ruin::TimedFields(fields.into_remains(), order)
                }
                form => Ruin::Rest(Hash::Other(Box::new(form)).into()),
            },
            Value::Other(Collection::SortedSet(SortedSet::Tree(tree))) => Ruin::Tree(Box::new(tree.into_remains())),
            value => Ruin::Rest(value),
        }
    }

    /// Drops about `work` parts. Returns what is left of `work`: 0 while there may be more to drop.
    pub fn drop_some(&mut self, work: usize) -> usize {
        match self {
            Ruin::Nodes(quick) => quick.drop_some(work),
            Ruin::Members(remains) => remains.drop_some(work),
            Ruin::Fields(remains) => remains.drop_some(work),
            Ruin::TimedFields(remains, order) => match drop_first(order, work) {
                0 => 0,
                left => remains.drop_some(left),
            },
            Ruin::Tree(tree) => tree.drop_some(work),
            Ruin::Rest(_) => work,
        }
    }
}

/// Drops up to `work` items of an order. Returns what is left of `work`.
pub fn drop_first(order: &mut BTreeSet<(i64, u64)>, work: usize) -> usize {
    let mut left = work;
    while left > 0 && order.pop_first().is_some() {
        left -= 1;
    }
    left
}
