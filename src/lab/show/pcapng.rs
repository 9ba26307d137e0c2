//! A timeline as a capture file: pcapng, which Wireshark and tshark open.
//!
//! Owns the file's format (draft-ietf-opsawg-pcapng). Any other entry becomes a comment on the
//! packet that is nearest in time.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use crate::lab::ears::decode::length_on_wire;
use crate::lab::timeline::{Timeline, TimelineEntry, What, Who};

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
/// Shows a reader the byte order, which is always little-endian here.
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
const ETHERNET: u32 = 1;

const COMMENT: u16 = 1;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;

/// Writes the packets as seen on the server's `interface`, with the fault, the departure and the
/// notes as comments; where there is no packet at all, as comments on the file.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, timeline: &Timeline, interface: &str) -> io::Result<()> {
    let mut packets = Vec::new();
    let mut remarks = Vec::new();
    for entry in &timeline.entries {
        match &entry.what {
            What::Packet { frame, .. } => packets.push((entry, frame, Vec::new())),
            What::Fault(words) => remarks.push(remark(timeline, entry, "fault", words)),
            What::Departure { words } => remarks.push(remark(timeline, entry, "departure", words)),
            What::Note(words) => remarks.push(remark(timeline, entry, "note", words)),
        }
    }
    let mut on_the_file = Vec::new();
    for (at, words) in remarks {
        match packets.iter_mut().min_by_key(|(packet, ..)| apart(packet.at, at)) {
            Some((_, _, comments)) => comments.push(words),
            None => on_the_file.push(words),
        }
    }

    let mut header = Block::new(SECTION_HEADER);
    header.put(&BYTE_ORDER.to_le_bytes());
    header.put(&[1, 0, 0, 0]); // version 1.0
    header.put(&u64::MAX.to_le_bytes()); // the section's length is not specified
    header.option(SECTION_APPLICATION, concat!("stillthere ", env!("CARGO_PKG_VERSION")).as_bytes());
    on_the_file.iter().for_each(|words| header.option(COMMENT, words.as_bytes()));
    header.write(out)?;

    let mut description = Block::new(INTERFACE_DESCRIPTION);
    description.put(&ETHERNET.to_le_bytes()); // 16 bits, and 16 that are reserved
    description.put(&[0; 4]); // no limit on a packet's length
    description.option(INTERFACE_NAME, interface.as_bytes());
    description.option(INTERFACE_RESOLUTION, &[9]); // nanoseconds
    description.write(out)?;

    for (entry, frame, comments) in packets {
        let since = entry.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nanoseconds = since.as_nanos() as u64; // until the year 2554
        let length = frame.len() as u32;
        let on_wire = u32::try_from(length_on_wire(frame)).unwrap_or(length);
        let direction: u32 = if entry.who == Who::Server { 2 } else { 1 }; // out of the interface, into it
        let mut packet = Block::new(ENHANCED_PACKET);
        packet.put(&0u32.to_le_bytes()); // the first interface
        packet.put(&((nanoseconds >> 32) as u32).to_le_bytes());
        packet.put(&(nanoseconds as u32).to_le_bytes());
        packet.put(&length.to_le_bytes());
        packet.put(&on_wire.to_le_bytes());
        packet.put(frame);
        packet.option(PACKET_FLAGS, &direction.to_le_bytes());
        comments.iter().for_each(|words| packet.option(COMMENT, words.as_bytes()));
        packet.write(out)?;
    }
    Ok(())
}

fn remark(timeline: &Timeline, entry: &TimelineEntry, kind: &str, words: &str) -> (SystemTime, String) {
    (entry.at, format!("{kind} at {:+.3} s: {words}", timeline.seconds(entry)))
}

fn apart(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|earlier| earlier.duration())
}

/// A block: its kind, its length, a body of whole words, options, and its length again.
struct Block {
    kind: u32,
    body: Vec<u8>,
    has_options: bool,
}

impl Block {
    fn new(kind: u32) -> Self {
        Self { kind, body: Vec::new(), has_options: false }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
        self.body.extend_from_slice(&code.to_le_bytes());
        self.body.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.put(value);
        self.has_options = true;
    }

    fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        if self.has_options {
            self.body.extend_from_slice(&[0; 4]); // the end of the options
        }
        let length = (self.body.len() as u32 + 12).to_le_bytes();
        for part in [&self.kind.to_le_bytes(), &length, self.body.as_slice(), &length] {
            out.write_all(part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::ears::frames::cut_cable;
    use std::process::Command;

    /// Reads the blocks back: kind and body.
    fn blocks(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let (mut at, mut blocks) = (0, Vec::new());
        while at < file.len() {
            let length = word(at + 4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(at + length - 4) as usize, length, "told before and after");
            blocks.push((word(at), file[at + 8..at + length - 4].to_vec()));
            at += length;
        }
        blocks
    }

    fn holds(body: &[u8], words: &str) -> bool {
        body.windows(words.len()).any(|part| part == words.as_bytes())
    }

    #[test]
    fn the_blocks_can_be_read_back() {
        let mut file = Vec::new();
        write(&mut file, &cut_cable(), "eth0").unwrap();
        let blocks = blocks(&file);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [&[SECTION_HEADER, INTERFACE_DESCRIPTION][..], &[ENHANCED_PACKET; 9]].concat());
        assert_eq!(blocks[1].1[..12], [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 4, 0], "Ethernet, no limit, then a name of four");
        let (_, first) = &blocks[2];
        let time = u64::from(u32::from_le_bytes(first[4..8].try_into().unwrap())) << 32
            | u64::from(u32::from_le_bytes(first[8..12].try_into().unwrap()));
        assert_eq!(time, 1_790_000_000_123_000_000);
        // The ACK before the cut is nearer than the probe after it.
        assert!(holds(&blocks[6].1, "fault at +0.000 s: the cable is cut"));
        assert!(holds(&blocks[10].1, "departure at +4.121 s: ETIMEDOUT"));
    }

    #[test]
    fn without_a_packet_the_file_itself_is_commented() {
        let mut timeline = cut_cable();
        timeline.entries.retain(|entry| !matches!(entry.what, What::Packet { .. }));
        let mut file = Vec::new();
        write(&mut file, &timeline, "eth0").unwrap();
        assert_eq!(blocks(&file).len(), 2);
        assert!(holds(&blocks(&file)[0].1, "departure at"));
    }

    #[test]
    fn tshark_opens_it() {
        let path = std::env::temp_dir().join(format!("stillthere-{}.pcapng", std::process::id()));
        let mut file = Vec::new();
        write(&mut file, &cut_cable(), "eth0").unwrap();
        std::fs::write(&path, file).unwrap();
        let fields = ["frame.comment", "frame.time_epoch", "tcp.flags.reset", "frame.interface_name"];
        let mut command = Command::new("tshark");
        command.args(["-o", "tcp.relative_sequence_numbers:false", "-T", "fields", "-r"]).arg(&path);
        fields.iter().for_each(|field| {
            command.args(["-e", field]);
        });
        let output = command.output();
        std::fs::remove_file(&path).unwrap();
        let Ok(output) = output else {
            // Written past the test harness, which captures output: a skip must be visible.
            let words = "SKIPPED: there is no tshark; the blocks were only read back by ourselves";
            let _ = writeln!(io::stderr(), "{words}");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = said.lines().collect();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(lines.len(), 9, "{said}");
        assert!(lines[0].contains("1790000000.123000000") && lines[0].contains("eth0"), "{said}");
        assert!(lines[4].starts_with("fault at +0.000 s"), "{said}");
        assert!(lines[8].starts_with("departure at +4.121 s"), "{said}");
    }
}
