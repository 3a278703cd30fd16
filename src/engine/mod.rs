//! Execution: gates in Redis' order, call accounting, transactions.
