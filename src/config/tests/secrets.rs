//! A secret that somebody wrote into a file never comes out again.

use super::{load, project_over_base};
use crate::config::{problems_json, render};

const CANARY: &str = "pat-eu1-canary-4711";

/// Projects with the canary where a secret reference belongs, or on a line that is shown for another reason.
const PLANTED: &[&str] = &[
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = \"CANARY\"\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = 'CANARY'\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = CANARY\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = \"CANARY\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = CANARY\"\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken \"CANARY\"\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken: CANARY\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = { \"CANARY\" }\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = { sercet = \"CANARY\" }\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = { secret = \"CANARY\" env = 1 }\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = [\"CANARY\"]\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntokn = \"CANARY\"\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = { secret = \"a\" }\ntoken = \"CANARY\"\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = \"\"\"\nCANARY\nCANARY=\n\"\"\"\n",
    "[destinations.crm]\ntype = \"hubspot\"\ntoken = \"\"\"\nCANARY\nCANARY=\n",
    "[destinations.crm]\ntype = \"hubspot\"\nquota = 5 # CANARY\ntoken = { secret = \"x\" }\n",
    "[destinations]\ncrm = { type = \"hubspto\", token = \"CANARY\" }\n",
    "[destinations]\ncrm = { type = \"hubspot\", token = \"CANARY\", quota = 50 }\n",
    "[destinations]\ncrm = { token = \"CANARY\" }\n",
    "[destinations]\ncrm = { type = \"hubspot\", quota = \"x\", tokne = \"CANARY\" }\n",
    "[destinations]\ncrm = { type = \"hubspot\", quota = \"50%\", token = CANARY }\n",
    "[destinations]\ncrm = \"CANARY\"\n",
    "[destinations]\ncrm = { type = \"http\", url = \"u\", headers = { Authorization = \"CANARY\", X = 1 } }\n",
    "destinations.crm = { type = \"hubspot\", token = 'CANARY' }\nstaet = 1\n",
    "[warehouses.analytics]\ntype = \"postgres\"\nurl = \"postgres://me:CANARY@host/db\"\n",
    "[state]\nkey = \"CANARY\"\n",
    "[state]\nkey = \"CANARY\", dir = 5\n",
    "[stat]\nkey = \"CANARY\"\n",
];

/// The same in a sync, where no secret belongs at all.
const PLANTED_IN_SYNCS: &[&str] = &[
    "[into]\nmode = \"upsert\"\ntoken = \"CANARY\"\n",
    "[into]\nmode = \"upsert\"\ntoken = { secert = \"CANARY\" }\n",
    "[into]\nmode = \"upsert\"\ntoken = CANARY\n",
    "[into]\nmode = \"upsert\"\ntoken = \"CANARY\n",
    "token = [\"CANARY\"]\n[into]\n",
];

#[test]
fn no_planted_secret_comes_out() {
    let in_root = PLANTED.iter().map(|planted| ("backhaul.toml", format!("version = 1\n{planted}")));
    let sync = "model = \"customers\"\ndestination = \"hook\"\n";
    let in_syncs = PLANTED_IN_SYNCS.iter().map(|planted| ("syncs/customers.toml", format!("{sync}{planted}")));
    for (path, planted) in in_root.chain(in_syncs) {
        let folder = project_over_base(&[(path, &planted.replace("CANARY", CANARY))]);
        let found = load(folder.path()).err().unwrap_or_else(|| panic!("accepted: {planted}"));
        for shown in [render(&found, false), render(&found, true), problems_json(&found).to_string()] {
            // A part of it would be as bad: no fragment of eight characters may show.
            for part in CANARY.as_bytes().windows(8) {
                let part = std::str::from_utf8(part).unwrap();
                assert!(!shown.contains(part), "{planted}\nshows {part}:\n{shown}");
            }
        }
    }
}
