//! What a stand-in is told.

use std::str::FromStr;
use std::time::Duration;

use backhaul_kit::Fault;

/// A setting's name, and one line about it.
pub(in crate::destinations) type Setting = (&'static str, &'static str);

/// A setting with the value that it shall have.
#[derive(Clone, Copy, Debug)]
pub(in crate::destinations) struct Told<'a> {
    /// Its name.
    pub(in crate::destinations) key: &'a str,
    /// Its value.
    pub(in crate::destinations) value: &'a str,
    /// The settings that there are.
    pub(super) known: &'a [Setting],
}

impl<'a> Told<'a> {
    /// A text.
    pub(in crate::destinations) fn text(self) -> String {
        self.value.to_owned()
    }

    /// A number.
    pub(in crate::destinations) fn number<T: FromStr>(self) -> Result<T, Fault> {
        self.value.parse().map_err(|_| self.wrong(self.value))
    }

    /// A time in milliseconds.
    pub(in crate::destinations) fn millis(self) -> Result<Duration, Fault> {
        self.number().map(Duration::from_millis)
    }

    /// The items of a list separated by commas.
    pub(in crate::destinations) fn items(self) -> impl Iterator<Item = &'a str> {
        self.value.split(',').map(str::trim).filter(|item| !item.is_empty())
    }

    /// Does it with every item; an item is wrong where it comes to nothing.
    pub(in crate::destinations) fn each(self, mut take: impl FnMut(&str) -> Option<()>) -> Result<(), Fault> {
        self.items().try_for_each(|item| take(item).ok_or_else(|| self.wrong(item)))
    }

    /// The items as texts.
    pub(in crate::destinations) fn texts<C: FromIterator<String>>(self) -> C {
        self.items().map(str::to_owned).collect()
    }

    /// A value, or a part of it, that the setting cannot have.
    pub(in crate::destinations) fn wrong(self, part: &str) -> Fault {
        let about = self.known.iter().find(|(name, _)| *name == self.key).map_or("", |(_, about)| about);
        Fault::config(format!("the stand-in's setting `{}` cannot be \"{part}\"", self.key))
            .remedy(format!("{}: {about}", self.key))
    }

    /// A setting that there is not.
    pub(super) fn unknown(self) -> Fault {
        let names: Vec<&str> = self.known.iter().map(|(name, _)| *name).collect();
        Fault::config(format!("the stand-in has no setting `{}`", self.key))
            .remedy(format!("one of: {}", names.join(", ")))
    }
}
