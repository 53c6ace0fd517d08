//! What is not sovai's is left alone, also when it is in the way.

use crate::docker::{docker, inspect, try_docker};
use crate::setup::{Setup, beside};
use crate::stack::{MANIFEST, Stack};

/// Something of somebody else; removed when dropped.
struct Foreign(&'static str, String);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _gone = match self.0 {
            "container" => try_docker(&["rm", "--force", &self.1]),
            _ => try_docker(&["network", "rm", &self.1]),
        };
    }
}

fn container(setup: &Setup, name: &str, labels: &[&str]) -> Foreign {
    let mut args = vec!["run", "--detach", "--network", "none", "--name", name];
    for label in labels {
        args.extend(["--label", label]);
    }
    args.extend([&*setup.shared.stub_image.0, "sleep"]);
    Foreign("container", docker(&args))
}

#[test]
fn a_foreign_container_with_a_clashing_name_is_7_and_left_alone() {
    let Some(setup) = beside() else { return };
    for service in ["engine", "gateway", "store-check"] {
        let stack = Stack::new(&setup);
        let name = format!("sovai-{}-g1-{service}", stack.name);
        let foreign = container(&setup, &name, &[]);
        stack.write(&stack.manifest()).deploy().expect(7).says(&[&name, "rename"]);
        let after = inspect("container", &name);
        assert_eq!((&after["Id"], &after["State"]["Running"]), (&foreign.1.clone().into(), &true.into()));
        assert_eq!(stack.objects(), [format!("container {name}")]);
        // Nor does `down` touch it.
        stack.sovai(&["down", &stack.name]).expect(0);
        assert_eq!(stack.objects(), [format!("container {name}")]);
    }
}

#[test]
fn a_foreign_network_with_a_clashing_name_is_7_and_left_alone() {
    let Some(setup) = beside() else { return };
    for end in ["g1", "edge"] {
        let stack = Stack::new(&setup);
        let name = format!("sovai-{}-{end}", stack.name);
        let foreign = Foreign("network", docker(&["network", "create", &name]));
        stack.write(&stack.manifest()).deploy().expect(7).says(&[&name, "rename"]);
        assert_eq!(inspect("network", &name)["Id"], foreign.1.clone());
        assert_eq!(stack.objects(), [format!("network {name}")]);
        stack.sovai(&["down", &stack.name]).expect(0);
        assert_eq!(stack.objects(), [format!("network {name}")]);
    }
}

#[test]
fn a_container_that_looks_alike_but_is_another_stack_s_is_left_alone() {
    let Some(setup) = beside() else { return };
    let stack = Stack::new(&setup);
    // A stack whose name begins with this one's, and a container in the stack's own network.
    let other = format!("sovai.stack={}-more", stack.name);
    let alike = container(&setup, &format!("sovai-{}-more-g1-engine", stack.name), &[&other]);
    stack.up(&stack.manifest());
    stack.answers();
    stack.sovai(&["down", MANIFEST]).expect(0);
    assert_eq!(inspect("container", &alike.1)["State"]["Running"], true);
}
