//! What `pg_dump` says of two databases: the judge that knows nothing of our documents.

use std::process::Stdio;

use testbed::Installation;
use tokio::process::Command;

/// `pg_dump`, and what it is asked for.
pub(crate) struct Dump {
    clients: Installation,
    /// Owners and grants too.
    owners: bool,
}

impl Dump {
    pub(crate) fn new(owners: bool) -> Self {
        Self { clients: testbed::client_programs().unwrap(), owners }
    }

    /// Both must have the same schema; the error is what only one of them has.
    pub(crate) async fn compare(&self, source: &str, target: &str) -> Result<(), String> {
        // Both at once: it is most of the time of a test.
        let (source, target) = tokio::join!(self.of(source), self.of(target));
        let only = |these: &[String], those: &[String], mark: &str| {
            let objects = these.iter().filter(|object| !those.contains(object));
            objects.map(|object| format!("only the {mark} has: {object}\n")).collect::<String>()
        };
        if source == target {
            return Ok(());
        }
        Err(format!("pg_dump:\n{}{}", only(&source, &target, "source"), only(&target, &source, "target")))
    }

    /// Each object's statements in their order, without the event triggers that only a source has.
    async fn of(&self, url: &str) -> Vec<String> {
        let mut command = Command::new(self.clients.program("pg_dump").unwrap());
        command.args(["--schema-only", "--exclude-schema=pgstream", "--restrict-key=same"]);
        if !self.owners {
            command.args(["--no-owner", "--no-privileges"]);
        }
        let output = command.arg(url).stdin(Stdio::null()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (text, _) = text.rsplit_once("\n--\n-- PostgreSQL database dump complete").unwrap();
        // What DROP EXTENSION takes along: that it did is followed, that it would is not.
        let lines = text.lines().filter(|line| !line.contains(" DEPENDS ON EXTENSION "));
        let text = lines.collect::<Vec<_>>().join("\n");
        let objects = text.split("\n--\n-- Name: ").filter(|it| !it.contains("; Type: EVENT TRIGGER;"));
        objects
            .map(|object| object.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"))
            .collect()
    }
}
