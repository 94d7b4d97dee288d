//! Disks that get full: a small file system of a server's own, or a limit on the size of its files.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::account::{self, Account};
use crate::{Error, Result, binaries};

/// What of a server lies on its small disk besides the tablespace: folders of the data directory and theirs there.
pub(crate) const MOVED: [(&str, &str); 2] = [("pg_replslot", "replslot"), ("pg_snapshots", "snapshots")];

/// Runs what follows with a file system of its own. The name space goes with the last process in it, and the file system too: nothing
/// is left to be unmounted, whoever is killed.
const SCRIPT: &str = r#"
path=$1 size=$2 user=$3 group=$4; shift 4
mount -t tmpfs -o "size=${size}m,uid=$user,gid=$group,mode=700" disk "$path" || exit 1
mkdir "$path/tablespace" "$path/replslot" "$path/snapshots" && chown "$user:$group" "$path"/* && chmod 700 "$path"/* || exit 1
exec setpriv --reuid "$user" --regid "$group" --clear-groups -- "$@"
"#;

/// Whether a server may get a small disk: that takes root, with the right to mount.
pub fn can_mount() -> bool {
    let mut mount = Command::new("unshare");
    mount.args(["--mount", "--", "mount", "-t", "tmpfs", "disk", "/tmp"]);
    mount.stdout(Stdio::null()).stderr(Stdio::null());
    account::is_root() && mount.status().is_ok_and(|status| status.success())
}

/// A program that runs as the user of the servers, with a disk of so many MiB at `path`.
pub(crate) fn command(account: Account, path: &Path, mib: u32, program: &OsStr) -> Command {
    let (user, group) = account.ids();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "/bin/sh", "-c", SCRIPT, "disk"]).arg(path).arg(mib.to_string());
    command.arg(user.to_string()).arg(group.to_string()).arg(program).current_dir("/");
    command
}

/// Lets a process write no file beyond so many bytes, or any number again.
pub(crate) fn limit_files(account: Account, pid: i32, bytes: Option<u64>) -> Result<()> {
    let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    // By its own user, who may do that without any right of root's; the hard limit stays.
    let mut command = account.command("prlimit");
    command.arg(format!("--pid={pid}")).arg(format!("--fsize={limit}:"));
    binaries::run(&mut command).map(drop).or_else(|error| match error {
        // It has ended meanwhile.
        Error::Program { .. } if !crate::process::runs(pid) => Ok(()),
        error => Err(error),
    })
}
