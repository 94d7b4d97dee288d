//! The demo, as `make demo` runs it, for a few seconds: it plays the example of `examples/`, and proves itself.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn heavy_the_demo_ends_by_itself_with_a_proof() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(&folder).args(["--seconds", "3"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let log = std::fs::read_to_string(folder.path().join(".demo/pgstream.log")).unwrap_or_default();
    assert!(output.status.success(), "{shown}\n{said}\n{log}");
    assert!(shown.contains("PROVED"), "{shown}");
    let wide: Vec<&str> = shown.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "wider than a terminal: {wide:?}");
}

#[test]
fn heavy_an_interrupted_demo_stops_everything_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join(".demo/pgstream.log");
    let child = demo(&folder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !log.exists() && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    // The shell's own `kill`: not every machine has the program.
    Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    for url in shown.split_whitespace().filter(|word| word.starts_with("postgres://")) {
        let port: u16 = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "{url} still answers");
    }
}

fn demo(folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.current_dir(folder).env_remove("KEEP").env("PGSTREAM_BIN", testbed::Pgstream::binary().unwrap());
    command
}
