//! When values change their encodings, from the configuration. Main thread.

#![forbid(unsafe_code)]

use crate::command::state::State;
use crate::encoding::quicklist::Limits;
use crate::types::TypeLimits;
use crate::types::hash::HashLimits;
use crate::types::set::SetLimits;
use crate::types::sorted_set::SortedSetLimits;

impl State {
    /// For lists.
    #[inline]
    pub(crate) fn list_limits(&self) -> Limits {
        Limits {
            fill: self.config.list_max_listpack_size,
            depth: self.config.list_compress_depth,
            large_min: self.debug.list_large_min,
        }
    }

    /// For sets.
    #[inline]
    pub(crate) fn set_limits(&self) -> SetLimits {
        SetLimits {
            ints: self.config.set_max_intset_entries,
            pack: self.config.set_max_listpack_entries,
            value: self.config.set_max_listpack_value,
            key: self.keyspace.hash_key(),
        }
    }

    /// For hashes.
    #[inline]
    pub(crate) fn hash_limits(&self) -> HashLimits {
        HashLimits {
            entries: self.config.hash_max_listpack_entries,
            value: self.config.hash_max_listpack_value,
            key: self.keyspace.hash_key(),
        }
    }

    /// For sorted sets.
    #[inline]
    pub(crate) fn sorted_set_limits(&self) -> SortedSetLimits {
        SortedSetLimits {
            entries: self.config.zset_max_listpack_entries,
            value: self.config.zset_max_listpack_value,
            key: self.keyspace.hash_key(),
        }
    }

    /// For all types.
    pub(crate) fn type_limits(&self) -> TypeLimits {
        TypeLimits {
            list: self.list_limits(),
            set: self.set_limits(),
            hash: self.hash_limits(),
            sorted_set: self.sorted_set_limits(),
        }
    }
}
