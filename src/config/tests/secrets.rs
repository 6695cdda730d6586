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

#[test]
fn no_planted_secret_comes_out() {
    for planted in PLANTED {
        let text = format!("version = 1\n{}", planted.replace("CANARY", CANARY));
        let folder = project_over_base(&[("backhaul.toml", &text)]);
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
