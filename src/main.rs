//! torc-server: arguments to configuration to a running server. Everything here runs before there is a second thread.

#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use torc::config::arguments::{self, Request};
use torc::config::file::FileError;
use torc::observe::log;
use torc::server::{self, Start, startup};
use torc::sys::process;
use torc::sys::title::TitleRoom;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = env::args_os().collect::<Vec<OsString>>();
    let room = TitleRoom::prepare();
    let mut run = match arguments::parse(args.get(1..).unwrap_or_default(), &mut io::stdin()) {
        Ok(Request::Run(run)) => *run,
        Ok(Request::Version(line)) => {
            println!("{line}");
            return ExitCode::SUCCESS;
        }
        Ok(Request::Help(text)) => {
            eprint!("{text}");
            return ExitCode::FAILURE;
        }
        Err(error @ FileError::Open { .. }) => {
            log::warning(format_args!("{error}"));
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let name = args.first().map_or_else(|| "torc-server".into(), |name| name.to_string_lossy());
    let pid_file = match startup::prepare(&mut run, room, &name) {
        Ok(pid_file) => pid_file,
        Err(startup::Refused) => return ExitCode::FAILURE,
    };
    let executable = process::executable().unwrap_or_default();
    let outcome = server::run(Start { config: run.config, config_file: run.config_file, executable, pid_file });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::warning(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
