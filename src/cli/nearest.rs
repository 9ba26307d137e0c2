//! "Did you mean": the known name that is nearest to an unknown one.

/// "; did you mean …?" if one of the names is near. `dashes` are what an option begins with.
pub(super) fn nearest<'a>(given: &str, dashes: &str, names: impl Iterator<Item = &'a str>) -> String {
    let likeness = |name: &str| strsim::jaro_winkler(given, name);
    match names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(name) if likeness(name) > 0.7 => format!("; did you mean {dashes}{name}?"),
        _ => String::new(),
    }
}
