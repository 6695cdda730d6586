//! `schedule`: when a sync runs by itself.

use std::time::Duration;

use backhaul_kit::config::{ConfigTable, ItemKind, Problem, Span, nearest};
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use super::project::Schedule;

/// Shorter intervals are a stream, not a schedule.
const SHORTEST: Duration = Duration::from_secs(1);

const FORMS: &str = "one of { every = \"15m\" }, { cron = \"0 6 * * *\", timezone = \"Europe/Berlin\" } and { after = [\"other-sync\"] }";

/// A schedule, and the places of the names in `after`.
pub(super) struct Read {
    pub(super) schedule: Schedule,
    pub(super) after: Vec<(String, Span)>,
}

/// Reads `schedule`; without one a sync is manual.
pub(super) fn read(table: &mut ConfigTable) -> Option<Read> {
    let manual = Read { schedule: Schedule::Manual, after: Vec::new() };
    match table.peek("schedule") {
        None => return Some(manual),
        Some(ItemKind::Table(_)) => {}
        Some(_) => {
            let item = table.take("schedule")?;
            let message = format!("`schedule` must be a table, not {}", item.kind.name());
            table.problems().push(Problem::error("wrong-type", message).at(&item.span).remedy(FORMS));
            return None;
        }
    }
    let mut schedule = table.table("schedule")?;
    let read = read_keys(&mut schedule);
    schedule.finish();
    read
}

/// Reads the keys of the table.
pub(super) fn read_keys(schedule: &mut ConfigTable) -> Option<Read> {
    let kinds: Vec<&str> = ["every", "cron", "after"].into_iter().filter(|key| schedule.has(key)).collect();
    let read = match kinds.as_slice() {
        ["every"] => every(schedule).map(|schedule| Read { schedule, after: Vec::new() }),
        ["cron"] => cron(schedule).map(|schedule| Read { schedule, after: Vec::new() }),
        ["after"] => after(schedule),
        _ => {
            let found =
                if kinds.is_empty() { String::from("says nothing") } else { format!("says {}", kinds.join(" and ")) };
            schedule
                .problems()
                .push(Problem::error("bad-schedule", format!("`schedule` {found}")).at(schedule.span()).remedy(FORMS));
            for key in ["every", "cron", "after", "timezone"] {
                schedule.take(key);
            }
            None
        }
    };
    if let Some((span, _)) = schedule.take_with_key("timezone") {
        schedule
            .problems()
            .push(Problem::error("bad-schedule", "`timezone` only goes with `cron`").at(&span).remedy("take it out"));
    }
    read
}

fn every(table: &mut ConfigTable) -> Option<Schedule> {
    let every = table.duration("every")?;
    if every < SHORTEST {
        table.problems().push(Problem::error("out-of-range", "`schedule.every` must be at least 1s").at(table.span()));
        return None;
    }
    Some(Schedule::Every(every))
}

fn cron(table: &mut ConfigTable) -> Option<Schedule> {
    let expression = table.text_at("cron");
    let zone = zone(table);
    let (text, span) = expression?;
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let refuse = |message: String| {
        table.problems().push(Problem::error("bad-cron", message).at(&span).remedy(
            "five fields: minute, hour, day of month, month, day of week; \"0 6 * * 1-5\" is six o'clock from Monday to Friday",
        ));
    };
    let fields = text.split_whitespace().count();
    if fields != 5 && !text.starts_with('@') {
        refuse(format!("`schedule.cron` has {fields} fields instead of five"));
        return None;
    }
    let cron = match parser.parse(&text) {
        Ok(cron) => cron,
        Err(error) => {
            refuse(format!("`schedule.cron` is not a cron expression: {}", why(&error)));
            return None;
        }
    };
    // From a fixed day, so that the verdict does not depend on the day it is asked for.
    let start = jiff::civil::date(2024, 1, 1).to_zoned(TimeZone::UTC).ok()?;
    if cron.find_next_occurrence(&start, true).is_err() {
        refuse(String::from("`schedule.cron` names a time that never comes"));
        return None;
    }
    Some(Schedule::Cron { cron: Box::new(cron), zone: zone? })
}

/// The part of the parser's message that speaks of the expression, as a fragment.
fn why(error: &CronError) -> String {
    let text = match error {
        CronError::InvalidPattern(why) | CronError::IllegalCharacters(why) | CronError::ComponentError(why) => {
            why.clone()
        }
        other => other.to_string(),
    };
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn zone(table: &mut ConfigTable) -> Option<TimeZone> {
    if !table.has("timezone") {
        return Some(TimeZone::UTC);
    }
    let (name, span) = table.text_at("timezone")?;
    let database = jiff::tz::db();
    match database.get(&name) {
        Ok(zone) => Some(zone),
        Err(_) => {
            let known: Vec<String> = database.available().map(|name| name.to_string()).collect();
            let mut problem = Problem::error("bad-timezone", format!("there is no time zone \"{name}\""))
                .at(&span)
                .remedy("a name of the IANA database, as \"Europe/Berlin\" or \"UTC\"");
            if let Some(near) = nearest(&name, known.iter().map(String::as_str)) {
                problem = problem.label(format!("did you mean \"{near}\"?"));
            }
            table.problems().push(problem);
            None
        }
    }
}

fn after(table: &mut ConfigTable) -> Option<Read> {
    let after = table.texts_at("after")?;
    if after.is_empty() {
        table.problems().push(
            Problem::error("bad-schedule", "`schedule.after` names no sync")
                .at(table.span())
                .remedy("name at least one"),
        );
        return None;
    }
    let names = after.iter().map(|(name, _)| name.clone()).collect();
    Some(Read { schedule: Schedule::After(names), after })
}
