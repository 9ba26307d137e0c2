//! Lines of the log that are not written often.
//!
//! Owns the one place that writes them: each use of log's own macros takes 100 bytes of the program. A line that may be written for each
//! event or peer uses those, because here its words are put together before the level is asked about.

use std::fmt;

use log::Level;

#[inline(never)]
pub(crate) fn tell(level: Level, target: &'static str, words: fmt::Arguments<'_>) {
    log::log!(target: target, level, "{words}");
}

#[cfg(feature = "signals")]
macro_rules! info_seldom {
    ($($words:tt)+) => { $crate::told::tell(log::Level::Info, module_path!(), format_args!($($words)+)) };
}

macro_rules! warn_seldom {
    ($($words:tt)+) => { $crate::told::tell(log::Level::Warn, module_path!(), format_args!($($words)+)) };
}

#[cfg(feature = "signals")]
pub(crate) use info_seldom as info;
pub(crate) use warn_seldom as warn;
