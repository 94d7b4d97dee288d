//! What server to start: its version, its settings, how it lets clients in.

/// How a server lets clients in from 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// Everybody, as whom they say.
    #[default]
    Trust,
    /// By password, SCRAM-SHA-256. [`crate::Postgres::url`] holds that of the superuser.
    Password,
}

/// What server to start.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) major: u16,
    pub(crate) auth: Auth,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) disk_mib: Option<u32>,
}

impl Options {
    /// A server of this major version with logical replication on, twenty slots and no fsync.
    pub fn major(major: u16) -> Self {
        let settings = [
            ("listen_addresses", "127.0.0.1"),
            ("wal_level", "logical"),
            ("max_wal_senders", "20"),
            ("max_replication_slots", "20"),
            ("max_worker_processes", "32"),
            ("max_logical_replication_workers", "16"),
            ("max_connections", "100"),
            ("max_prepared_transactions", "10"),
            // A commit reaches the kernel, which outlives the server; the disk is not waited for.
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("shared_buffers", "64MB"),
            ("max_wal_size", "1GB"),
            // In the server's own folder, which goes with it also after a SIGKILL.
            ("dynamic_shared_memory_type", "mmap"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("lc_messages", "C"),
        ];
        Self {
            major,
            auth: Auth::Trust,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            disk_mib: None,
        }
    }

    /// Gives the server a small disk, as long as it runs: for slots with what they spill, for exported snapshots, and for a tablespace
    /// ([`crate::Postgres::tablespace`]). See [`crate::can_mount`].
    #[must_use]
    pub fn small_disk(mut self, mib: u32) -> Self {
        self.disk_mib = Some(mib);
        self
    }

    /// Sets or replaces a setting of `postgresql.conf`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets how clients are let in.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }
}
