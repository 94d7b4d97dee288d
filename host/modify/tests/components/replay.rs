//! What is delivered again comes out as before, whatever a plugin asks the host for.

use super::hostile::hostile;
use super::*;

/// A batch that is delivered again gives the same bytes, also to a plugin that asks for the clock, for random numbers
/// and for sleep: without a grant it has the commit time, numbers that follow from the row, and no sleep.
#[test]
fn a_batch_that_is_delivered_again_gives_the_same_bytes_whatever_a_plugin_asks_for() {
    let users = users();
    let columns = [("name", rule("look", json!({})))];
    let run = |secret: &[u8]| {
        let options = Options {
            secret: secret.to_vec(),
            ..with_error(&columns, OnError::Stop, vec![user("look-around")])
        };
        let mut chain = bound(&options, &users);
        let batches = [
            batch(&users, &["+ 1 a random 1", "+ 2 a time 2", "+ 3 a sleep 3"]),
            batch(&users, &["+ 4 a time 4", "= 5 a random 5"]),
        ];
        batches.map(|batch| shown(&chain.apply(batch).unwrap()))
    };
    let first = run(b"one");
    assert_eq!(first, run(b"one"));
    let number: u64 = first[0][0].split(' ').nth(3).unwrap().parse().unwrap();
    assert_ne!(number, 0);
    assert_eq!(first[0][1], "+ 2 a 1000000 2", "the commit time");
    assert_ne!(first[0][0], run(b"two")[0][0], "another pipeline draws other numbers");
}

/// After a restart the stream goes on from the middle, with a plugin that has not seen what came before: what it draws
/// and what time it is must follow from the batch in hand alone.
#[test]
fn a_stream_that_starts_again_from_the_middle_gives_the_same_bytes() {
    let users = users();
    let options = Options {
        secret: b"one".to_vec(),
        ..with_error(&[("name", rule("flood", json!({})))], OnError::Stop, vec![hostile("flood")])
    };
    let all = || {
        let rows = ["+ 1 a draw 1", "+ 2 a now 2", "+ 3 a draw 3", "+ 4 a now 4"];
        let later = ["+ 5 a now 5", "= 6 a now 6", "+ 7 a draw 7"];
        [batch(&users, &rows), batch(&users, &later), batch(&users, &rows[..1])]
    };
    let shown_by = |skipped: usize| -> Vec<Vec<String>> {
        let mut chain = bound(&options, &users);
        all().into_iter().skip(skipped).map(|batch| shown(&chain.apply(batch).unwrap())).collect()
    };
    let whole = shown_by(0);
    assert_eq!(whole, shown_by(0));
    assert_eq!(whole[1..], shown_by(1));
    assert_eq!(whole[2..], shown_by(2));
    assert_ne!(whole[0][0], whole[0][2].replace("3", "1"), "two rows draw two numbers");
}
