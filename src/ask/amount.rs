//! Times and sizes, short enough for a table.
//!
//! In integers only, like `seconds.rs`. Sizes are in the units that the options take: K is 1024.

/// `3.2s`, `12m 5s`, `3h 20m`, `5d 7h`: the two largest units.
pub(super) fn age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A setting, which is a number of whole seconds nearly always: `10s`, `90s`.
pub(super) fn brief(milliseconds: u64) -> String {
    if milliseconds % 1000 == 0 && milliseconds < 600_000 {
        format!("{}s", milliseconds / 1000)
    } else {
        age(milliseconds)
    }
}

/// `85us`, `1.2ms`, `350ms`, `1.2s`.
pub(super) fn short_time(microseconds: u64) -> String {
    match microseconds {
        0..1000 => format!("{microseconds}us"),
        1000..10_000 => format!("{}.{}ms", microseconds / 1000, microseconds % 1000 / 100),
        10_000..1_000_000 => format!("{}ms", microseconds / 1000),
        _ => age(microseconds / 1000),
    }
}

/// `9999`, `9.8K`, `350K`, `1.2M`.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 10_000 {
        return bytes.to_string();
    }
    // The largest unit of which there is at least one. Seven of them have more than a u64 holds.
    let (mut whole, mut rest, mut unit) = (bytes, 0, 0);
    while whole >= 1000 && unit < 6 {
        (rest, whole, unit) = (whole % 1024, whole / 1024, unit + 1);
    }
    let name = char::from(b" KMGTPE"[unit]);
    if whole < 10 { format!("{whole}.{}{name}", rest * 10 / 1024) } else { format!("{whole}{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_table_shows() {
        for (milliseconds, told) in [
            (0, "0.0s"),
            (59_999, "59.9s"),
            (60_000, "1m 0s"),
            (3_599_999, "59m 59s"),
            (3_600_000, "1h 0m"),
            (86_400_000, "1d 0h"),
        ] {
            assert_eq!(age(milliseconds), told);
        }
        for (microseconds, told) in [(0, "0us"), (1234, "1.2ms"), (35_849, "35ms"), (1_250_000, "1.2s")] {
            assert_eq!(short_time(microseconds), told);
        }
        for (bytes, told) in [
            (0, "0"),
            (9999, "9999"),
            (10_000, "9.7K"),
            (1_024_000, "0.9M"),
            (65_536, "64K"),
            (1 << 20, "1.0M"),
            (u64::MAX, "15E"),
        ] {
            assert_eq!(size(bytes), told, "{bytes}");
        }
    }
}
