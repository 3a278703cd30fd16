//! The process: main loop, clients, listeners, cron, shutdown.
