//! HOT PATH. Cache prefetch: a hint to the processor, never a memory access in the language's sense. Any thread.

/// Bytes in a cache line of every processor this server runs on.
pub const CACHE_LINE: usize = 64;
/// So many things that are likely far away are asked for before the first of them is used.
pub const AHEAD: usize = 16;

/// Asks for the cache line at `address` to be brought near for reading. Any address is allowed, even a dangling one.
#[inline(always)]
pub fn prefetch_line<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction faults on no address and changes nothing but the caches; every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: PRFM faults on no address and changes nothing but the caches.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, readonly, preserves_flags))
        };
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_may_be_named() {
        let value = 5u64;
        prefetch_line(&raw const value);
        prefetch_line(std::ptr::null::<u8>());
        prefetch_line(std::ptr::without_provenance::<u8>(usize::MAX));
        assert_eq!(value, 5);
    }
}
