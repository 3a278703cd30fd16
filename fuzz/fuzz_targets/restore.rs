//! Any bytes as a value that RESTORE is given, behind the checksum, which keeps others away. No panic; what is read can be
//! written, and is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use torc::base::siphash::SipKey;
use torc::encoding::quicklist::Limits;
use torc::encoding::rdb::Reader;
use torc::types::hash::HashLimits;
use torc::types::set::SetLimits;
use torc::types::snapshot::{self, Restored};
use torc::types::sorted_set::SortedSetLimits;
use torc::types::{KeyEntry, NewValue, TypeLimits};

fuzz_target!(|data: &[u8]| {
    let key = SipKey::new(1, 2);
    let limits = TypeLimits {
        list: Limits { fill: 4, depth: 1, large_min: 0 },
        set: SetLimits { ints: 4, pack: 3, value: 5, key },
        hash: HashLimits { entries: 3, value: 5, key },
        sorted_set: SortedSetLimits { entries: 3, value: 5, key },
    };
    let Ok(Restored::Other(value)) = snapshot::read(&mut Reader::new(data), &limits) else { return };
    let entry = KeyEntry::new(b"k", NewValue::of(value), None);
    let mut written = Vec::new();
    snapshot::write(&mut written, &entry, false);
    snapshot::read(&mut Reader::new(&written), &limits).expect("what was written can be read");
});
