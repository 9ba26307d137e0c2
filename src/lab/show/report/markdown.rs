//! Several servers side by side, in Markdown: a table for each state, faults down, servers across.

use crate::lab::show::report::{FAIR, Matrix, cell_words, legend};

/// Writes the comparison. The states and faults are the first server's; the cells of all servers are
/// found by these names, and a cell that a server does not have is a dash.
pub fn write(servers: &[Matrix]) -> String {
    let Some(first) = servers.first() else { return String::new() };
    let mut said = format!("# {}\n\n", plain(&first.title));
    said += &format!("Run on {}, {}; {}.\n\n", plain(&first.when), plain(&first.kernel), plain(&first.settings));
    said += "| server | version | what sets its deadline | kept their promise |\n| --- | --- | --- | --- |\n";
    for server in servers {
        let (kept, all) = (server.kept(), server.cells.len());
        let kept = if kept == all { format!("**all {all}**") } else { format!("{kept} of {all}") };
        let row = [plain(&server.server), plain(&server.version), code(&server.told), kept];
        said += &format!("| {} |\n", row.join(" | "));
    }
    said += &format!("\n{} Those that broke their promise are **bold**.\n\n{FAIR}\n", legend(servers));
    for state in &first.states {
        let names: Vec<String> = servers.iter().map(|server| plain(&server.server)).collect();
        said += &format!("\n## {}\n\n| fault | {} |\n", capital(&plain(state)), names.join(" | "));
        said += &format!("| --- |{}\n", " --- |".repeat(servers.len()));
        for fault in &first.faults {
            let cells: Vec<String> = servers.iter().map(|server| words(server, fault, state)).collect();
            said += &format!("| {} | {} |\n", plain(fault), cells.join(" | "));
        }
    }
    said
}

fn words(server: &Matrix, fault: &str, state: &str) -> String {
    let at = |names: &[String], wanted: &str| names.iter().position(|name| name == wanted);
    let cell =
        at(&server.faults, fault).zip(at(&server.states, state)).and_then(|(fault, state)| server.cell(fault, state));
    match cell {
        Some(cell) if cell.verdict.kept_its_promise => cell_words(&cell.verdict),
        Some(cell) => format!("**{}**", cell_words(&cell.verdict)),
        None => "–".to_string(),
    }
}

/// Escapes text that is to be plain text in a table's cell.
pub(in crate::lab) fn plain(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '*' | '_' | '`' | '[' | '\\' => said.extend(['\\', c]),
            c if c.is_control() => said.push(' '),
            c => said.push(c),
        }
    }
    said
}

/// A line of a configuration, in a table's cell.
fn code(text: &str) -> String {
    let text = text.replace(['`', '\n'], " ").replace('|', "\\|");
    if text.is_empty() { text } else { format!("`{text}`") }
}

pub(in crate::lab) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
