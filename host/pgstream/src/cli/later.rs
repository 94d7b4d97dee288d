//! What the original's command line has and this version does not: known, so that it can be refused by name.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// Flags, with the command that they belong to.
const FLAGS: &[(&str, &[&str])] = &[("run", &["profile", "data-only"]), ("snapshot", &["profile"])];

/// Commands, the original's and our own.
const COMMANDS: &[&str] = &["validate", "check", "plugin"];

/// The command line with these as hidden flags and commands.
pub(super) fn known(mut command: Command) -> Command {
    for (name, flags) in FLAGS {
        command = command.mut_subcommand(name, |mut command| {
            for flag in *flags {
                command = command.arg(Arg::new(*flag).long(*flag).hide(true).num_args(0..));
            }
            command
        });
    }
    for name in COMMANDS {
        let rest = Arg::new("rest").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true);
        command = command.subcommand(Command::new(*name).hide(true).disable_help_flag(true).arg(rest));
    }
    command
}

/// The first of them that was given.
pub(super) fn asked_for(matches: &ArgMatches) -> Option<String> {
    let (command, matches) = matches.subcommand()?;
    if COMMANDS.contains(&command) {
        return Some(format!("pgstream {command}"));
    }
    if command == "run" {
        for (end, kinds) in [("source", &["postgres"][..]), ("target", &["postgres", "stdout"][..])] {
            if let Some(kind) = matches.get_one::<String>(end).filter(|kind| !kinds.contains(&kind.as_str()))
            {
                return Some(format!("--{end} {kind}"));
            }
        }
    }
    let (_, flags) = FLAGS.iter().find(|(name, _)| *name == command)?;
    let given = |flag: &&&str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    flags.iter().find(given).map(|flag| format!("--{flag}"))
}
