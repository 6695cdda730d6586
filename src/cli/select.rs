//! `SYNC…`: names and selectors.

use std::sync::Arc;

use backhaul_kit::config::nearest;

use super::Failure;
use crate::config::{Project, SyncDef};

/// The syncs that the words mean, each once, in the order of the words: names, `tag:x`, `dest:x`, `owner:x`.
///
/// # Errors
/// A word that means no sync, with the nearest one that does.
pub fn select(project: &Project, words: &[String]) -> Result<Vec<Arc<SyncDef>>, Failure> {
    let facets: Vec<Facets<'_>> = project.syncs.values().map(|sync| Facets::of(sync)).collect();
    let mut names = pick(&facets, words)?;
    project.groups.values().for_each(|group| by_turns(&mut names, group));
    Ok(names.iter().filter_map(|name| project.syncs.get(*name)).cloned().collect())
}

/// As [`select`]; no words mean all.
///
/// # Errors
/// As [`select`].
pub fn or_all(project: &Project, words: &[String]) -> Result<Vec<Arc<SyncDef>>, Failure> {
    if !words.is_empty() {
        return select(project, words);
    }
    let mut names: Vec<&str> = project.syncs.keys().map(String::as_str).collect();
    project.groups.values().for_each(|group| by_turns(&mut names, group));
    Ok(names.iter().filter_map(|name| project.syncs.get(*name)).cloned().collect())
}

/// Puts the members of a group into the group's order, on the places that they have among the others.
fn by_turns(names: &mut [&str], group: &[String]) {
    let turn = |name: &str| group.iter().position(|member| member == name);
    let places: Vec<usize> = (0..names.len()).filter(|at| turn(names[*at]).is_some()).collect();
    let mut members: Vec<&str> = places.iter().map(|at| names[*at]).collect();
    members.sort_by_key(|name| turn(name));
    for (place, member) in places.into_iter().zip(members) {
        names[place] = member;
    }
}

/// What a sync is selected by.
struct Facets<'a> {
    name: &'a str,
    tags: &'a [String],
    destination: &'a str,
    owner: Option<&'a str>,
}

impl<'a> Facets<'a> {
    fn of(sync: &'a SyncDef) -> Self {
        Self { name: &sync.name, tags: &sync.tags, destination: &sync.destination, owner: sync.owner.as_deref() }
    }
}

fn pick<'a>(syncs: &[Facets<'a>], words: &[String]) -> Result<Vec<&'a str>, Failure> {
    let mut picked: Vec<&str> = Vec::new();
    for word in words {
        let found: Vec<&str> = match word.split_once(':') {
            Some(("tag", tag)) => of(syncs, |s| s.tags.iter().any(|t| t == tag)),
            Some(("dest", destination)) => of(syncs, |s| s.destination == destination),
            Some(("owner", owner)) => of(syncs, |s| s.owner == Some(owner)),
            Some((other, _)) => {
                return Err(Failure::usage(format!("`{other}:` is no selector"))
                    .remedy("selectors are tag:NAME, dest:NAME and owner:NAME"));
            }
            None => of(syncs, |s| s.name == word),
        };
        if found.is_empty() {
            return Err(unknown(syncs, word));
        }
        for name in found {
            if !picked.contains(&name) {
                picked.push(name);
            }
        }
    }
    Ok(picked)
}

fn of<'a>(syncs: &[Facets<'a>], wanted: impl Fn(&Facets<'a>) -> bool) -> Vec<&'a str> {
    syncs.iter().filter(|sync| wanted(sync)).map(|sync| sync.name).collect()
}

fn unknown(syncs: &[Facets<'_>], word: &str) -> Failure {
    let (what, wanted, mut known): (&str, &str, Vec<&str>) = match word.split_once(':') {
        Some(("tag", tag)) => ("tag", tag, syncs.iter().flat_map(|s| s.tags.iter().map(String::as_str)).collect()),
        Some(("dest", destination)) => ("destination", destination, syncs.iter().map(|s| s.destination).collect()),
        Some(("owner", owner)) => ("owner", owner, syncs.iter().filter_map(|s| s.owner).collect()),
        _ => ("sync", word, syncs.iter().map(|s| s.name).collect()),
    };
    known.sort_unstable();
    known.dedup();
    let message = if what == "sync" {
        format!("there is no sync \"{wanted}\"")
    } else {
        format!("no sync has the {what} \"{wanted}\"")
    };
    let failure = Failure::usage(message);
    match nearest(wanted, known.iter().copied()) {
        Some(near) => failure.remedy(format!("did you mean \"{near}\"?")),
        None if known.is_empty() => failure,
        None => failure.remedy(format!("there are: {}", known.join(", "))),
    }
}

/// The nearest-name failure for a sync that is named alone.
///
/// # Errors
/// The project has no such sync.
pub fn one<'a>(project: &'a Project, name: &str) -> Result<&'a Arc<SyncDef>, Failure> {
    project.syncs.get(name).ok_or_else(|| {
        let facets: Vec<Facets<'_>> = project.syncs.values().map(|sync| Facets::of(sync)).collect();
        unknown(&facets, name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(words: &[&str]) -> Result<Vec<String>, Failure> {
        let ads = [String::from("ads"), String::from("eu")];
        let syncs = [
            Facets { name: "leads", tags: &ads, destination: "crm", owner: None },
            Facets { name: "vip-crm", tags: &[], destination: "crm", owner: Some("lifecycle") },
            Facets { name: "web", tags: &ads[..1], destination: "ads", owner: Some("lifecycle") },
        ];
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        Ok(pick(&syncs, &words)?.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn names_and_selectors_mean_each_sync_once() {
        assert_eq!(picked(&["web", "tag:ads"]).expect("known"), ["web", "leads"]);
        assert_eq!(picked(&["dest:crm"]).expect("known"), ["leads", "vip-crm"]);
        assert_eq!(picked(&["owner:lifecycle", "vip-crm"]).expect("known"), ["vip-crm", "web"]);
    }

    #[test]
    fn members_of_a_group_take_their_turns_and_leave_the_others_where_they_are() {
        let mut names = ["a", "b", "c", "d", "e"];
        by_turns(&mut names, &["d", "x", "b", "a"].map(str::to_owned));
        assert_eq!(names, ["d", "b", "c", "a", "e"]);
    }

    #[test]
    fn an_unknown_word_brings_the_nearest_one() {
        let failure = |word: &str| picked(&[word]).expect_err("unknown");
        assert_eq!(failure("vip-crn").remedy.as_deref(), Some("did you mean \"vip-crm\"?"));
        assert_eq!(failure("tag:adz").remedy.as_deref(), Some("did you mean \"ads\"?"));
        assert_eq!(failure("dest:nothing").remedy.as_deref(), Some("there are: ads, crm"));
        assert_eq!(failure("state:modified").message, "`state:` is no selector");
        assert_eq!(failure("x").exit.code(), 64);
    }
}
