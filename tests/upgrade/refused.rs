//! Upgrades that are refused: whatever stands where the new program should be, nobody leaves, and one line says why.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{Server, descriptors, exchange, http};
use crate::crowd::{Crowd, Kind};
use crate::look;
use crate::program::{Program, REFUSED, UPGRADED, count, is_refused, original, signal, upgrade};

const FEW: [(Kind, usize); 4] =
    [(Kind::Asker(Duration::from_millis(100)), 10), (Kind::SlowReader, 2), (Kind::HalfClosed, 2), (Kind::Newcomer, 1)];

/// Something is put where the program was; what the server says of it.
type Replacement = (&'static str, fn(&Program), &'static [&'static str]);

const REPLACEMENTS: &[Replacement] = &[
    ("absent", Program::remove, &["No such file"]),
    ("no program", |program| program.put(b"hello, I am no program\n"), &["Exec format error"]),
    ("of another architecture", |program| program.put(&of_another_machine()), &["Exec format error"]),
    ("empty", |program| program.put(b""), &["Exec format error"]),
    ("cut off", |program| program.put(&original()[..100_000]), &[]),
    ("exits with a code", |program| program.put_script("exit 3"), &["3"]),
    ("exits without a word", |program| program.put_script("exit 0"), &[]),
    ("says something else", |program| program.put_script("echo hello; exit 0"), &[]),
    ("says yes and fails", |program| program.put_script("echo yes 9; exit 1"), &[]),
    ("crashes", |program| program.put_script("kill -SEGV $$"), &["11"]),
    ("says no", |program| program.put_script("echo no it is Thursday; exit 1"), &["it is Thursday"]),
    (
        "never ends its line",
        |program| {
            program.put_script("head -c 1000000 /dev/zero | tr '\\\\0' x; exit 1");
        },
        &[],
    ),
    ("another program", |program| program.put(&std::fs::read("/bin/true").expect("there is one")), &[]),
    ("a state of another version", |program| program.put_script(CHANGED), &["version"]),
    ("a state that is cut off", |program| program.put_script(CUT), &[]),
    (
        "a directory",
        |program| {
            program.remove();
            std::fs::create_dir(program.path()).expect("a directory can be made");
        },
        &["denied"],
    ),
];

/// The rehearsal gets a state whose version is changed. (The magic has eight bytes, the version follows.)
const CHANGED: &str = "
cat /proc/self/fd/$STILLTHERE_STATE > $0.state
printf '\\377\\377' | dd of=$0.state bs=1 seek=8 conv=notrunc 2>/dev/null
exec 9<$0.state
STILLTHERE_STATE=9 exec $PROGRAM \"$@\"";

const CUT: &str = "
head -c 60 /proc/self/fd/$STILLTHERE_STATE > $0.state
exec 9<$0.state
STILLTHERE_STATE=9 exec $PROGRAM \"$@\"";

/// Our own program, as if it were for a machine that nobody has: EM_BPF in the header of the ELF file.
fn of_another_machine() -> Vec<u8> {
    let mut bytes = original();
    (bytes[18], bytes[19]) = (247, 0);
    bytes
}

pub fn replaced() {
    let program = Program::new();
    let mut server = program.start(&["--admin", "localhost:0", "--log", "info"]);
    let admin = http::admin(&mut server);
    let crowd = Crowd::start(server.address(), &FEW);
    let before = look::peers(admin);
    let open = descriptors(server.pid());
    for (nth, (what, replace, parts)) in REPLACEMENTS.iter().enumerate() {
        replace(&program);
        let sentence = is_refused(&mut server);
        println!("{what}: {sentence}");
        assert!(parts.iter().all(|part| sentence.contains(part)), "{what}: {sentence}");
        assert_eq!(count(&mut server, REFUSED), nth + 1, "{what}: one line\n{}", server.told());
        assert_eq!(count(&mut server, "panicked"), 0, "{}", server.told());
        let told = look::upgrade(admin);
        assert_eq!((&told["state"], &told["generation"]), (&"refused".into(), &0.into()), "{what}: {told}");
        assert_eq!(told["refused"].as_u64(), Some(nth as u64 + 1), "{what}: {told}");
        assert!(told["because"].as_str().is_some_and(|because| sentence.contains(because)), "{what}: {told}");
        let _ = std::fs::remove_dir(program.path());
    }
    let after = look::peers(admin);
    for address in crowd.staying() {
        assert_eq!(before[&address].id, after[&address].id);
    }
    assert_eq!(look::metric(admin, "stillthere_upgrades_refused_total"), REPLACEMENTS.len() as f64);
    sleep(Duration::from_millis(300));
    let left = descriptors(server.pid());
    assert!(left <= open + 10, "{open} descriptors before, {left} after {} refusals", REPLACEMENTS.len());
    // Nothing of that has done any harm to the next one.
    program.put_original();
    upgrade(&mut server);
    assert_eq!(look::metric(admin, "stillthere_upgrades_total"), 1.0);
    crowd.end().check();
}

/// A program that never answers is waited for ten seconds, in which everybody is served.
pub fn hangs() {
    let program = Program::new();
    let mut server = program.start(&["--admin", "localhost:0", "--log", "info"]);
    let admin = http::admin(&mut server);
    let crowd = Crowd::start(server.address(), &FEW);
    program.put_script("exec sleep 61");
    let since = Instant::now();
    signal(&server);
    sleep(Duration::from_secs(1));
    // One at a time: what comes meanwhile is not a second one.
    assert_eq!(look::upgrade(admin)["state"], "rehearsing");
    assert_eq!(http::send(admin, "POST", "/upgrade").status, 409);
    signal(&server);
    let (_, line) = server.wait_for(REFUSED);
    let took = since.elapsed();
    println!("{line}");
    assert!((9.0..13.0).contains(&took.as_secs_f64()), "{took:?}");
    let has_ended = || {
        std::fs::read_dir("/proc").expect("/proc").flatten().all(|process| {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            line != b"sleep\x0061\0"
        })
    };
    assert!(has_ended(), "the program that hangs is still there");
    program.put_original();
    upgrade(&mut server);
    let report = crowd.end();
    report.check();
    assert!(report.worst < Duration::from_secs(3), "a rehearsal stalls nobody: {report:?}");
}

/// The rehearsal is a success, and then the program is not there any more: the old loop goes on.
pub fn exec_fails() {
    let program = Program::new();
    let mut server = program.start(&["--admin", "localhost:0", "--log", "info"]);
    let admin = http::admin(&mut server);
    let crowd = Crowd::start(server.address(), &FEW);
    let (open, given) = (descriptors(server.pid()), left_to_children(&server));
    for (nth, last) in
        ["rm $0", "echo hello > $0.new; chmod 755 $0.new; mv $0.new $0", "chmod 644 $0"].iter().enumerate()
    {
        program.put_script(&format!("{last}\nexec $PROGRAM \"$@\""));
        let sentence = is_refused(&mut server);
        println!("{last}: {sentence}");
        assert_eq!(count(&mut server, REFUSED), nth + 1);
        assert_eq!(look::upgrade(admin)["state"], "refused");
        exchange(&mut server.connect());
    }
    sleep(Duration::from_millis(300));
    let left = descriptors(server.pid());
    assert!(left <= open + 10, "{open} descriptors before, {left} after");
    assert_eq!(left_to_children(&server), given);
    program.put_original();
    upgrade(&mut server);
    assert_eq!(left_to_children(&server), given);
    crowd.end().check();
}

/// The descriptors that are left to every child: none but those that we were given ourselves.
pub fn left_to_children(server: &Server) -> Vec<u32> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", server.pid())).expect("the server runs").flatten() {
        let number: u32 = entry.file_name().to_string_lossy().parse().expect("a number");
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue }; // it has gone since
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim();
        if u32::from_str_radix(flags, 8).expect("in octal") & 0o2_000_000 == 0 {
            left.push(number);
        }
    }
    left.sort_unstable();
    left
}

/// A package manager replaces the file: /proc/self/exe is "(deleted)" then. The path counts, not the file that it was.
pub fn package() {
    let program = Program::new();
    let mut server = program.start(&["--log", "info"]);
    let mut peer = server.connect();
    exchange(&mut peer);
    for _ in 0..3 {
        program.put_original();
        let exe = std::fs::read_link(format!("/proc/{}/exe", server.pid())).expect("the server runs");
        assert!(exe.to_string_lossy().ends_with(" (deleted)"), "{exe:?}");
        upgrade(&mut server);
        let exe = std::fs::read_link(format!("/proc/{}/exe", server.pid())).expect("the server runs");
        assert_eq!(exe.to_string_lossy(), program.path());
        exchange(&mut peer);
    }
    // dpkg keeps the old one under another name for a moment; a relative name and a working directory that has gone are the same.
    assert_eq!(count(&mut server, UPGRADED), 3);
}

/// Named relatively, and found by PATH: it is the same file after the upgrade.
pub fn named() {
    let program = Program::new();
    let directory = program.directory.0.clone();
    for (name, path) in [("./stillthere", None), ("stillthere", Some(&directory))] {
        let mut command = std::process::Command::new("sh");
        // sh looks for it in PATH, and argv[0] is the name alone.
        command.args(["-c", &format!("exec {name} serve 127.0.0.1:0 --log debug")]).current_dir(&directory);
        if let Some(path) = path {
            let old = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{old}", path.display())).current_dir("/");
        }
        let mut server = Server::start_with(command);
        let mut peer = server.connect();
        exchange(&mut peer);
        program.put_original();
        upgrade(&mut server);
        let exe = std::fs::read_link(format!("/proc/{}/exe", server.pid())).expect("the server runs");
        assert_eq!(exe.to_string_lossy(), program.path(), "{name}");
        exchange(&mut peer);
    }
}
