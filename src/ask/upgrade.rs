//! `stillthere upgrade`: the server is told to run its new program, and what becomes of that is told.
//!
//! Owns how it is known that an upgrade has come to its end: the generation of the server grows, or its number of refusals does. The
//! program that answers in the end may be of another version than the one that was asked.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ask::client::Client;
use crate::ask::trouble::Trouble;
use crate::ask::{UpgradeSettings, printable};
use crate::count::so_many;
use crate::observe::stdout;
use crate::seconds::InWords;

/// How long an upgrade may take: the rehearsal has ten seconds, and a machine without free memory may take a while after that.
const MOST: Duration = Duration::from_secs(20);
/// How often the server is asked how far it is.
const PAUSE: Duration = Duration::from_millis(50);

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    generation: u64,
    refused: u64,
    because: Option<String>,
    version: String,
    pid: u64,
    peers: u64,
}

impl Told {
    /// `None`: something is missing.
    fn of(value: &Value) -> Option<Self> {
        let number = |name: &str| value.get(name)?.as_u64();
        Some(Self {
            generation: number("generation")?,
            refused: number("refused")?,
            because: value.get("because").and_then(Value::as_str).map(printable),
            version: printable(value.get("version")?.as_str()?),
            pid: number("pid")?,
            peers: number("peers")?,
        })
    }
}

/// Asks for an upgrade, and waits for its end. Whether the peers are with another program now.
///
/// # Errors
/// A sentence: why it was refused, or why it is not known what became of it.
pub fn upgrade(settings: &UpgradeSettings) -> Result<bool, String> {
    let mut client = Client::new(&settings.server)?;
    let before = match client.get("/upgrade") {
        Ok(value) => told(&client, &value)?,
        Err(Trouble::Gone) => {
            let sentence = "this server cannot do that: it is older than upgrades in place, or was built without them (feature upgrade)";
            return Err(sentence.to_string());
        }
        Err(trouble) => return Err(trouble.to_string()),
    };
    match client.post("/upgrade") {
        // Its answer may have been lost with the program that gave it.
        Ok(_) | Err(Trouble::Away(_)) => {}
        Err(trouble) => return Err(trouble.to_string()),
    }
    let end = wait(&mut client, &before, MOST.max(settings.server.patience))?;
    stdout::tell(&(end? + "\n"))?;
    Ok(true)
}

/// Asks until it is over. A server that executes its new program closes all connections to this port, and for a moment takes none.
fn wait(client: &mut Client, before: &Told, most: Duration) -> Result<Result<String, String>, String> {
    let until = Instant::now() + most;
    loop {
        thread::sleep(PAUSE);
        let late = match client.get("/upgrade") {
            Ok(value) => match over(before, &told(client, &value)?) {
                Some(end) => return Ok(end),
                None => "and the server has neither done it nor refused it; its log says more".to_string(),
            },
            Err(Trouble::Gone) => {
                return Err(
                    "the program that answers now knows no upgrades: it is an older one; its log says more".to_string()
                );
            }
            Err(trouble @ Trouble::Refused(_)) => return Err(trouble.to_string()),
            Err(trouble) => trouble.to_string(),
        };
        if Instant::now() >= until {
            return Err(format!("the upgrade was asked for {} ago, {late}", InWords(most)));
        }
    }
}

/// How it has ended, if it has: a sentence for either end.
fn over(before: &Told, now: &Told) -> Option<Result<String, String>> {
    let Told { generation, version, pid, .. } = now;
    if *pid != before.pid {
        return Some(Err(format!(
            "another process answers there now (pid {pid}, and it was {}): that is no upgrade, and its peers are not those of before",
            before.pid
        )));
    }
    if *generation > before.generation {
        let peers = so_many(now.peers as usize, "peer");
        let stayed = format!("upgraded: generation {generation}, {peers} stayed, from {} to {version}", before.version);
        return Some(Ok(stayed));
    }
    (now.refused > before.refused).then(|| {
        let because = now.because.as_deref().unwrap_or("the server does not say why; its log does");
        Err(format!("refused, and nobody has left: {because}"))
    })
}

fn told(client: &Client, value: &Value) -> Result<Told, String> {
    let missing = "\"generation\", \"refused\", \"version\", \"pid\" or \"peers\"";
    Told::of(value).ok_or_else(|| client.strange(missing).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(generation: u64, refused: u64, pid: u64) -> Told {
        let value = json!({"state": "none", "generation": generation, "refused": refused, "because": "it is no program\u{1b}",
            "version": format!("0.{generation}.0"), "pid": pid, "peers": 19_000});
        Told::of(&value).unwrap()
    }

    #[test]
    fn it_is_over_when_the_generation_or_the_refusals_have_grown() {
        let before = server(2, 1, 7);
        assert_eq!(over(&before, &server(2, 1, 7)), None);
        let stayed = "upgraded: generation 3, 19000 peers stayed, from 0.2.0 to 0.3.0";
        assert_eq!(over(&before, &server(3, 1, 7)), Some(Ok(stayed.to_string())));
        let refused = "refused, and nobody has left: it is no program?";
        assert_eq!(over(&before, &server(2, 2, 7)), Some(Err(refused.to_string())));
        let Some(Err(other)) = over(&before, &server(3, 1, 8)) else { panic!("another process is no upgrade") };
        assert!(other.contains("pid 8, and it was 7"), "{other}");
        assert_eq!(Told::of(&json!({"generation": 1})), None);
    }
}
