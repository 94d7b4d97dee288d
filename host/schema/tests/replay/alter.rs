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
