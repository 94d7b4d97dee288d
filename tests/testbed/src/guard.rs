//! A small shell beside each server, and beside each other program, that outlives us by a moment: it stops the server
//! and removes its folder when the process that started it is gone, however it went.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::{Error, Result};

/// Starts the server as its child, says the server's process id, then waits for a word or for the end of its input,
/// which is the end of the process that holds the other side of the pipe.
const SCRIPT: &str = r#"
folder=$1; shift
"$@" </dev/null >>"$folder/server.log" 2>&1 &
server=$!
trap '' HUP INT TERM
echo "$server"
if read -r word && [ "$word" = leave ]; then exit 0; fi
if [ -z "$word" ]; then
    kill -CONT "$server" 2>/dev/null
    kill -QUIT "$server" 2>/dev/null
    wait "$server"
    rm -rf "$folder"
fi
wait "$server"
"#;

/// The guard of one running server.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    input: Option<ChildStdin>,
    server: i32,
}

impl Guard {
    /// Starts a server under a guard. `shell` starts a shell as the server's user, `command` is the program and its arguments.
    pub(crate) fn start(folder: &Path, mut shell: Command, command: &[&std::ffi::OsStr]) -> Result<Self> {
        let failed = || Error::file("start a server in", folder);
        let mut shell = shell
            .args(["-c", SCRIPT, "guard"])
            .arg(folder)
            .args(command)
            .env("LC_ALL", "C")
            .env_remove("PGDATA")
            // A group of its own: what is sent to ours (Ctrl-C, a test runner's SIGKILL) does not reach it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed())?;
        let input = shell.stdin.take();
        let mut line = String::new();
        if let Some(output) = shell.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(failed())?;
        }
        let server = line
            .trim()
            .parse()
            .map_err(|_| failed()(std::io::Error::other("its guard did not say a process id")))?;
        Ok(Self { shell, input, server })
    }

    /// The process id of the postmaster.
    pub(crate) fn server(&self) -> i32 {
        self.server
    }

    /// After the server has ended: ends the guard too and leaves the folder as it is.
    pub(crate) fn release(mut self) {
        self.say("ended");
    }

    /// Leaves the server running after us.
    pub(crate) fn leave(mut self) {
        self.say("leave");
    }

    fn say(&mut self, word: &str) {
        if let Some(mut input) = self.input.take() {
            // A guard that is gone needs no word.
            let _gone = writeln!(input, "{word}");
        }
        let _status = self.shell.wait();
    }
}

/// Kills a process when we are gone, unless it is released before.
#[derive(Debug)]
pub(crate) struct Watch {
    shell: Child,
}

impl Watch {
    /// Watches over a child of ours.
    pub(crate) fn over(pid: u32) -> Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", r#"read -r word || kill -KILL "$1""#, "watch"])
            .arg(pid.to_string())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::file("run", Path::new("/bin/sh")))?;
        Ok(Self { shell })
    }

    /// The child has ended, or is to live on.
    pub(crate) fn release(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            let _gone = writeln!(input, "released");
        }
        let _status = self.shell.wait();
    }
}
