//! Is it ready, and does it answer.

use crate::support::{BOUND, Door, Engine, KEY, no_such_host, within};
use sovai_gateway::probe::{ProbeError, Question, State, Target, ask, wait_ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn target(address: SocketAddr, deadline: Duration) -> Target {
    let deadline_ms = u64::try_from(deadline.as_millis()).unwrap();
    serde_json::from_value(serde_json::json!({
        "url": format!("http://{address}/health"), "status": 200, "bodyContains": "\"status\":\"ok\"",
        "startPeriodMs": 5000, "deadlineMs": deadline_ms, "intervalMs": 10,
    }))
    .unwrap()
}

#[tokio::test]
async fn it_waits_through_loading_and_tells_each_change_once() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let engine = Engine::start(move |_, mut wire| {
        let attempt = attempts.fetch_add(1, Ordering::Relaxed);
        async move {
            let request = wire.request().await.unwrap();
            assert_eq!(request.line, "GET /health HTTP/1.1");
            match attempt {
                0..3 => {
                    wire.send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 13\r\n\r\nLoading model")
                        .await;
                }
                // The right status with the wrong body is not ready.
                3 => wire.send_json("{\"status\":\"starting\"}").await,
                _ => wire.send_json("{\"status\":\"ok\"}").await,
            }
        }
    })
    .await;
    let mut states = Vec::new();
    within("ready", wait_ready(&target(engine.address, BOUND), |s| states.push(s))).await.unwrap();
    assert_eq!(states.len(), 3, "{states:?}");
    assert_eq!(states[0], State::Answers { status: 503, body: "Loading model".into(), expected: true });
    assert!(matches!(&states[1], State::Answers { status: 200, .. }));
    assert!(matches!(states[2], State::Ready { .. }));
    assert!(serde_json::to_string(&states[0]).unwrap().starts_with("{\"state\":\"answers\",\"status\":503"));
}

#[tokio::test]
async fn it_says_what_it_saw_last_when_the_time_is_over() {
    let wait = async |address: SocketAddr| {
        let start = Instant::now();
        let error = within("the deadline", wait_ready(&target(address, Duration::from_millis(200)), |_| {}))
            .await
            .unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(2));
        error.to_string()
    };
    assert!(wait(Engine::nobody().await).await.contains("nobody listens"));
    let silent = Engine::start(|_, mut wire| async move { wire.closed().await }).await;
    assert!(wait(silent.address).await.contains("said nothing"));
    let loading = Engine::start(|_, mut wire| async move {
        wire.request().await.unwrap();
        wire.send("HTTP/1.1 503 x\r\ncontent-length: 7\r\n\r\nLoading").await;
    })
    .await;
    assert!(wait(loading.address).await.contains("it answers 503: Loading"));
    let mut unknown = target(loading.address, Duration::from_millis(50));
    unknown.url = format!("http://{}/", no_such_host());
    unknown.start_period_ms = 0;
    let mut states = Vec::new();
    let error = within("the deadline", wait_ready(&unknown, |s| states.push(s))).await.unwrap_err();
    assert!(matches!(error, ProbeError::NotReady { .. }));
    assert_eq!(states, [State::NameNotFound { expected: false }]);
}

#[test]
fn an_unknown_field_is_refused() {
    assert!(
        serde_json::from_str::<Target>(r#"{"url":"x","status":200,"deadlineMs":1,"intervalMs":1,"x":1}"#)
            .is_err()
    );
    assert!(
        serde_json::from_str::<Question>(
            r#"{"url":"x","model":"m","prompt":"p","maxTokens":1,"deadlineMs":1,"x":1}"#
        )
        .is_err()
    );
}

#[tokio::test]
async fn one_question_goes_through_the_door_with_its_key() {
    let engine = Engine::start(|_, mut wire| async move {
        while let Some(request) = wire.request().await {
            let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!((&asked["temperature"], &asked["model"]), (&0.into(), &"engine-name".into()));
            let text = format!("You asked: {}", asked["messages"][0]["content"].as_str().unwrap());
            let answer = serde_json::json!({
                "choices": [{ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
                "usage": { "prompt_tokens": 5, "completion_tokens": 7 },
            });
            wire.send_json(&answer.to_string()).await;
        }
    })
    .await;
    let door = Door::to(engine.address).await;
    let question = |key: Option<&str>, model: &str| Question {
        url: format!("http://{}", door.inner),
        key: key.map(str::to_owned),
        model: model.to_owned(),
        prompt: "why?".to_owned(),
        max_tokens: 16,
        deadline_ms: 5000,
    };
    let answer = ask(&question(Some(KEY), "assistant")).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.completion_tokens), ("You asked: why?", Some(7)));
    assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
    let refused = ask(&question(None, "assistant")).await.unwrap_err();
    assert!(
        matches!(&refused, ProbeError::Status { status: 401, body } if body.contains("API key")),
        "{refused}"
    );
    let unknown = ask(&question(Some(KEY), "other")).await.unwrap_err().to_string();
    assert!(unknown.contains("404") && unknown.contains("model_not_found"), "{unknown}");
}

#[tokio::test]
async fn a_question_without_an_answer_ends() {
    let question = |address: SocketAddr, deadline_ms| Question {
        url: format!("http://{address}/v1/chat/completions"),
        key: None,
        model: "m".to_owned(),
        prompt: "p".to_owned(),
        max_tokens: 1,
        deadline_ms,
    };
    let nobody = Engine::nobody().await;
    assert!(matches!(ask(&question(nobody, 5000)).await, Err(ProbeError::Connect { .. })));
    let silent = Engine::start(|_, mut wire| async move { wire.closed().await }).await;
    assert!(matches!(ask(&question(silent.address, 100)).await, Err(ProbeError::Deadline(100))));
    let broken = Engine::start(|_, mut wire| async move {
        wire.request().await.unwrap();
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}").await;
    })
    .await;
    assert!(matches!(ask(&question(broken.address, 5000)).await, Err(ProbeError::Connect { .. })));
    let shapeless = Engine::start(|_, mut wire| async move {
        wire.request().await.unwrap();
        wire.send_json("{\"hello\":1}").await;
    })
    .await;
    let error = ask(&question(shapeless.address, 5000)).await.unwrap_err().to_string();
    assert!(error.contains("no `choices`") && error.contains("hello"), "{error}");
}
