//! What must not happen.

use crate::pair::Server;

#[tokio::test]
async fn a_rename_keeps_the_identifiers_of_table_and_columns() {
    let server = Server::start(testbed::majors()[0]).await;
    let mut pair = server.pair("rename").await;
    pair.step("CREATE TABLE t (id int, v text)").await.unwrap();
    let ids = "SELECT jsonb_path_query_array(pgstream.get_schema('public'), '$.tables[*].columns[*].pgstream_id')::text";
    let before: String = pair.source.query_one(ids, &[]).await.unwrap().get(0);
    pair.step("ALTER TABLE t RENAME TO u").await.unwrap();
    pair.step("ALTER TABLE u RENAME v TO w").await.unwrap();
    let after: String = pair.source.query_one(ids, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_sequence_with_tighter_bounds_keeps_the_targets_value_as_far_as_they_let_it() {
    let server = Server::start(testbed::majors()[0]).await;
    let mut pair = server.pair("bounds").await;
    pair.step("CREATE SEQUENCE s; CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)").await.unwrap();
    pair.target.batch_execute("SELECT setval('s', 100), setval('t_id_seq', 100)").await.unwrap();
    let values = "SELECT s.last_value, t.last_value FROM s, t_id_seq AS t";
    for (low, high, value) in [(20, 500, 100), (20, 50, 50), (70, 90, 70), (1, 1000, 70)] {
        // The source's own values have to fit first.
        let sql = format!(
            "ALTER SEQUENCE s MINVALUE {low} MAXVALUE {high} START {low} RESTART; \
             ALTER TABLE t ALTER id SET MINVALUE {low} SET MAXVALUE {high} SET START {low} RESTART"
        );
        pair.step(&sql).await.unwrap();
        let row = pair.target.query_one(values, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (value, value), "{sql}");
    }
}
