//! Which user runs the servers: ourselves, or another one where we are root, since Postgres refuses root.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::{Error, Result};

/// The user of the servers' processes and files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    /// `None`: servers run as the user that we are.
    other: Option<(u32, u32)>,
}

impl Account {
    /// `postgres` or else `nobody` where we are root, ourselves otherwise.
    pub(crate) fn of_servers() -> Result<Self> {
        if !is_root() {
            return Ok(Self { other: None });
        }
        let path = std::path::Path::new("/etc/passwd");
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        let ids = ["postgres", "nobody"].iter().find_map(|name| find(&text, name));
        // 65534 is nobody everywhere, with an entry or without.
        Ok(Self { other: Some(ids.unwrap_or((65534, 65534))) })
    }

    /// A command that will run as this user.
    pub(crate) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.other {
            // The standard library drops root's supplementary groups when it sets the user.
            command.uid(user).gid(group);
        }
        // A folder that the other user cannot enter must not be its working directory.
        command.current_dir("/");
        command
    }

    /// Its user and group.
    pub(crate) fn ids(self) -> (u32, u32) {
        let own = || (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        self.other.unwrap_or_else(own)
    }

    /// Hands one file or folder over to this user.
    pub(crate) fn own(self, path: &std::path::Path) -> Result<()> {
        match self.other {
            None => Ok(()),
            Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group))
                .map_err(Error::file("hand over", path)),
        }
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn find(passwd: &str, wanted: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        (name == wanted).then_some((user, group))
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:7::/:/bin/sh\npostgres:x:101:103:,,,:/var:/bin/sh\n";
        assert_eq!(find(passwd, "postgres"), Some((101, 103)));
        assert_eq!(find(passwd, "nobody"), None);
    }
}
