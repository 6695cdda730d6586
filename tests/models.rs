//! The model's SQL is a query and nothing else: whatever it says, only a SELECT ever runs.

use crate::support::customers::Customers;
use crate::support::project::{Project, model};
use crate::support::sink_process::Sink;
use crate::support::warehouse::{Warehouse, on_each_warehouse};

on_each_warehouse!(
    sql_that_is_more_than_one_select_is_refused_and_changes_nothing,
    sql_with_comments_and_quotes_is_a_model_like_any_other,
    two_columns_of_one_name_are_refused_with_the_name,
    a_model_may_be_a_table_or_a_file,
    a_filter_makes_rows_leave_the_model,
);

const ROWS: i64 = 20;

fn project_with(warehouse: &Warehouse, sink: &Sink) -> (Customers, Project) {
    let project = Project::customers(warehouse, sink);
    let mut customers = Customers::new(ROWS);
    customers.publish(warehouse, Some(sink));
    warehouse.execute("create table canary (id bigint primary key); insert into canary values (1);");
    (customers, project)
}

fn sql_that_is_more_than_one_select_is_refused_and_changes_nothing(warehouse: &Warehouse) {
    let sink = Sink::start();
    let (_customers, project) = project_with(warehouse, &sink);
    let attempts = [
        "select * from customers; drop table canary",
        "select * from customers) as m; drop table canary; --",
        "select * from customers) as m; drop table canary; select * from (select * from customers",
        "select 1) to stdout (format binary); commit; drop table canary; copy (select 2",
        "select 1) to stdout; commit; create table hacked (id int); copy (select 2",
        "delete from canary returning id, id as email, id as name, id as plan",
        "with gone as (delete from canary returning id) select id, id as email, id as name, id as plan from gone",
        "insert into canary values (2) returning id, id as email, id as name, id as plan",
        "drop table canary",
        "select * from (customers",
        "",
    ];
    for sql in attempts {
        project.write("models/customers.toml", &model(sql, "id"));
        let run = project.run();
        assert!(!matches!(run.code, Some(0) | None), "`{sql}` ran: {run:?}");
        assert_eq!(sink.stats().calls, 0, "`{sql}`");
    }
    warehouse.assert_count("select id from canary where id = 1", 1);
    warehouse.assert_count("select id from canary", 1);
    // Fails if there is such a table already.
    warehouse.execute("create table hacked (id int);");
}

fn sql_with_comments_and_quotes_is_a_model_like_any_other(warehouse: &Warehouse) {
    let sink = Sink::start();
    let (customers, project) = project_with(warehouse, &sink);
    let mut queries = vec![
        "select * from customers -- all of them",
        "select * from customers /* ; drop table canary */",
        "-- the model\nselect *\nfrom customers -- where (",
        "select id, email, name, plan from customers where ';' <> ')' and '--' <> '/*'",
        "with c as (select * from customers) select * from c order by id desc",
    ];
    if warehouse.url().is_some() {
        queries.push("select id, email, name, plan from customers where $$;)$$ <> $x$ -- $x$");
    }
    for sql in queries {
        project.write("models/customers.toml", &model(sql, "id"));
        project.run().expect(0);
        customers.judge(&sink).assert_exact();
    }
    assert_eq!(sink.stats().rows, 20);
}

fn two_columns_of_one_name_are_refused_with_the_name(warehouse: &Warehouse) {
    let sink = Sink::start();
    let (_customers, project) = project_with(warehouse, &sink);
    project.write("models/customers.toml", &model("select c.*, c.name as plan from customers c", "id"));
    let run = project.run().says(&["plan"]);
    assert!(!matches!(run.code, Some(0) | None), "{run:?}");
    assert_eq!(sink.stats().calls, 0);
}

fn a_model_may_be_a_table_or_a_file(warehouse: &Warehouse) {
    let sink = Sink::start();
    let (customers, project) = project_with(warehouse, &sink);
    project.write("models/customers.toml", "warehouse = \"analytics\"\ntable = \"customers\"\nkey = [\"id\"]\n");
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    project.write("queries/customers.sql", "select *\nfrom customers\n");
    let file = "warehouse = \"analytics\"\nsql_file = \"queries/customers.sql\"\nkey = [\"id\"]\n";
    project.write("models/customers.toml", file);
    project.run().expect(0);
    assert_eq!(sink.stats().rows, 20);
}

fn a_filter_makes_rows_leave_the_model(warehouse: &Warehouse) {
    let sink = Sink::start();
    let (_customers, project) = project_with(warehouse, &sink);
    project.run().expect(0);
    let sync = crate::support::project::sync_file();
    project.edit(&sync, "model = \"customers\"", "model = \"customers\"\nwhere = \"id > 3 -- not the first\"");
    project.run().expect(0);
    assert_eq!((sink.stats().puts, sink.stats().deletes), (20, 3));
}
