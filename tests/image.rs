//! The image of `make image`, run by crun: as a user of its own, as PID 1, with the health check that the image names; it is
//! upgraded and stopped. It is run in the network of this machine, so that a test can talk to it, at ports that the kernel chooses.
//!
//! Without the image, crun, umoci or the right to mount, it is reported as ignored, and stderr says why.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use common::{PATIENCE, connect, exchange, made};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};

fn main() {
    let missing = missing();
    if let Some(missing) = &missing {
        eprintln!("\nNOT RUN: {missing}. This test is ignored; it has not passed.\n");
    }
    let run = || {
        container();
        Ok(())
    };
    let trial = Trial::test("it_is_well_is_upgraded_and_stops_as_pid_1", run).with_ignored_flag(missing.is_some());
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

fn image() -> PathBuf {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/image").join(architecture)
}

fn missing() -> Option<String> {
    if let Some(because) = made::unusable(&image().join("index.json"), "make static-all image") {
        return Some(because);
    }
    for program in ["crun", "umoci"] {
        let ran = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        if !ran.is_ok_and(|status| status.success()) {
            return Some(format!("{program} cannot be run: `apt-get install {program}` installs it"));
        }
    }
    let mounts = Command::new("unshare").args(["-m", "sh", "-c", CGROUPS]).stderr(Stdio::null()).status();
    (!mounts.is_ok_and(|status| status.success())).then(|| "unpacking and running an image needs root here".into())
}

/// crun of Debian 12 refuses a machine that mounts both versions of cgroups, although it is to use none.
const CGROUPS: &str = "mount -t cgroup2 none /sys/fs/cgroup";

/// A container; it is deleted when the test ends.
struct Container {
    directory: PathBuf,
    child: Child,
    lines: Receiver<String>,
    told: String,
}

/// A blob of the image, as JSON.
fn blob(descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
    serde_json::from_str(&fs::read_to_string(image().join("blobs").join(digest)).unwrap()).unwrap()
}

fn config() -> Value {
    let index: Value = serde_json::from_str(&fs::read_to_string(image().join("index.json")).unwrap()).unwrap();
    blob(&blob(&index["manifests"][0])["config"])["config"].clone()
}

impl Container {
    fn start() -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("image.{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let unpacked =
            Command::new("umoci").args(["unpack", "--image"]).arg(image()).arg(directory.join("bundle")).status();
        assert!(unpacked.unwrap().success());
        let file = directory.join("bundle/config.json");
        let mut bundle: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(bundle["process"]["args"], json!(["/stillthere", "serve"]));
        bundle["process"]["args"] = json!(["/stillthere", "serve", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        bundle["process"]["terminal"] = json!(false);
        let without = |list: &mut Value, kind: &str| list.as_array_mut().unwrap().retain(|one| one["type"] != kind);
        without(&mut bundle["linux"]["namespaces"], "network");
        without(&mut bundle["mounts"], "cgroup");
        bundle["linux"].as_object_mut().unwrap().remove("resources");
        fs::write(&file, bundle.to_string()).unwrap();
        let mut child = Self::crun(&directory, "run -b bundle stillthere").stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { directory, child, lines, told: String::new() }
    }

    fn crun(directory: &Path, line: &str) -> Command {
        let mut command = Command::new("unshare");
        let crun =
            format!("{CGROUPS} && exec crun --root '{}/crun' --cgroup-manager=disabled {line}", directory.display());
        command.args(["-m", "sh", "-c", &crun]).current_dir(directory).stdin(Stdio::null());
        command
    }

    fn ask(&self, line: &str) -> std::process::Output {
        Self::crun(&self.directory, line).output().unwrap()
    }

    fn wait_for(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let line = self.lines.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("{part:?} was never logged, but:\n{}", self.told));
            self.told += &format!("{line}\n");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The exit code of the health check that the image names.
    fn health(&self, admin: &str) -> Option<i32> {
        let test = config()["Healthcheck"]["Test"].clone();
        let words: Vec<&str> = test.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(words[0], "CMD");
        let output = self.ask(&format!("exec --env STILLTHERE_ADMIN={admin} stillthere {}", words[1..].join(" ")));
        assert!(output.stdout.is_empty(), "{output:?}");
        output.status.code()
    }

    /// A line of the process's status, as this machine sees it.
    fn status(&self, name: &str) -> String {
        let state: Value = serde_json::from_slice(&self.ask("state stillthere").stdout).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", state["pid"])).unwrap();
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_string()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.ask("delete -f stillthere");
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn container() {
    let mut container = Container::start();
    let admin = container.wait_for("admin port on http://");
    let admin = admin.split_once("http://").unwrap().1.trim_end_matches('/').to_string();
    let listens = container.wait_for(" listens on ");
    assert!(listens.ends_with("(pid 1)"), "{listens}");
    let at = listens.split_once(" listens on ").unwrap().1.split(',').next().unwrap().parse().unwrap();
    let mut peer: TcpStream = connect(at);
    exchange(&mut peer);
    assert_eq!(container.status("Uid:"), "65532\t65532\t65532\t65532");
    assert_eq!(container.health(&admin), Some(0));
    assert_eq!(container.health(&at.to_string()), Some(1), "that is no admin port");

    // A new program, under the name of the old one.
    let process = container.status("Pid:");
    let program = container.directory.join("bundle/rootfs/stillthere");
    let new = program.with_extension("new");
    fs::copy(&program, &new).unwrap();
    fs::rename(new, program).unwrap();
    assert!(container.ask("kill stillthere USR2").status.success());
    container.wait_for("1 peer stays (generation 1)");
    exchange(&mut peer);
    assert_eq!(container.status("Pid:"), process);
    assert!(container.status("NSpid:").ends_with("\t1"));

    assert!(container.ask("kill stillthere TERM").status.success());
    container.wait_for("stopped: 0 connected, 2 accepted");
    assert!(container.child.wait().unwrap().success());
}
