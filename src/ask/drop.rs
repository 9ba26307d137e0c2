//! `stillthere drop`: the server is told to let peers go.

use crate::ask::DropSettings;
use crate::ask::client::Client;
use crate::ask::trouble::Trouble;
use crate::observe::stdout;

/// Asks for each of them, also if one has gone. Whether all were there.
///
/// # Errors
/// A sentence: who was not there, or why the server was not asked about the rest.
pub fn let_go(settings: &DropSettings) -> Result<bool, String> {
    let mut client = Client::new(&settings.server)?;
    let (mut missing, mut trouble) = (Vec::new(), None);
    for id in &settings.ids {
        match client.delete(&format!("/peers/{id}")) {
            Ok(answer) if answer.get("id").is_some() => stdout::tell(&format!("{id} is let go\n"))?,
            Ok(_) => trouble = Some(client.strange("\"id\"")),
            Err(Trouble::Gone) => missing.push(id.as_str()),
            Err(other) => trouble = Some(other),
        }
        if trouble.is_some() {
            break;
        }
    }
    let missing = match missing.as_slice() {
        [] => None,
        [id] => Some(format!("there is no peer {id}: it has gone, or this server never had it")),
        many => Some(format!("there are no peers {}: they have gone, or this server never had them", many.join(", "))),
    };
    let sentences: Vec<String> = missing.into_iter().chain(trouble.map(|trouble| trouble.to_string())).collect();
    if sentences.is_empty() { Ok(true) } else { Err(sentences.join("; and ")) }
}
