//! The booted kernel: that all that was promised ran in it.

use std::fmt::Write as _;

use sandsock_tests::kernel::{Absence, FAMILIES, Outcome, TESTS, absent, report};
use sandsock_tests::target;

#[test]
fn families_ran() {
    let report = match report() {
        Ok(report) => report,
        Err(Absence::NotHere(reason)) => return absent("kernel::families_ran", reason),
        Err(Absence::Broken(what)) => panic!("{what}"),
    };
    let mut text = format!("{}\n", report.machine);
    let mut silent = Vec::new();
    let mut wrong = String::new();
    for family in FAMILIES {
        let suite = format!("{}::", family.suite);
        let own: Vec<_> =
            report.outcomes.iter().filter(|(name, _)| name.starts_with(&suite)).collect();
        let count = |wanted: fn(&Outcome) -> bool| {
            own.iter().filter(|(_, outcome)| wanted(outcome)).count()
        };
        let (passed, failed) =
            (count(|o| *o == Outcome::Passed), count(|o| matches!(o, Outcome::Failed(_))));
        let _ = writeln!(
            text,
            "  {:<12} {passed} passed, {failed} failed, {} skipped",
            family.name,
            own.len() - passed - failed
        );
        for (name, outcome) in &own {
            match outcome {
                Outcome::Passed => {}
                Outcome::Skipped(reason) => {
                    writeln!(text, "    {name} was skipped: {reason}").expect("a string takes it")
                }
                Outcome::Failed(output) => {
                    writeln!(wrong, "{name} failed:\n{output}").expect("a string takes it")
                }
            }
        }
        if passed == 0 {
            silent.push(family.name);
        }
    }
    for test in TESTS {
        let passed = report.outcomes.get(*test) == Some(&Outcome::Passed);
        let _ = writeln!(text, "  {test} {}", if passed { "passed" } else { "did not pass" });
        if !passed {
            silent.push(test);
        }
    }
    print!("{text}");
    std::fs::write(target().join("kernel.txt"), text).expect("target is writable");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(silent.is_empty(), "nothing was seen to work of {}", silent.join(", "));
}
