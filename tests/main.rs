//! Whole-program tests: the built program against real databases and a real HTTP sink in a process of its own,
//! whose journal is compared with the history of the model. See `tests/README.md`.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod addresses;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod customerio;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod data_manager;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod differences;
#[cfg(test)]
mod doubt;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod files;
#[cfg(test)]
mod first_steps;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod growing;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod in_warehouse;
#[cfg(all(test, feature = "files"))]
mod lake;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod mailchimp;
#[cfg(test)]
mod meta;
#[cfg(test)]
mod mixpanel;
#[cfg(test)]
mod models;
#[cfg(test)]
mod network;
#[cfg(test)]
mod output;
#[cfg(test)]
mod people;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod references;
#[cfg(test)]
mod salesforce;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod stripe;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod zendesk;
