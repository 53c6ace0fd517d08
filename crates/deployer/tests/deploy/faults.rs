//! Every call of the engine fails once, in every way, at every place: nothing is lost, nothing is left, and the same
//! command then completes.

use crate::fixture::{Fixture, MANIFEST};
use sovai_deployer::Restored;
use sovai_deployer::engine::{ContainerStatus, EngineError};
use sovai_deployer::fake::Call;

/// More calls than a deploy of the fixture makes.
const MANY: usize = 80;

fn changed() -> String {
    MANIFEST.replace("model: assistant\n", "model: assistant\n      context: 2048\n")
}

fn refused() -> EngineError {
    EngineError::Answer { what: "call".into(), status: 500, message: "no".into() }
}

fn all_run(fixture: &Fixture) -> bool {
    fixture.engine.snapshot().containers.iter().all(|container| container.status == ContainerStatus::Running)
}

#[tokio::test]
async fn a_first_deploy_that_fails_anywhere_leaves_nothing() {
    for call in Call::ALL {
        for nth in 1..MANY {
            let fixture = Fixture::new();
            let before = fixture.engine.snapshot();
            fixture.engine.fail_on(call, nth, refused());
            let Err(failed) = fixture.deploy(MANIFEST).await else { break };
            if let crate::fixture::Failed::Run(failure) = failed
                && failure.restored == Restored::Nothing
            {
                assert_eq!(fixture.engine.snapshot(), before, "{call:?} {nth}");
            } else {
                fixture.engine.revive();
            }
            fixture.deploy(MANIFEST).await.unwrap();
            assert_eq!(fixture.containers().len(), 2, "{call:?} {nth}");
            assert!(all_run(&fixture));
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_anywhere_leaves_nothing_doubled() {
    for call in Call::ALL {
        for nth in 1..MANY {
            let fixture = Fixture::new();
            fixture.engine.lose_answer(call, nth);
            if fixture.deploy(MANIFEST).await.is_ok() {
                break;
            }
            fixture.engine.revive();
            fixture.deploy(MANIFEST).await.unwrap();
            assert_eq!(
                fixture.containers(),
                ["sovai-demo-g1-engine", "sovai-demo-g1-gateway"],
                "{call:?} {nth}"
            );
            assert_eq!(fixture.engine.snapshot().networks.len(), 2, "{call:?} {nth}");
        }
    }
}

#[tokio::test]
async fn a_change_that_fails_anywhere_leaves_what_served() {
    for call in Call::ALL {
        for nth in 1..MANY {
            let fixture = Fixture::new();
            fixture.deploy(MANIFEST).await.unwrap();
            let before = fixture.containers();
            fixture.engine.fail_on(call, nth, refused());
            match fixture.deploy(&changed()).await {
                // Past the point where the new generation has answered, a failure only leaves something to clear away.
                Ok(outcome) if outcome.leftovers.is_empty() => break,
                Ok(_) => {}
                Err(crate::fixture::Failed::Run(failure))
                    if matches!(failure.restored, Restored::Incomplete(_)) => {}
                Err(_) => {
                    assert_eq!(fixture.containers(), before, "{call:?} {nth}");
                    assert!(all_run(&fixture), "{call:?} {nth}");
                }
            }
            fixture.engine.revive();
            fixture.deploy(&changed()).await.unwrap();
            assert_eq!(
                fixture.containers(),
                ["sovai-demo-g1-gateway", "sovai-demo-g2-engine"],
                "{call:?} {nth}"
            );
            assert!(all_run(&fixture), "{call:?} {nth}");
        }
    }
}

#[tokio::test]
async fn an_engine_that_dies_anywhere_and_comes_back_is_taken_up_again() {
    for (first, then) in [(None, MANIFEST.to_owned()), (Some(MANIFEST), changed())] {
        for calls in 0..MANY {
            let fixture = Fixture::new();
            if let Some(first) = first {
                fixture.deploy(first).await.unwrap();
            }
            fixture.engine.die_after(calls);
            let done = fixture.deploy(&then).await.is_ok_and(|outcome| outcome.leftovers.is_empty());
            fixture.engine.revive();
            fixture.deploy(&then).await.unwrap();
            assert_eq!(fixture.containers().len(), 2, "died after {calls} calls");
            assert!(all_run(&fixture), "died after {calls} calls");
            assert_eq!(fixture.engine.snapshot().networks.len(), 2, "died after {calls} calls");
            fixture.engine.forget_calls();
            assert!(!fixture.deploy(&then).await.unwrap().changed, "died after {calls} calls");
            if done {
                break;
            }
        }
    }
}
