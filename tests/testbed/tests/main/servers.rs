//! Servers: started, stopped, killed, and gone when nobody needs them any more.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use testbed::{Auth, Options, Postgres, Stop, eventually_within};

#[tokio::test]
async fn each_major_starts_and_answers_in_its_own_version() {
    for major in testbed::majors() {
        let server = Postgres::start(Options::major(major)).unwrap();
        server.create_database("a shop").await.unwrap();
        server.create_database("shop").await.unwrap();
        let version = server.value("shop", "SHOW server_version_num").await.unwrap();
        assert_eq!(version.parse::<u32>().unwrap() / 10_000, u32::from(major));
        assert_eq!(server.value("shop", "SHOW wal_level").await.unwrap(), "logical");
    }
}

#[tokio::test]
async fn the_client_programs_fit_the_servers_of_each_major() {
    let clients = testbed::client_programs().unwrap();
    for major in testbed::majors() {
        let server = Postgres::start(Options::major(major)).unwrap();
        server.sql("postgres", "CREATE TABLE kept (id int PRIMARY KEY, note text)").await.unwrap();
        let archive = server.folder().join("dump");
        let dumped = Command::new(clients.program("pg_dump").unwrap())
            .args(["--format=custom", "--file"])
            .arg(&archive)
            .arg(server.url("postgres"))
            .status();
        assert!(dumped.unwrap().success());
        server.create_database("copy").await.unwrap();
        let restored = Command::new(clients.program("pg_restore").unwrap())
            .arg("--dbname")
            .arg(server.url("copy"))
            .arg(&archive)
            .output()
            .unwrap();
        // An older server may not know a setting of a newer one; what counts is what is there.
        let told = String::from_utf8_lossy(&restored.stderr).into_owned();
        let there = server.value("copy", "SELECT count(*) FROM kept").await.unwrap();
        assert_eq!(there, "0", "{told}");
        let asked = Command::new(clients.program("psql").unwrap())
            .args(["-XAtc", "SELECT note IS NULL FROM (SELECT max(note) AS note FROM kept) AS k"])
            .arg(server.url("copy"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&asked.stdout), "t\n");
    }
}

#[tokio::test]
async fn a_setting_replaces_the_one_of_the_testbed() {
    let options = Options::major(testbed::majors()[0]).set("wal_level", "replica").set("work_mem", "7MB");
    let server = Postgres::start(options).unwrap();
    assert_eq!(server.value("postgres", "SHOW wal_level").await.unwrap(), "replica");
    assert_eq!(server.value("postgres", "SHOW work_mem").await.unwrap(), "7MB");
}

#[tokio::test]
async fn with_password_authentication_the_url_opens_and_a_wrong_password_does_not() {
    let server = Postgres::start(Options::major(testbed::majors()[0]).auth(Auth::Password)).unwrap();
    assert_eq!(server.value("postgres", "SELECT 1").await.unwrap(), "1");
    let wrong = server.url_as("postgres", "wrong", "postgres");
    let refused = tokio_postgres::connect(&wrong, tokio_postgres::NoTls).await.err().unwrap();
    assert_eq!(refused.code().unwrap().code(), "28P01");
}

#[tokio::test]
async fn data_outlive_every_kind_of_stop_on_the_same_port() {
    let mut server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    let url = server.url("postgres");
    server.sql("postgres", "CREATE TABLE kept (id int)").await.unwrap();
    server.restart(Stop::Fast).unwrap();
    server.sql("postgres", "INSERT INTO kept VALUES (1)").await.unwrap();
    server.restart(Stop::Immediate).unwrap();
    server.sql("postgres", "INSERT INTO kept VALUES (2)").await.unwrap();
    server.kill().unwrap();
    assert_eq!(server.pid(), None);
    server.start_again().unwrap();
    assert_eq!(server.url("postgres"), url);
    assert_eq!(server.value("postgres", "SELECT max(id) FROM kept").await.unwrap(), "2");
}

#[tokio::test]
async fn a_frozen_server_is_silent_until_it_is_woken() {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    let client = server.connect("postgres").await.unwrap();
    server.pause();
    let asked = client.simple_query("SELECT 1");
    tokio::pin!(asked);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut asked).await.is_err());
    server.resume();
    asked.await.unwrap();
}

#[test]
fn a_dropped_server_leaves_neither_process_nor_folder() {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    let (pid, folder) = (server.pid().unwrap(), server.folder().to_path_buf());
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!folder.exists());
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let refused = Postgres::start(Options::major(testbed::majors()[0]).set("no_such_setting", "1"));
    assert!(refused.unwrap_err().to_string().contains("no_such_setting"));
}

#[test]
fn a_major_that_nobody_packs_is_refused_by_name() {
    let refused = Postgres::start(Options::major(9)).unwrap_err().to_string();
    assert!(refused.contains("install postgresql-9"), "{refused}");
}

/// The part of the next test that is killed: it runs as a process of its own.
#[test]
#[ignore = "run by a_killed_test_leaves_neither_process_nor_folder"]
fn hold_a_server_until_killed() {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    println!("\nholding {} {}", server.pid().unwrap(), server.folder().display());
    std::thread::sleep(Duration::from_secs(60));
}

#[tokio::test]
async fn a_killed_test_leaves_neither_process_nor_folder() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "servers::hold_a_server_until_killed", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let held = lines.map(Result::unwrap).find(|line| line.starts_with("holding ")).unwrap();
    let mut words = held.split(' ').skip(1);
    let (pid, folder) = (words.next().unwrap(), words.next().unwrap());
    assert!(std::path::Path::new(folder).exists());

    child.kill().unwrap();
    child.wait().unwrap();
    eventually_within(Duration::from_secs(15), "the end of the server", async || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists() && !std::path::Path::new(folder).exists()
    })
    .await
    .unwrap();
}
