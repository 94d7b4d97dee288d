//! One real Postgres server: start, stop, kill, ask.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::account::Account;
use crate::binaries::{self, Installation};
use crate::guard::Guard;
use crate::options::{Auth, Options};
use crate::process::{self, Signal};
use crate::{Error, Result, disk, folder, template};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Tries with another port when somebody else was quicker to take it.
const PORTS: u32 = 5;

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ends all sessions, writes a checkpoint (SIGINT).
    Fast,
    /// Ends at once, recovers at the next start (SIGQUIT).
    Immediate,
}

/// A running server. Dropped, it is stopped and its folder removed.
#[derive(Debug)]
pub struct Postgres {
    installation: Installation,
    account: Account,
    auth: Auth,
    folder: PathBuf,
    port: u16,
    guard: Option<Guard>,
    disk_mib: Option<u32>,
    kept: bool,
}

impl Postgres {
    /// Starts a server with an empty data directory. Blocks for some tenths of a second; the first time for this
    /// version for some seconds, since the version may have to be downloaded.
    ///
    /// # Errors
    ///
    /// [`Error`] when that version cannot be had or does not start, with the end of its log.
    pub fn start(options: Options) -> Result<Self> {
        let installation = binaries::find(options.major)?;
        let account = Account::of_servers()?;
        let mut server = Self {
            folder: folder::for_a_server(account)?,
            installation,
            account,
            auth: options.auth,
            port: 0,
            guard: None,
            disk_mib: options.disk_mib,
            kept: false,
        };
        template::copy_to(&server.data(), &server.installation, account)?;
        server.write_access()?;
        server.set(&options.settings)?;
        if server.disk_mib.is_some() {
            server.move_to_disk()?;
        }
        for _ in 1..PORTS {
            server.port = free_port();
            match server.start_again() {
                Err(Error::Start { reason, .. }) if reason.contains("could not bind") => {}
                answer => return answer.map(|()| server),
            }
        }
        server.port = free_port();
        server.start_again().map(|()| server)
    }

    /// Starts a standby of this server, which is stopped for a moment to be copied. It follows by streaming, and keeps what its
    /// readers see (`hot_standby_feedback`) unless `settings` say otherwise.
    ///
    /// # Errors
    ///
    /// [`Error`] when one of the two does not start, or the copy fails.
    pub fn standby(&mut self, settings: &[(&str, &str)]) -> Result<Self> {
        self.stop(Stop::Fast)?;
        let mut standby = Self {
            folder: folder::for_a_server(self.account)?,
            installation: self.installation.clone(),
            account: self.account,
            auth: self.auth,
            port: free_port(),
            guard: None,
            disk_mib: None,
            kept: false,
        };
        binaries::run(self.account.command("cp").arg("-a").arg(self.data()).arg(standby.data()))?;
        let signal = standby.data().join("standby.signal");
        std::fs::write(&signal, "").map_err(Error::file("write", &signal))?;
        self.account.own(&signal)?;
        let primary = format!("host=127.0.0.1 port={} user=postgres application_name=standby", self.port);
        let usual = [("primary_conninfo", primary.as_str()), ("hot_standby_feedback", "on")];
        let all = usual.iter().chain(settings);
        standby
            .set(&all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())?;
        self.start_again()?;
        standby.start_again()?;
        Ok(standby)
    }

    /// The URL of a database for the superuser, with the password where one is asked for.
    pub fn url(&self, database: &str) -> String {
        match self.auth {
            Auth::Trust => format!("postgres://postgres@127.0.0.1:{}/{database}", self.port),
            Auth::Password => self.url_as("postgres", template::PASSWORD, database),
        }
    }

    /// The URL of a database for another user.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        // What the tests' passwords hold; not a general encoder.
        let password =
            password.replace('%', "%25").replace(' ', "%20").replace('@', "%40").replace('/', "%2F");
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The major version.
    pub fn major(&self) -> u16 {
        self.installation.major
    }

    /// Version and programs.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The server's folder: its log, its data and its Unix socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The postmaster's process id, if it runs.
    pub fn pid(&self) -> Option<i32> {
        self.guard.as_ref().map(Guard::server).filter(|&pid| process::runs(pid))
    }

    /// Connects to a database as superuser; the connection is driven by a task of the current runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] when the server refuses.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        connect(&self.url(database)).await
    }

    /// Creates a database.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] when the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        self.sql("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""))).await
    }

    /// Runs statements, separated by semicolons, on a connection of their own.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] with the statement and what the server said.
    pub async fn sql(&self, database: &str, statements: &str) -> Result<()> {
        let client = self.connect(database).await?;
        client.batch_execute(statements).await.map_err(Error::sql(statements))
    }

    /// The rows of a query as text, `None` for NULL.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] with the statement and what the server said.
    pub async fn rows(&self, database: &str, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        rows(&self.connect(database).await?, query).await
    }

    /// The first column of the first row as text; empty when there is none or when it is NULL.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] with the statement and what the server said.
    pub async fn value(&self, database: &str, query: &str) -> Result<String> {
        let rows = self.rows(database, query).await?;
        Ok(rows.into_iter().flatten().next().flatten().unwrap_or_default())
    }

    /// Stops the server and keeps its data.
    ///
    /// # Errors
    ///
    /// [`Error::Stop`] when it does not end in time.
    pub fn stop(&mut self, how: Stop) -> Result<()> {
        self.end(match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        })
    }

    /// Kills the postmaster with SIGKILL; its sessions end when they notice, before this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Stop`] when a session does not end in time.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Signal::KILL)
    }

    /// Stops and starts.
    ///
    /// # Errors
    ///
    /// As [`Postgres::stop`] and [`Postgres::start_again`].
    pub fn restart(&mut self, how: Stop) -> Result<()> {
        self.stop(how)?;
        self.start_again()
    }

    /// Writes settings that count from the next start on.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when they cannot be written.
    pub fn set(&self, settings: &[(String, String)]) -> Result<()> {
        let path = self.data().join("postgresql.auto.conf");
        let mut text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        std::fs::write(&path, text).map_err(Error::file("write", &path))
    }

    /// Freezes the whole server, sessions included (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn resume(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Leaves the server running when this value is dropped, and after this process.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Starts a server that was stopped or killed, on the same port.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] with the end of its log when it does not come up in time.
    pub fn start_again(&mut self) -> Result<()> {
        let before = self.log().len();
        let data = self.data();
        let program = self.installation.programs.join("postgres");
        let (port, socket) = (format!("port={}", self.port), unix_socket_setting(&self.folder));
        let command: [&OsStr; 7] = [
            program.as_ref(),
            "-D".as_ref(),
            data.as_ref(),
            "-c".as_ref(),
            port.as_ref(),
            "-c".as_ref(),
            socket.as_ref(),
        ];
        let shell: &OsStr = "/bin/sh".as_ref();
        let shell = match self.disk_mib {
            None => self.account.command(shell),
            Some(mib) => disk::command(self.account, &self.disk(), mib, shell),
        };
        let guard = Guard::start(&self.folder, shell, &command)?;
        let pid = guard.server();
        self.guard = Some(guard);

        let start = Instant::now();
        while !self.is_ready(pid) {
            let log = self.log().split_off(before);
            if !process::runs(pid) {
                self.end(Signal::QUIT)?;
                return Err(Error::Start { major: self.major(), reason: last_lines(&log) });
            }
            if start.elapsed() > START_LIMIT {
                let reason = format!("not ready after {} s: {}", START_LIMIT.as_secs(), last_lines(&log));
                self.end(Signal::QUIT)?;
                return Err(Error::Start { major: self.major(), reason });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The postmaster writes its state into the eighth line of its pid file; `pg_ctl` reads the same.
    fn is_ready(&self, pid: i32) -> bool {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines();
        lines.next().is_some_and(|first| first.trim() == pid.to_string())
            && lines.nth(6).is_some_and(|state| matches!(state.trim(), "ready" | "standby"))
    }

    fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// The folder for a tablespace on its small disk; the server alone sees it.
    pub fn tablespace(&self) -> PathBuf {
        self.disk().join("tablespace")
    }

    /// Lets the server write no file beyond so many bytes, or any number again. It hits that as it hits the end of a disk, if it is
    /// in the middle of one of its pages of 8 KiB, and not before the end of a log segment (16 MiB).
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when the limit cannot be set.
    pub fn limit_files(&self, bytes: Option<u64>) -> Result<()> {
        let Some(postmaster) = self.pid() else { return Ok(()) };
        // New sessions get it from the postmaster.
        disk::limit_files(self.account, postmaster, bytes)?;
        process::children(postmaster)
            .into_iter()
            .try_for_each(|pid| disk::limit_files(self.account, pid, bytes))
    }

    /// Has folders of the data directory point to the small disk.
    fn move_to_disk(&self) -> Result<()> {
        let disk = self.disk();
        std::fs::create_dir(&disk).map_err(Error::file("create", &disk))?;
        for (name, there) in disk::MOVED {
            let folder = self.data().join(name);
            std::fs::remove_dir(&folder).map_err(Error::file("remove", &folder))?;
            std::os::unix::fs::symlink(disk.join(there), &folder).map_err(Error::file("link", &folder))?;
        }
        Ok(())
    }

    fn write_access(&self) -> Result<()> {
        let method = match self.auth {
            Auth::Trust => "trust",
            Auth::Password => "scram-sha-256",
        };
        let lines = format!(
            "local all all trust\nhost all all 127.0.0.1/32 {method}\nhost replication all 127.0.0.1/32 {method}\n"
        );
        let path = self.data().join("pg_hba.conf");
        std::fs::write(&path, lines).map_err(Error::file("write", &path))
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        let Some(guard) = self.guard.take() else { return Ok(()) };
        let postmaster = guard.server();
        let mut all = process::children(postmaster);
        all.push(postmaster);
        process::signal(postmaster, signal);
        // A frozen process takes the signal when it is woken.
        for &pid in &all {
            process::signal(pid, Signal::CONT);
        }
        for pid in all {
            if !process::ended_within(pid, STOP_LIMIT) {
                self.guard = Some(guard);
                return Err(Error::Stop { pid, seconds: STOP_LIMIT.as_secs() });
            }
        }
        guard.release();
        Ok(())
    }

    fn signal_all(&self, signal: Signal) {
        let Some(postmaster) = self.pid() else { return };
        process::signal(postmaster, signal);
        for pid in process::children(postmaster) {
            process::signal(pid, signal);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.kept {
            if let Some(guard) = self.guard.take() {
                guard.leave();
            }
            return;
        }
        // Nobody to tell: a server that does not stop is stopped by its guard, which also removes the folder.
        if self.end(Signal::QUIT).is_ok() {
            let _left = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Connects to a URL, without TLS; the connection is driven by a task of the current runtime.
///
/// # Errors
///
/// [`Error::Sql`] when the server refuses.
pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(Error::sql("connect"))?;
    // Its error is the error of the statement that was running.
    tokio::spawn(async move {
        let _ended = connection.await;
    });
    Ok(client)
}

/// The rows of a query as text, `None` for NULL.
pub(crate) async fn rows(client: &Client, query: &str) -> Result<Vec<Vec<Option<String>>>> {
    let messages = client.simple_query(query).await.map_err(Error::sql(query))?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
        }
        _ => None,
    });
    Ok(rows.collect())
}

fn unix_socket_setting(folder: &Path) -> String {
    format!("unix_socket_directories={}", folder.display())
}

/// A port that nobody listens on now, below those that the system gives to outgoing connections: so it is likely to
/// be free still after a restart. The start at a place of one's own keeps parallel processes apart.
fn free_port() -> u16 {
    use std::hash::{BuildHasher, Hasher};
    let start = std::hash::RandomState::new().build_hasher().finish();
    let tried =
        (0..1000u64).map(|step| 15_000 + u16::try_from(start.wrapping_add(step) % 15_000).unwrap_or(0));
    let free = tried.into_iter().find(|&port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
    free.unwrap_or(15_000)
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let end: Vec<&str> = lines.iter().rev().take(5).rev().copied().collect();
    if end.is_empty() { "it logged nothing".to_owned() } else { end.join("; ") }
}
