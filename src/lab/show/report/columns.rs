//! Several runs of the same scenes side by side, in Markdown: a column for each place where they ran.
//!
//! Reads back what [`json`](super::json) wrote. Pure: text in, text out.

use std::time::Duration;

use serde_json::Value;

use crate::lab::show::report::cell_words;
use crate::lab::show::report::markdown::{capital, plain};
use crate::lab::timeline::Verdict;

/// One place: a kernel, for instance.
#[derive(Clone, Debug, Default)]
pub struct Column {
    pub name: String,
    /// Other facts, each with its name and its value, in the order in which they are shown.
    pub facts: Vec<(String, String)>,
    pub runs: Vec<Run>,
}

/// A matrix, read back from its JSON.
#[derive(Clone, Debug)]
pub struct Run {
    /// Runs of the same name stand side by side.
    pub name: String,
    pub kernel: String,
    pub when: String,
    pub settings: String,
    states: Vec<String>,
    faults: Vec<String>,
    scenes: Vec<SceneColumn>,
}

#[derive(Clone, Debug)]
struct SceneColumn {
    state: String,
    fault: String,
    verdict: Verdict,
}

impl Run {
    /// Reads a matrix of one server.
    ///
    /// # Errors
    /// A sentence: the text is not JSON, or not that of a matrix.
    pub fn read(name: &str, json: &str) -> Result<Self, String> {
        let whole: Value = serde_json::from_str(json).map_err(|error| format!("it is not JSON: {error}"))?;
        let all = |name: &str| whole[name].as_array().ok_or_else(|| format!("it has no list {name:?}"));
        let names = |name: &str| all(name)?.iter().map(|each| word(each, name)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            name: name.to_string(),
            kernel: word(&whole["kernel"], "kernel")?,
            when: word(&whole["when"], "when")?,
            settings: word(&whole["settings"], "settings")?,
            states: names("states")?,
            faults: names("faults")?,
            scenes: all("cells")?.iter().map(scene).collect::<Result<_, _>>()?,
        })
    }

    fn score(&self) -> String {
        let (kept, all) =
            (self.scenes.iter().filter(|scene| scene.verdict.kept_its_promise).count(), self.scenes.len());
        if kept == all { format!("**all {all}**") } else { format!("{kept} of {all}") }
    }

    /// The departure that came latest after its predicted interval: it shows a broken promise, or a busy machine.
    fn latest(&self) -> Option<String> {
        let late = self.scenes.iter().filter_map(|scene| {
            let (_, to) = scene.verdict.predicted?;
            Some((scene.verdict.measured?.as_secs_f64() - to.as_secs_f64(), scene))
        });
        let (late, scene) = late.max_by(|one, other| one.0.total_cmp(&other.0))?;
        Some(format!("{:.2} s, {}/{}", late.max(0.0), plain(&scene.state), plain(&scene.fault)))
    }

    fn scene(&self, state: &str, fault: &str) -> Option<&SceneColumn> {
        self.scenes.iter().find(|scene| (scene.state.as_str(), scene.fault.as_str()) == (state, fault))
    }
}

fn word(value: &Value, name: &str) -> Result<String, String> {
    value.as_str().map(str::to_string).ok_or_else(|| format!("its {name:?} is not text"))
}

fn scene(value: &Value) -> Result<SceneColumn, String> {
    let flag = |name: &str| value[name].as_bool().ok_or_else(|| format!("a cell's {name:?} is neither true nor false"));
    let time = |name: &str| Duration::try_from_secs_f64(value[name].as_f64()?).ok();
    let count = |name: &str| value[name].as_u64()?.try_into().ok();
    let verdict = Verdict {
        scene: word(&value["scene"], "scene")?,
        predicted: time("predicted_from").zip(time("predicted_to")),
        measured: time("measured"),
        watched: time("watched").ok_or("a cell's \"watched\" is not a number of seconds")?,
        errno: word(&value["errno"], "errno")?,
        said_by: word(&value["said_by"], "said_by")?,
        orphan: flag("orphan")?,
        own_time_out: flag("own_time_out")?,
        dropped: count("dropped").zip(count("dropped_of")),
        kept_its_promise: flag("kept_its_promise")?,
    };
    Ok(SceneColumn { state: word(&value["state"], "state")?, fault: word(&value["fault"], "fault")?, verdict })
}

/// What the cells mean.
const LEGEND: &str = "Seconds from the fault until the server let the peer go, and in parentheses what was predicted; \
    “kept”: still there at the end, as it must be; “> 60”: still there, 60 s after it. ✓ within its deadline, ✗ not. \
    ~ living peers on a lossy path were dropped (“7/50”: seven of fifty), as its loss allows. ° the program had closed \
    the descriptor, and the kernel still tried to deliver what was written. – the state did not come about there, or the \
    scene was not played. Those that broke their promise are **bold**.";

/// Writes the comparison: the facts and how many scenes kept their promise, then a table for each run and
/// state. A place where a run was not made has dashes.
pub fn write(columns: &[Column]) -> String {
    let heads = columns.iter().map(|column| plain(&column.name)).collect::<Vec<_>>().join(" | ");
    let head = |what: &str| format!("| {what} | {heads} |\n| --- |{}\n", " --- |".repeat(columns.len()));
    let row = |what: &str, of: &dyn Fn(&Column) -> Option<String>| {
        let values = columns.iter().map(|column| of(column).unwrap_or_else(|| "–".to_string())).collect::<Vec<_>>();
        format!("| {what} | {} |\n", values.join(" | "))
    };
    let mut said = head("what");
    for what in in_order(columns.iter().map(|column| column.facts.iter().map(|(what, _)| what.as_str()).collect())) {
        let value = |column: &Column| {
            let facts = column.facts.iter().filter(|(known, _)| known == what);
            // A fact that was found more than once, such as a line of a log, is shown with all its values.
            let values = facts.map(|(_, value)| plain(value)).collect::<Vec<_>>();
            (!values.is_empty()).then(|| values.join("<br>"))
        };
        said += &row(&plain(what), &value);
    }
    let runs = in_order(columns.iter().map(|column| column.runs.iter().map(|run| run.name.as_str()).collect()));
    for name in &runs {
        let score = |column: &Column| run(column, name).map(Run::score);
        let latest = |column: &Column| run(column, name).and_then(Run::latest);
        said += &row(&format!("scenes that kept their promise, {}", plain(&title(name))), &score);
        said += &row(&format!("latest after the predicted interval, {}", plain(&title(name))), &latest);
    }
    said += &format!("\n{LEGEND}\n");
    for name in runs {
        let made = columns.iter().filter_map(|column| run(column, name)).collect::<Vec<_>>();
        let Some(first) = made.first() else { continue };
        said += &format!("\n## {}\n\n{}.\n", capital(&plain(&title(name))), capital(&plain(&first.settings)));
        for state in in_order(made.iter().map(|run| run.states.iter().map(String::as_str).collect())) {
            said += &format!("\n### {}, {}\n\n{}", capital(&plain(state)), plain(&title(name)), head("fault"));
            for fault in in_order(made.iter().map(|run| run.faults.iter().map(String::as_str).collect())) {
                let is_played = made.iter().any(|run| run.scene(state, fault).is_some());
                let cell = |column: &Column| Some(cell(run(column, name)?.scene(state, fault)?));
                said += &if is_played { row(&plain(fault), &cell) } else { String::new() };
            }
        }
    }
    said
}

fn run<'a>(column: &'a Column, name: &str) -> Option<&'a Run> {
    column.runs.iter().find(|run| run.name == name)
}

/// `2-deadline-5s` is shown as `deadline 5s`: the number only sets the order.
fn title(name: &str) -> String {
    let named = name.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('-');
    if named.is_empty() { name.to_string() } else { named.replace('-', " ") }
}

/// All names once, each list's own order kept as far as the lists agree.
fn in_order<'a>(lists: impl Iterator<Item = Vec<&'a str>>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for list in lists {
        let mut at = 0;
        for name in list {
            match all.iter().position(|known| *known == name) {
                Some(known) => at = at.max(known + 1),
                None => {
                    all.insert(at, name);
                    at += 1;
                }
            }
        }
    }
    all
}

fn cell(scene: &SceneColumn) -> String {
    let verdict = &scene.verdict;
    let words = cell_words(verdict);
    let predicted = match verdict.predicted {
        Some((from, to)) => format!(" ({:.1}–{:.1})", from.as_secs_f64(), to.as_secs_f64()),
        None if verdict.kept_its_promise || verdict.dropped.is_some() => String::new(),
        None => " (kept)".to_string(),
    };
    let (what, mark) = words.rsplit_once(' ').unwrap_or((&words, ""));
    let said = format!("{what}{predicted} {mark}");
    if verdict.kept_its_promise { said } else { format!("**{said}**") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::show::report::{Cell, Matrix, json};
    use crate::lab::timeline::Timeline;
    use std::time::SystemTime;

    fn matrix(kernel: &str, living_is_kept: bool) -> Matrix {
        let verdict = |scene: &str, predicted: Option<(u64, u64)>, measured: Option<u64>, kept_its_promise| Verdict {
            scene: scene.to_string(),
            predicted: predicted.map(|(from, to)| (Duration::from_millis(from), Duration::from_millis(to))),
            measured: measured.map(Duration::from_millis),
            watched: Duration::from_secs(20),
            errno: String::new(),
            said_by: "a \"quoted\" word".to_string(),
            dropped: None,
            orphan: false,
            own_time_out: false,
            kept_its_promise,
        };
        let cell = |fault, verdict| Cell {
            fault,
            state: 0,
            verdict,
            timeline: Timeline { entries: Vec::new(), origin: SystemTime::UNIX_EPOCH },
        };
        let living = if living_is_kept { None } else { Some(4_480) };
        Matrix {
            title: "A title".to_string(),
            when: "today".to_string(),
            kernel: format!("Linux {kernel}"),
            settings: "deadline 5s: idle 2s".to_string(),
            states: vec!["window-shut".to_string(), "idle".to_string()],
            faults: vec!["black-hole".to_string(), "none".to_string()],
            cells: vec![
                cell(0, verdict("window-shut/black-hole", Some((4_600, 5_100)), Some(4_930), true)),
                cell(1, verdict("window-shut/none", None, living, living_is_kept)),
            ],
            ..Matrix::default()
        }
    }

    fn column(kernel: &str, living_is_kept: bool) -> Column {
        let run = Run::read("2-deadline-5s", &json::write(&matrix(kernel, living_is_kept))).unwrap();
        Column { name: kernel.to_string(), facts: Vec::new(), runs: vec![run] }
    }

    #[test]
    fn kernels_stand_side_by_side() {
        let (mut old, new) = (column("6.1", false), column("6.18", true));
        old.facts = vec![("start".into(), "a|b".into()), ("start".into(), "c".into())];
        let said = write(&[old, new]);
        assert!(said.starts_with("| what | 6.1 | 6.18 |\n| --- | --- | --- |\n| start | a\\|b<br>c | – |\n"), "{said}");
        assert!(said.contains("| scenes that kept their promise, deadline 5s | 1 of 2 | **all 2** |\n"), "{said}");
        assert!(
            said.contains("| latest after the predicted interval, deadline 5s | 0.00 s, window-shut/black-hole |"),
            "{said}"
        );
        assert!(said.contains("\n## Deadline 5s\n\nDeadline 5s: idle 2s.\n"), "{said}");
        assert!(
            said.contains(
                "\n### Window-shut, deadline 5s\n\n| fault | 6.1 | 6.18 |\n| --- | --- | --- |\n\
                 | black-hole | 4.93 (4.6–5.1) ✓ | 4.93 (4.6–5.1) ✓ |\n| none | **4.48 (kept) ✗** | kept ✓ |\n"
            ),
            "{said}"
        );
    }

    #[test]
    fn a_run_that_was_not_made_has_dashes() {
        let said = write(&[Column { name: "6.1".into(), ..Column::default() }, column("6.18", true)]);
        assert!(said.contains("promise, deadline 5s | – | **all 2** |\n"), "{said}");
        assert!(said.contains("| none | – | kept ✓ |\n"), "{said}");
    }

    #[test]
    fn what_is_no_matrix_is_refused_with_the_reason() {
        let no_json = Run::read("a", "{").unwrap_err();
        assert!(no_json.starts_with("it is not JSON: "), "{no_json}");
        assert_eq!(Run::read("a", "{}").unwrap_err(), "its \"kernel\" is not text");
        let without_cells = json::write(&matrix("6.1", true)).replace("\"cells\"", "\"sells\"");
        assert_eq!(Run::read("a", &without_cells).unwrap_err(), "it has no list \"cells\"");
    }

    #[test]
    fn an_order_is_kept_where_lists_agree() {
        assert_eq!(in_order([vec!["a", "c"], vec!["a", "b", "c", "d"]].into_iter()), ["a", "b", "c", "d"]);
    }
}
