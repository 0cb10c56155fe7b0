//! The diagram and the tables of `docs/state-machine.md`, generated from the table.
//!
//! `CORACLE_UPDATE_DOCS=1 cargo test -p agent-core diagram` writes them anew.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt::Write as _;

use super::situation::{EffectKind, EventKind, PhaseKind, Row, Situation};
use super::table::row;
use crate::step::Illegal;

const BEGIN: &str = "<!-- generated from agent/core/src/step/tests/table.rs -->\n";
const END: &str = "<!-- end of what is generated -->\n";

fn phase(situation: Situation) -> PhaseKind {
    PhaseKind::of(&situation.state().phase)
}

/// The outcomes of an event in a phase, each with the situations that lead to it.
fn outcomes(of: PhaseKind, event: EventKind) -> Vec<(Row, Vec<Situation>)> {
    let mut out: Vec<(Row, Vec<Situation>)> = Vec::new();
    for situation in Situation::ALL.iter().filter(|s| phase(**s) == of) {
        let row = row(*situation, event);
        match out.iter_mut().find(|(other, _)| *other == row) {
            Some((_, situations)) => situations.push(*situation),
            None => out.push((row, vec![*situation])),
        }
    }
    out
}

/// What sets these situations apart, if the event has several outcomes.
fn guard(all: &[(Row, Vec<Situation>)], of: &[Situation]) -> String {
    if all.len() == 1 {
        return String::new();
    }
    let words: Vec<&str> = of.iter().map(|situation| situation.guard()).collect();
    words.join("; ")
}

fn diagram() -> String {
    let mut edges: Vec<(PhaseKind, PhaseKind, Vec<String>)> = Vec::new();
    for from in PhaseKind::ALL {
        for event in EventKind::ALL {
            let all = outcomes(*from, *event);
            for (row, situations) in &all {
                let Row::To(to, _) = row else { continue };
                if to == from {
                    continue;
                }
                // One word is enough where the other outcomes are refusals or stay.
                let ways = all
                    .iter()
                    .filter(|(row, _)| matches!(row, Row::To(..)))
                    .count();
                let guard = match ways {
                    1 => String::new(),
                    _ => format!(" ({})", guard(&all, situations)),
                };
                let label = format!("{event:?}{guard}");
                match edges.iter_mut().find(|(f, t, _)| (f, t) == (from, to)) {
                    Some((_, _, labels)) if !labels.contains(&label) => labels.push(label),
                    Some(_) => {}
                    None => edges.push((*from, *to, vec![label])),
                }
            }
        }
    }
    let mut out = String::from("```mermaid\nstateDiagram-v2\n    [*] --> Idle\n");
    for (from, to, labels) in edges {
        writeln!(out, "    {from:?} --> {to:?}: {}", labels.join(", ")).unwrap();
    }
    out.push_str("```\n");
    out
}

fn transitions() -> String {
    let mut out =
        String::from("| Phase | Event | If | Next | Effects, in order |\n|---|---|---|---|---|\n");
    for from in PhaseKind::ALL {
        for event in EventKind::ALL {
            let all = outcomes(*from, *event);
            for (row, situations) in &all {
                let Row::To(to, effects) = row else { continue };
                let effects: Vec<String> =
                    effects.iter().map(|effect| format!("{effect:?}")).collect();
                let guard = guard(&all, situations);
                let effects = effects.join(", ");
                writeln!(
                    out,
                    "| {from:?} | {event:?} | {guard} | {to:?} | {effects} |"
                )
                .unwrap();
            }
        }
    }
    out
}

fn refusals() -> String {
    let mut out = String::from("| Phase | Event | If | Refused as |\n|---|---|---|---|\n");
    for from in PhaseKind::ALL {
        for event in EventKind::ALL {
            let all = outcomes(*from, *event);
            for (row, situations) in &all {
                let Row::No(illegal) = row else { continue };
                if *illegal == Illegal::OutOfTurn {
                    continue;
                }
                let guard = guard(&all, situations);
                writeln!(
                    out,
                    "| {from:?} | {event:?} | {guard} | {illegal:?}: {illegal} |"
                )
                .unwrap();
            }
        }
    }
    out
}

fn answers() -> String {
    let mut out = String::from("| Effect | Done | Failed |\n|---|---|---|\n");
    for effect in EffectKind::ALL {
        let (well, ill) = effect.answers();
        let name = |event: Option<EventKind>| event.map_or("–".to_string(), |e| format!("{e:?}"));
        writeln!(out, "| {effect:?} | {} | {} |", name(well), name(ill)).unwrap();
    }
    out
}

fn generated() -> String {
    format!(
        "{BEGIN}\n{}\n### Transitions\n\n{}\n### Refusals\n\n{}\n\
         Every other pair of phase and event is `OutOfTurn`: {}.\n\n\
         ### Answers to effects\n\n{}\n{END}",
        diagram(),
        transitions(),
        refusals(),
        Illegal::OutOfTurn,
        answers()
    )
}

#[test]
fn the_docs_show_the_machine_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/state-machine.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let begin = docs
        .find(BEGIN)
        .expect("docs/state-machine.md has no generated part");
    let end = docs
        .find(END)
        .expect("docs/state-machine.md has no end mark")
        + END.len();
    let generated = generated();
    if std::env::var_os("CORACLE_UPDATE_DOCS").is_some() {
        let new = format!("{}{generated}{}", &docs[..begin], &docs[end..]);
        std::fs::write(path, new).unwrap();
        return;
    }
    assert!(
        docs[begin..end] == generated,
        "docs/state-machine.md is not what the table says: \
         run CORACLE_UPDATE_DOCS=1 cargo test -p agent-core diagram"
    );
}
