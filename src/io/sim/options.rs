//! What a simulated network may do, how often, and the dice that decide it. A seed gives one history and no other.

#![forbid(unsafe_code)]

/// How often something happens, in thousandths.
pub type Chance = u32;

/// Limits and chances of a simulated network.
#[derive(Clone, Copy, Debug)]
pub struct SimOptions {
    /// Bytes that a peer's side takes before the sender has to wait, until `peer_window` says otherwise.
    pub window: usize,
    /// Bytes that may be lent or on their way to the server before receives find no buffer.
    pub buffers: usize,
    /// Most bytes of one receive.
    pub receive_max: usize,
    /// Most turns that one direction of a connection, or the end of a close, is held up.
    pub delay_turns_max: u32,
    /// One direction of a connection stands still for some turns.
    pub delay: Chance,
    /// A receive gives less than what is there.
    pub receive_split: Chance,
    /// A standing receive leaves the rest of what is there to a later turn.
    pub receive_pause: Chance,
    /// A receive finds no free buffer.
    pub starved: Chance,
    /// A standing receive is given up after it delivered.
    pub early_end: Chance,
    /// `recv_stop` takes effect a turn later, and bytes arrive meanwhile.
    pub late_stop: Chance,
    /// A receive into the caller's memory ends with nothing.
    pub into_again: Chance,
    /// A soft send sends a part.
    pub soft_short: Chance,
    /// A soft send sends nothing.
    pub soft_again: Chance,
    /// An owned send sends a part.
    pub send_short: Chance,
    /// An owned send sends nothing.
    pub send_again: Chance,
    /// An owned send, or a receive into the caller's memory, is cancelled by the kernel: the connection is lost.
    pub cancelled: Chance,
    /// The connection breaks in the middle of a send.
    pub reset: Chance,
    /// Bytes that a peer wrote before it broke the connection never arrive.
    pub reset_discards: Chance,
    /// A standing accept ends without an error.
    pub accept_end: Chance,
    /// A standing accept ends with EMFILE; the connection stays in the backlog.
    pub accept_emfile: Chance,
    /// Completions of different connections come in another order.
    pub reorder: Chance,
    /// The completion queue overflows: a `poll` gets only a part, the rest comes with later ones.
    pub overflow: Chance,
}

impl SimOptions {
    /// A network on which nothing goes wrong and everything arrives at once.
    pub fn calm() -> SimOptions {
        SimOptions {
            window: 256 * 1024,
            buffers: 4 * 1024 * 1024,
            receive_max: 64 * 1024,
            delay_turns_max: 4,
            delay: 0,
            receive_split: 0,
            receive_pause: 0,
            starved: 0,
            early_end: 0,
            late_stop: 0,
            into_again: 0,
            soft_short: 0,
            soft_again: 0,
            send_short: 0,
            send_again: 0,
            cancelled: 0,
            reset: 0,
            reset_discards: 0,
            accept_end: 0,
            accept_emfile: 0,
            reorder: 0,
            overflow: 0,
        }
    }

    /// Everything goes wrong now and then, but no connection is lost by the network's own doing.
    pub fn rough() -> SimOptions {
        SimOptions {
            delay: 100,
            receive_split: 300,
            receive_pause: 200,
            starved: 50,
            early_end: 50,
            late_stop: 300,
            into_again: 100,
            soft_short: 100,
            soft_again: 50,
            send_short: 200,
            send_again: 50,
            accept_end: 50,
            accept_emfile: 50,
            reorder: 500,
            overflow: 50,
            reset_discards: 500,
            ..SimOptions::calm()
        }
    }

    /// Draws limits and chances by the seed: some things never happen, some nearly always. A history in which one thing
    /// goes wrong all the time finds other bugs than one in which everything does sometimes.
    pub fn by_seed(seed: u64) -> SimOptions {
        let mut dice = Dice::new(seed ^ 0x5eed_0f0d_1ce5);
        let mut options = SimOptions {
            window: 1 << dice.between(10, 19),
            buffers: 1 << dice.between(10, 22),
            receive_max: 1 << dice.between(3, 17),
            delay_turns_max: dice.between(1, 9) as u32,
            ..SimOptions::calm()
        };
        for chance in [
            &mut options.delay,
            &mut options.receive_split,
            &mut options.receive_pause,
            &mut options.starved,
            &mut options.early_end,
            &mut options.late_stop,
            &mut options.into_again,
            &mut options.soft_short,
            &mut options.soft_again,
            &mut options.send_short,
            &mut options.send_again,
            &mut options.reset_discards,
            &mut options.accept_end,
            &mut options.accept_emfile,
            &mut options.reorder,
            &mut options.overflow,
        ] {
            *chance = match dice.below(4) {
                0 => 0,
                1 => dice.below(50) as Chance,
                2 => dice.below(300) as Chance,
                _ => dice.below(800) as Chance,
            };
        }
        // These lose connections: when they are frequent nothing else is tested.
        for chance in [&mut options.cancelled, &mut options.reset] {
            *chance = if dice.below(2) == 0 { 0 } else { dice.below(10) as Chance };
        }
        options
    }
}

/// Pseudo-random numbers (SplitMix64): short, seeded, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// True in `chance` of a thousand cases.
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance > 0 && self.below(1000) < chance as usize
    }

    /// Puts items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (2..=items.len()).rev() {
            items.swap(end - 1, self.below(end));
        }
    }
}
