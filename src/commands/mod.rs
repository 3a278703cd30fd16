//! One file per command group: specification, handler and test side by side.
