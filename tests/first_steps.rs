//! What a newcomer does first: `backhaul init`, and the commands that it then says.

use crate::support::project::Project;
use crate::support::schema::assert_fits;

#[test]
fn init_makes_a_project_that_delivers_a_row_by_the_fifth_command() {
    let project = Project::empty();
    let made = project.backhaul(&["init"]).expect(0);
    let next: Vec<Vec<&str>> = made
        .stderr
        .lines()
        .filter_map(|line| line.trim().strip_prefix("backhaul "))
        .map(|line| line.split("   ").next().unwrap_or_default().split(' ').collect())
        .collect();
    assert!((1..=4).contains(&next.len()), "init says {next:?}\n{}", made.stderr);
    for command in &next {
        project.backhaul(command).expect(0);
    }
    let exports = std::fs::read_dir(project.path("exports")).expect("the exports").flatten();
    let file = exports.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    let text = std::fs::read_to_string(file.expect("a file of rows")).expect("the file");
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(text.contains("\"greeting\":\"Hello Anna\""), "{text}");
    project.backhaul(&["plan", "customers", "--detailed-exitcode"]).expect(0);
}

#[test]
fn the_project_of_init_has_no_warning_and_fits_the_schemas_that_it_names() {
    let project = Project::empty();
    project.backhaul(&["init"]).expect(0);
    project.backhaul(&["validate"]).expect(0).hides(&["warning"]);
    for (file, schema) in [
        ("backhaul.toml", "backhaul.json"),
        ("models/customers.toml", "model.json"),
        ("syncs/customers.toml", "sync.json"),
    ] {
        assert_fits(&project.path(file), schema);
    }
}

#[test]
fn init_in_a_new_folder_says_to_go_there_and_overwrites_nothing() {
    let project = Project::empty();
    project.backhaul(&["init", "crm"]).expect(0).says(&["cd crm"]);
    project.write("crm/syncs/customers.toml", "mine");
    project.backhaul(&["init", "crm"]).expect(64).says(&["nothing was changed"]);
    assert_eq!(std::fs::read_to_string(project.path("crm/syncs/customers.toml")).expect("the file"), "mine");
}
