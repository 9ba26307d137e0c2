//! The unit files: what systemd-analyze says about them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Trials;
use crate::supervisor::path;

pub const TRIALS: Trials =
    &[("systemd_finds_nothing_wrong_with_the_units", verify), ("the_service_is_hardly_exposed", exposure)];

/// haproxy, mosquitto and nginx ship with 9.6.
const MOST: f64 = 1.3;

pub fn source(unit: &str) -> String {
    fs::read_to_string(format!("{}/dist/systemd/{unit}", env!("CARGO_MANIFEST_DIR"))).expect("the unit is there")
}

/// The units in a directory of their own, with the program that was built.
struct Units(PathBuf);

impl Units {
    fn copy() -> Self {
        let folder = path("units");
        fs::create_dir(&folder).unwrap();
        let service = source("stillthere.service").replace("/usr/bin/stillthere", env!("CARGO_BIN_EXE_stillthere"));
        fs::write(folder.join("stillthere.service"), service).unwrap();
        fs::write(folder.join("stillthere.socket"), source("stillthere.socket")).unwrap();
        Self(folder)
    }

    fn analyze(&self, options: &[&str], units: &[&str]) -> (bool, String) {
        let units = units.iter().map(|unit| self.0.join(unit));
        let output = Command::new("systemd-analyze").args(options).args(units).output().expect("it runs");
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&told).into_owned())
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn verify() {
    let told = Units::copy().analyze(&["verify", "--man=no"], &["stillthere.service", "stillthere.socket"]);
    assert_eq!(told, (true, String::new()));
}

fn exposure() {
    let (_, told) = Units::copy().analyze(&["security", "--offline=true", "--no-pager"], &["stillthere.service"]);
    let line = told.lines().find(|line| line.contains("Overall exposure level")).expect(&told);
    let level = line.split(": ").nth(1).and_then(|level| level.split(' ').next()?.parse::<f64>().ok()).expect(line);
    assert!(level <= MOST, "{told}");
    println!("exposure {level}");
}
