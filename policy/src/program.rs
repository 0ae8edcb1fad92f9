//! Classic BPF programs (linux/filter.h) that let in the datagrams of allowed senders.
//!
//! A socket's filter sees a packet from another byte on in each protocol: from the UDP header on,
//! from the IP header on. The source address is read at SKF_NET_OFF, which is the IP header in all
//! of them.

use std::collections::HashMap;

use sandsock_abi::constants::{
    BPF_ABS, BPF_ALU, BPF_B, BPF_H, BPF_IMM, BPF_JA, BPF_JEQ, BPF_JGT, BPF_JMP, BPF_K, BPF_LD,
    BPF_LDX, BPF_RET, BPF_RSH, BPF_W,
};

use super::senders::{PortSet, Senders, Span};

/// BPF_MAXINSNS (linux/bpf_common.h).
pub const LONGEST_PROGRAM: usize = 4096;

/// The length up to which a program may distinguish every span of senders. Above, some neighbours
/// are let in as well, and the check at receive alone tells them apart. The kernel keeps a copy for
/// each socket, and compiling one of this length takes it about 0.2 ms.
const EXACT: usize = 1024;

/// SKF_NET_OFF (linux/filter.h): what is loaded from here on is the IP header.
const NET_OFF: u32 = (-0x100000i32) as u32;
/// The source address in the header of IPv4, and in that of IPv6.
const SOURCE_V4: u32 = NET_OFF + 12;
const SOURCE_V6: u32 = NET_OFF + 8;
/// The source port in UDP's and UDP-Lite's headers.
const SOURCE_PORT: u32 = 0;

const LD_IMM: u16 = (BPF_LD | BPF_IMM) as u16;
const LDX_IMM: u16 = (BPF_LDX | BPF_IMM) as u16;
const LD_WORD: u16 = (BPF_LD | BPF_W | BPF_ABS) as u16;
const LD_HALF: u16 = (BPF_LD | BPF_H | BPF_ABS) as u16;
const LD_BYTE: u16 = (BPF_LD | BPF_B | BPF_ABS) as u16;
const SHIFT_RIGHT: u16 = (BPF_ALU | BPF_RSH | BPF_K) as u16;
const JUMP: u16 = (BPF_JMP | BPF_JA) as u16;
const JUMP_EQUAL: u16 = (BPF_JMP | BPF_JEQ | BPF_K) as u16;
const JUMP_GREATER: u16 = (BPF_JMP | BPF_JGT | BPF_K) as u16;
const RETURN: u16 = (BPF_RET | BPF_K) as u16;

/// One instruction: `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// Instructions to skip if the condition holds.
    pub jt: u8,
    /// Instructions to skip if the condition does not hold.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// The form of the packets that a program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layout {
    /// Packets of IPv6 come in too, beside those of IPv4.
    pub v6: bool,
    /// The packet begins with UDP's header. Without it, the program does not look at ports.
    pub ports: bool,
}

/// A program, and whether it lets in no more senders than it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The instructions, in order.
    pub instructions: Vec<Instruction>,
    /// Whether the program admits no sender that the policy denies.
    pub exact: bool,
}

/// The program that lets in these senders' packets, and has the guest's own program judge them
/// then. None if that leaves no room, or `step` is beyond the coarsest.
///
/// `step` is how coarse it is at least: a kernel that has no memory for a program may have it for a
/// coarser one.
pub fn program(
    senders: &Senders,
    layout: Layout,
    guest: &[Instruction],
    step: usize,
) -> Option<Program> {
    let room = LONGEST_PROGRAM - guest.len().min(LONGEST_PROGRAM);
    let fits = |code: &Vec<Instruction>, step: usize| {
        let own = code.len() - guest.len();
        own <= room && (own <= EXACT || step == Senders::STEPS)
    };
    (step..=Senders::STEPS).find_map(|step| {
        let coarse = step.checked_sub(1).map(|step| senders.coarser(step));
        let senders = coarse.as_ref().unwrap_or(senders);
        let instructions = Code::compile(senders, layout, guest);
        fits(&instructions, step)
            .then(|| Program { instructions, exact: is_exact(senders, layout) })
    })
}

/// Returns whether a program can tell these senders' packets from all others that the policy does
/// not allow.
fn is_exact(senders: &Senders, layout: Layout) -> bool {
    let whole = |span: &Span| span.ports.is_all() || span.ports.is_empty();
    let ports = layout.ports || senders.v4.iter().chain(&senders.v6).all(whole);
    ports && senders.exact_v4 && (senders.exact_v6 || !layout.v6)
}

/// Senders of whom any layout's program has no more than [`EXACT`] instructions.
pub(super) fn fitting(senders: Senders) -> Senders {
    let fits = |senders: &Senders| {
        // Every span but the first has an instruction of its own.
        let spans = senders.v4.len() + senders.v6.len();
        spans <= EXACT
            && Code::compile(senders, Layout { v6: true, ports: true }, &[]).len() <= EXACT
    };
    if fits(&senders) {
        return senders;
    }
    (0..Senders::STEPS)
        .map(|step| senders.coarser(step))
        .find(fits)
        .unwrap_or_else(|| senders.coarser(Senders::STEPS))
}

/// The program of senders that were made to fit.
pub(super) fn fitted(senders: &Senders, layout: Layout) -> Program {
    Program { instructions: Code::compile(senders, layout, &[]), exact: is_exact(senders, layout) }
}

/// A place in a program: how many instructions are behind it.
type Label = usize;

/// A program that is written from its end: jumps lead forward alone, so each one's target is there
/// before it.
#[derive(Default)]
struct Code {
    /// The last instruction first.
    reversed: Vec<Instruction>,
    /// The nearest jump to a label that is too far away for a conditional jump.
    relays: HashMap<Label, Label>,
    leaves: HashMap<PortSet, Label>,
}

impl Code {
    fn compile(senders: &Senders, layout: Layout, guest: &[Instruction]) -> Vec<Instruction> {
        let mut code = Self::default();
        let accept = if guest.is_empty() {
            code.push(RETURN, u32::MAX)
        } else {
            // The guest's own program begins with both registers at 0, as it would alone.
            code.reversed.extend(guest.iter().rev());
            code.push(LDX_IMM, 0);
            code.push(LD_IMM, 0)
        };
        let reject = code.push(RETURN, 0);
        code.leaves.extend([(PortSet::all(), accept), (PortSet::default(), reject)]);
        let leaf = |code: &mut Self, ports: &PortSet| match code.leaves.get(ports) {
            Some(label) => *label,
            None if layout.ports => code.ports(ports, accept, reject),
            None => accept,
        };
        let leaves = |code: &mut Self, spans: &[Span]| -> Vec<(u128, Label)> {
            spans.iter().map(|span| (span.high, leaf(code, &span.ports))).collect()
        };
        let v4 = leaves(&mut code, &senders.v4);
        let mut start = code.addresses(&v4, 1, SOURCE_V4);
        if layout.v6 {
            let v6 = leaves(&mut code, &senders.v6);
            let v6 = code.addresses(&v6, 4, SOURCE_V6);
            if v6 != start {
                code.branch(JUMP_EQUAL, 6, v6, start);
                code.push(SHIFT_RIGHT, 4);
                start = code.push(LD_BYTE, NET_OFF);
            }
        }
        if start + 1 != code.reversed.len() {
            code.jump(start);
        }
        code.reversed.reverse();
        code.reversed
    }

    fn push(&mut self, code: u16, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt: 0, jf: 0, k });
        self.reversed.len() - 1
    }

    /// How many instructions a jump that is written next must skip.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label - 1
    }

    fn jump(&mut self, label: Label) -> Label {
        // A program has at most some thousands of instructions.
        let distance = self.distance(label) as u32;
        self.push(JUMP, distance)
    }

    /// The label, or a jump to it that a conditional jump can reach, though another one is written
    /// between.
    fn near(&mut self, label: Label) -> Label {
        const REACH: usize = u8::MAX as usize - 1;
        if self.distance(label) <= REACH {
            return label;
        }
        match self.relays.get(&label) {
            Some(&relay) if self.distance(relay) <= REACH => relay,
            _ => {
                let relay = self.jump(label);
                self.relays.insert(label, relay);
                relay
            }
        }
    }

    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        let yes = self.near(yes);
        let no = self.near(no);
        // `near` has brought both within a byte's reach.
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.reversed.push(Instruction { code, jt, jf, k });
        self.reversed.len() - 1
    }

    /// Branches by a number that was loaded: each of these ends at a highest number, the last one
    /// at the highest of all.
    fn tree(&mut self, ranges: &[(u32, Label)]) -> Label {
        match *ranges {
            [] => 0,
            [(_, label)] => label,
            [(before, outside), (at, inside), (_, same)]
                if same == outside && at == before.wrapping_add(1) =>
            {
                self.branch(JUMP_EQUAL, at, inside, outside)
            }
            _ => {
                let (low, high) = ranges.split_at(ranges.len() / 2);
                let (above, below) = (self.tree(high), self.tree(low));
                let bound = low.last().map_or(0, |(bound, _)| *bound);
                self.branch(JUMP_GREATER, bound, above, below)
            }
        }
    }

    /// Branches by the source port.
    fn ports(&mut self, ports: &PortSet, accept: Label, reject: Label) -> Label {
        let mut ranges = Vec::new();
        for &(low, high) in ports.ranges() {
            if let Some(before) = low.checked_sub(1) {
                ranges.push((before.into(), reject));
            }
            ranges.push((high.into(), accept));
        }
        if !ports.contains(u16::MAX) {
            ranges.push((u32::MAX, reject));
        }
        self.tree(&ranges);
        let label = self.push(LD_HALF, SOURCE_PORT);
        self.leaves.insert(ports.clone(), label);
        label
    }

    /// Branches by an address of so many words, the first of which is at this offset.
    fn addresses(&mut self, spans: &[(u128, Label)], words: u32, offset: u32) -> Label {
        let shift = 32 * (words - 1);
        let within = (1u128 << shift) - 1;
        let mut ranges: Vec<(u32, Label)> = Vec::new();
        // The spans that end within a first word, until one leads out of it.
        let mut partial: Vec<(u128, Label)> = Vec::new();
        for &(high, label) in spans {
            let word = (high >> shift) as u32;
            let ends = high & within == within;
            if !partial.is_empty() {
                let current = ranges.last().map_or(0, |(last, _)| last.wrapping_add(1));
                if word == current && !ends {
                    partial.push((high & within, label));
                    continue;
                }
                partial.push((within, label));
                let inner = self.addresses(&std::mem::take(&mut partial), words - 1, offset + 4);
                ranges.push((current, inner));
                if word == current {
                    continue;
                }
            }
            if ends {
                ranges.push((word, label));
                continue;
            }
            // Whole words before the one in which the span ends.
            let first = ranges.last().map_or(0, |(last, _)| last.wrapping_add(1));
            if word > first {
                ranges.push((word - 1, label));
            }
            partial.push((high & within, label));
        }
        ranges.dedup_by(|next, kept| {
            let same = next.1 == kept.1;
            if same {
                kept.0 = next.0;
            }
            same
        });
        if let [(_, label)] = ranges[..] {
            return label;
        }
        self.tree(&ranges);
        self.push(LD_WORD, offset)
    }
}

#[cfg(test)]
#[path = "program/tests.rs"]
mod tests;
