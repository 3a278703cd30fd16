//! What commands ask of the process around the engine. The server looks after each command whether there is anything,
//! and carries it out; the engine itself closes nothing and stops nothing.

#![forbid(unsafe_code)]

use crate::command::session::Slot;
use crate::config::Apply;

/// SHUTDOWN's arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownRequest {
    /// Do not wait for replicas.
    pub now: bool,
    /// Exit whatever fails.
    pub force: bool,
}

/// Things to do after the current command.
#[derive(Default)]
pub struct Effects {
    /// Clients to close at once.
    pub kill: Vec<Slot>,
    /// The process is to end.
    pub shutdown: Option<ShutdownRequest>,
    /// What CONFIG SET changed and the process has to follow.
    pub config_changed: Vec<Apply>,
    /// Lines for the log, at its warning level.
    pub warnings: Vec<String>,
}

impl Effects {
    /// Whether there is anything to do.
    #[inline]
    pub fn any(&self) -> bool {
        !self.kill.is_empty() || self.shutdown.is_some() || !self.config_changed.is_empty() || !self.warnings.is_empty()
    }

    /// Hands over all of it.
    pub fn take(&mut self) -> Effects {
        std::mem::take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_counts() {
        assert!(!Effects::default().any());
        let mut killing = Effects { kill: vec![Slot(1)], ..Effects::default() };
        assert!(killing.any());
        assert_eq!(killing.take().kill, [Slot(1)]);
        assert!(!killing.any());
        assert!(Effects { shutdown: Some(ShutdownRequest::default()), ..Effects::default() }.any());
    }
}
