//! What is wrong with a table or a user is said before any write.

use backhaul_kit::FaultClass;

use super::open;
use super::server::Server;

super::scenarios!(
    missing_rights_are_named_with_their_grants
    a_table_that_does_not_fit_is_refused
    columns_are_described
    the_account_is_known
);

async fn missing_rights_are_named_with_their_grants(server: &mut impl Server) {
    server.run("CREATE TABLE people (id int PRIMARY KEY, name varchar(100), points int)").await;
    server.as_weak_user().await;
    let into = "match = \"id\"\nremoved = \"delete\"";
    if server.kind().name == "postgres" {
        let people = open(server, into, &["id", "name"]);
        let report = people.check().await.expect("checked");
        assert_eq!(
            report.missing,
            ["SELECT", "INSERT", "UPDATE", "DELETE"].map(|right| format!("{right} on public.people"))
        );
        assert!(report.grants[0].starts_with("GRANT USAGE ON SCHEMA \"public\" TO \"weak_"), "{:?}", report.grants);
        assert!(
            report.grants[1]
                .starts_with("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE \"public\".\"people\" TO \"weak_")
        );
        assert_eq!(report.excess, Vec::<String>::new());
    }
    server.run("GRANT SELECT, INSERT, UPDATE (id) ON people TO weak").await;
    let people = open(server, into, &["id", "name"]);
    let report = people.check().await.expect("checked");
    let rights: Vec<&str> = report.missing.iter().filter_map(|right| right.split(' ').next()).collect();
    assert_eq!(rights, ["UPDATE", "DELETE"], "{report:?}");
    server.run("GRANT UPDATE, DELETE ON people TO weak").await;
    let report = people.check().await.expect("checked");
    assert_eq!((report.missing, report.excess), (Vec::new(), Vec::new()));
    // A right that the sync does not need is too much.
    let report = open(server, "match = \"id\"", &["id", "name"]).check().await.expect("checked");
    assert_eq!(report.missing, Vec::<String>::new());
    assert!(report.excess.iter().any(|right| right.starts_with("DELETE")), "{report:?}");
}

async fn a_table_that_does_not_fit_is_refused(server: &mut impl Server) {
    server
        .run("CREATE TABLE people (id int PRIMARY KEY, name varchar(100) NOT NULL, points int NOT NULL DEFAULT 0)")
        .await;
    let refused = async |into: &str, fields: &[&str]| {
        let fault = open(server, into, fields).describe().await.expect_err("refused");
        assert_eq!(fault.class, FaultClass::Config, "{fault:?}");
        format!("{fault}: {}", fault.remedy_text())
    };
    let lacking = refused("match = \"id\"", &["id"]).await;
    assert!(lacking.contains("`name`") && !lacking.contains("points"), "{lacking}");
    let cleared = refused("match = \"id\"\nremoved = \"clear\"", &["id", "name", "points"]).await;
    assert!(cleared.contains("`name`, `points`"), "{cleared}");
    let none = refused("object = \"poeple\"\nmatch = \"id\"", &["id"]).await;
    assert!(none.contains("did you mean `people`?"), "{none}");
    open(server, "match = \"id\"\nmode = \"update\"", &["id"]).describe().await.expect("an update makes no row");
}

async fn columns_are_described(server: &mut impl Server) {
    server
        .run("CREATE TABLE people (id int PRIMARY KEY, email varchar(50) UNIQUE, a int, b int, twice int GENERATED ALWAYS AS (a * 2) STORED, UNIQUE (a, b))")
        .await;
    let people = open(server, "match = \"id\"", &["id", "email"]);
    let schema = people.describe().await.expect("described").expect("a schema");
    let column = |name: &str| schema.fields.iter().find(|field| field.name == name).expect("a column");
    assert_eq!(["id", "email", "a", "b"].map(|name| column(name).unique), [true, true, false, false]);
    assert_eq!(["id", "twice"].map(|name| column(name).writable), [true, false]);
}

async fn the_account_is_known(server: &mut impl Server) {
    server.run("CREATE TABLE people (id int PRIMARY KEY)").await;
    let people = open(server, "match = \"id\"", &["id"]);
    let (one, other) = (people.check().await.expect("checked"), people.check().await.expect("checked"));
    assert!(one.identity.starts_with(server.kind().name), "{}", one.identity);
    assert_eq!(one.identity, other.identity);
    assert!(!one.excess.is_empty(), "an administrator has too many rights");
    std::fs::write(server.folder().join("url"), format!("{}://u:canary@127.0.0.1:9/x", server.kind().name))
        .expect("written");
    let fault = open(server, "match = \"id\"", &["id"]).check().await.expect_err("nobody listens");
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
}
