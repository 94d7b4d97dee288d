//! `make demo`: two throw-away servers, real traffic on one of them, `pgstream` in between, and a proof at the end that
//! the other one has it all, masked.
//!
//! `--keep` (or `KEEP=1`) leaves everything running; `--major N` chooses the version; `--seconds N` the length.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that shows something")]

mod masks;
mod progress;
mod proof;
mod stage;
mod story;
mod traffic;

use std::process::ExitCode;
use std::time::Duration;

/// What was asked for on the command line.
struct Wish {
    keep: bool,
    major: u16,
    duration: Duration,
}

const USAGE: &str = "usage: demo [--keep] [--major 14…18] [--seconds N]";

#[tokio::main]
async fn main() -> ExitCode {
    let Some(wish) = wish(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // What the story holds (servers, pgstream) ends with it, also when it is dropped half-way.
    let ended = tokio::select! {
        ended = story::run(&wish) => ended,
        _ = tokio::signal::ctrl_c() => {
            println!("\n  interrupted: all is stopped and removed");
            return ExitCode::from(130);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("\n  FAILED: {reason}");
            let mut cause = std::error::Error::source(&reason);
            while let Some(error) = cause {
                eprintln!("    {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn wish(mut arguments: impl Iterator<Item = String>) -> Option<Wish> {
    let keep = std::env::var("KEEP").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    // Without a Postgres on this machine, one of this major is downloaded.
    let major = testbed::newest_installed().unwrap_or(17);
    let mut wish = Wish { keep, major, duration: Duration::from_secs(15) };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--keep" => wish.keep = true,
            "--major" => wish.major = arguments.next()?.parse().ok()?,
            "--seconds" => wish.duration = Duration::from_secs(arguments.next()?.parse().ok()?),
            _ => return None,
        }
    }
    Some(wish)
}
