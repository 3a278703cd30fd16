//! What disturbs everybody meanwhile: the number of I/O threads changes, clients are killed, idle ones are closed.

use std::sync::atomic::Ordering;

use super::World;
use super::player::{Outcome, Player};
use crate::harness::{Random, Value};

/// Most I/O threads there are.
const THREADS_MAX: usize = 4;
/// Steps from one window in which idle clients are closed to the next, and how many one lasts at least.
const WINDOW_EVERY: usize = 40;
const WINDOW_STEPS: usize = 15;
/// Clients that do nothing while a window is open.
const IDLERS: usize = 4;

/// Does so until the end.
pub(crate) fn stir(world: &World, mut dice: Random) {
    let mut idlers = Vec::new();
    let mut step = 0;
    while !world.is_over() || !idlers.is_empty() {
        dice.pause_ms(200);
        let outcome = match step % WINDOW_EVERY {
            2 => open_window(world, &mut dice).map(|all| idlers = all),
            at if !idlers.is_empty() && (at >= WINDOW_STEPS || world.is_over()) => {
                close_window(world, std::mem::take(&mut idlers))
            }
            _ if dice.one_in(2) => {
                set(world, "io-threads", 1 + dice.below(THREADS_MAX));
                Ok(())
            }
            _ => {
                kill_somebody(world, &mut dice);
                Ok(())
            }
        };
        if let Err(end) = outcome {
            return world.fail(format!("an idle client: {end}"));
        }
        step += 1;
    }
}

fn set(world: &World, name: &str, value: usize) {
    let answer = world.server.connect().run(&format!("CONFIG SET {name} {value}"));
    assert_eq!(answer.to_string(), "+OK", "{name} {value}");
}

/// From now on who does nothing for a second is closed.
fn open_window(world: &World, dice: &mut Random) -> Outcome<Vec<Player>> {
    let idlers = (0..IDLERS).map(|_| Player::connect(world, dice, "idle")).collect();
    world.windows.fetch_add(1, Ordering::SeqCst);
    set(world, "timeout", 1);
    idlers
}

/// Those that did nothing are closed, and nobody is any more.
fn close_window(world: &World, idlers: Vec<Player>) -> Outcome {
    for mut idler in idlers {
        idler.expect_close()?;
    }
    set(world, "timeout", 0);
    world.windows.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Kills one of those that may be killed.
fn kill_somebody(world: &World, dice: &mut Random) {
    let mut control = world.server.connect();
    let list = control.run("CLIENT LIST").text();
    let mortals: Vec<&str> = list.lines().filter(|line| line.contains(" name=mortal ")).collect();
    if mortals.is_empty() {
        return;
    }
    let line = mortals[dice.below(mortals.len())];
    let field = |name: &str| line.split(' ').find_map(|part| part.strip_prefix(name)).unwrap();
    let address = field("addr=");
    // Those of Unix sockets have no address of their own.
    let is_alone = list.matches(&format!(" addr={address} ")).count() == 1;
    let by_address = is_alone && dice.one_in(2);
    let (filter, what) = if by_address { ("ADDR", address) } else { ("ID", field("id=")) };
    let answer = control.run(&format!("CLIENT KILL {filter} {what}"));
    assert!(matches!(answer, Value::Integer(0 | 1)), "{answer}");
}
