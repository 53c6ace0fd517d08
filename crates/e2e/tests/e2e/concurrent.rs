//! Two at once.

use crate::process::{LIMIT, poll};
use crate::setup::beside;
use crate::stack::{MANIFEST, Stack};

#[test]
fn a_second_deploy_at_the_same_time_is_11_and_names_the_first() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    stack.write(&stack.manifest_with(&[("STUB_DELAY_MS", "3000")]));
    let first = stack.start(&["deploy", MANIFEST]);
    let pid = first.child.id().to_string();
    poll("the first deploy has made something", LIMIT, || (!stack.objects().is_empty()).then_some(()));
    stack.deploy().expect(11).says(&["sovai deploy", &pid]);
    stack.sovai(&["down", &stack.name]).expect(11).says(&["sovai deploy", &pid]);
    first.end().expect(0);
    stack.whole();
    stack.answers();
}

#[test]
fn soak_stacks_that_come_and_go_side_by_side_do_not_disturb_each_other() {
    let Some(setup) = beside() else { return };
    // They share the image made of the binary: each `down` takes it away if nobody uses it at that moment.
    let rounds = if crate::setup::soak() { 30 } else { 3 };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let setup = &setup;
            scope.spawn(move || {
                let stack = Stack::new(setup);
                for _ in 0..rounds {
                    stack.up(&stack.manifest());
                    stack.answers();
                    stack.sovai(&["down", &stack.name]).expect(0);
                    stack.gone();
                }
            });
        }
    });
    crate::setup::say(&format!(
        "soak: two stacks that come and go side by side: {rounds} rounds each, none disturbed"
    ));
}
