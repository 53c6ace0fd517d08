//! What gets through, and what it looks like on the other side.

use crate::support::{Door, Engine, KEY, chat, config, post, within};
use serde_json::json;

#[tokio::test]
async fn a_request_reaches_the_engine_under_the_engine_s_name_and_nothing_else_of_it_changes() {
    let (engine, mut seen) = Engine::echo().await;
    let mut door = Door::to(engine.address).await;
    let body = r#"{ "seed":1.0e0,"model" : "assistant","messages":[ ], "seed" : 2 }"#;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
        let answer = door.ask(&post(path, KEY, body)).await;
        assert_eq!(answer.status, 200);
        let request = within("the engine", seen.recv()).await.unwrap();
        assert_eq!(request.line, format!("POST {path} HTTP/1.1"));
        assert_eq!(String::from_utf8(request.body).unwrap(), body.replace("assistant", "engine-name"));
        let record = door.access().await;
        assert_eq!((record.route, record.status, record.model.as_deref()), (path, 200, Some("assistant")));
        assert_eq!(record.client.as_deref(), Some("team-a"));
        assert_eq!(record.bytes_in, body.len() as u64);
        assert_eq!(record.bytes_out, answer.body.len() as u64);
        assert_eq!(answer.headers["x-request-id"], record.request_id);
    }
}

#[tokio::test]
async fn only_listed_headers_pass_in_either_direction() {
    let (tell, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let engine = Engine::start(move |_, mut wire| {
        let tell = tell.clone();
        async move {
            tell.send(wire.request().await.unwrap()).unwrap();
            wire.send(
                "HTTP/1.1 200 OK\r\nserver: engine/1\r\nset-cookie: a=b\r\naccess-control-allow-origin: *\r\n\
                 x-internal: 1\r\nlocation: http://engine/\r\nx-request-id: theirs\r\nconnection: close, x-internal\r\n\
                 keep-alive: timeout=5\r\ncache-control: no-store\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
            )
            .await;
        }
    })
    .await;
    let door = Door::to(engine.address).await;
    let body = r#"{"model":"assistant"}"#;
    let answer = door
        .ask(&format!(
            "POST /v1/completions?key=secret HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer {KEY}\r\n\
             cookie: session=1\r\nx-forwarded-for: 10.0.0.1\r\nx-api-key: k\r\nproxy-authorization: Basic x\r\n\
             te: trailers\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nupgrade: websocket\r\n\
             x-request-id: mine\r\naccept: text/event-stream\r\naccept-encoding: gzip\r\nuser-agent: me\r\n\
             content-type: multipart/form-data\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let names: Vec<_> = answer.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["cache-control", "content-length", "content-type", "date", "x-request-id"]);
    assert!(
        !answer.headers["x-request-id"].contains("theirs")
            && !answer.headers["x-request-id"].contains("mine")
    );

    let request = within("the engine", seen.recv()).await.unwrap();
    assert_eq!(request.line, "POST /v1/completions HTTP/1.1");
    let names: Vec<_> = request.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["accept", "content-length", "content-type", "host", "x-request-id"]);
    assert_eq!(request.headers["host"], engine.address.to_string());
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["x-request-id"], answer.headers["x-request-id"]);
}

#[tokio::test]
async fn what_is_on_no_list_is_not_there_and_never_reaches_the_engine() {
    let (engine, mut seen) = Engine::echo().await;
    let mut door = Door::to(engine.address).await;
    let mut client = door.client().await;
    for path in [
        "/",
        "/metrics",
        "/slots",
        "/props",
        "/health",
        "/tokenize",
        "/completion",
        "/v1",
        "/v1/",
        "/v1/models/",
        "//v1/models",
        "/v1//models",
        "/v1/models/assistant",
        "/v1/models/../models",
        "/v1/models/../../slots",
        "/v1/chat/completions/../../../slots",
        "/v1/%6dodels",
        "/v1%2fmodels",
        "/v1/models%00",
        "/v1/models%3f",
        "/V1/MODELS",
        "/v1/Models",
        "/v1/models;a=b",
        "/v1/./models",
        "/v1/chat/completions/",
        "/v1/models\\",
        "/metrics?x=/v1/models",
        "http://door/slots",
    ] {
        for method in ["GET", "POST"] {
            let text = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 0\r\n\r\n"
            );
            client.send(text).await;
            let answer = client.answer().await;
            assert_eq!(answer.error(), (404, Some("unknown_url".to_owned())), "{method} {path}");
            assert_eq!(door.access().await.route, "unknown");
        }
    }
    assert!(seen.try_recv().is_err(), "the engine was reached");
}

#[tokio::test]
async fn a_query_and_an_absolute_url_are_read_as_their_path() {
    let door = Door::to(Engine::nobody().await).await;
    for target in ["/v1/models?limit=1", "/v1/models?../slots", "http://anything/v1/models"] {
        let answer = door
            .ask(&format!("GET {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n"))
            .await;
        assert_eq!(answer.status, 200, "{target}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let door = Door::to(Engine::nobody().await).await;
    for (method, path, allowed) in [
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models", "GET"),
        ("GET", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/chat/completions", "POST"),
        ("BREW", "/v1/embeddings", "POST"),
        ("POST", "/healthz", "GET"),
    ] {
        let answer = door
            .ask(&format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 0\r\n\r\n"))
            .await;
        assert_eq!(answer.error(), (405, Some("method_not_allowed".to_owned())), "{method} {path}");
        assert_eq!(answer.headers["allow"], allowed);
    }
}

#[tokio::test]
async fn the_models_are_listed_by_their_public_names_without_asking_an_engine() {
    let mut config = config(Engine::nobody().await);
    config["routes"]["coder"] = json!({ "upstream": "http://127.0.0.1:1", "model": "internal-name" });
    let door = Door::open(config).await;
    let answer =
        door.ask(&format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n")).await;
    assert_eq!(answer.status, 200);
    let value = answer.json();
    let ids: Vec<_> = value["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["assistant", "coder"]);
    assert!(value["data"][0]["created"].is_u64() && value["object"] == "list");
    assert!(!answer.text().contains("internal-name") && !answer.text().contains("127.0.0.1"));
}

#[tokio::test]
async fn an_unknown_model_is_an_error_that_clients_know() {
    let (engine, mut seen) = Engine::echo().await;
    let mut door = Door::to(engine.address).await;
    for model in ["gpt-4", "engine-name", "Assistant", "assistant ", ""] {
        let body = json!({ "model": model }).to_string();
        let answer = door.ask(&post("/v1/chat/completions", KEY, &body)).await;
        assert_eq!(answer.error(), (404, Some("model_not_found".to_owned())), "{model}");
        assert_eq!(answer.json()["error"]["param"], "model");
        assert_eq!(door.access().await.model, None);
    }
    for body in ["", "[]", "nonsense", "{}", r#"{"model":7}"#, r#"{"model":"assistant","model":"x"}"#] {
        let answer = door.ask(&post("/v1/completions", KEY, body)).await;
        assert_eq!(answer.error().0, 400, "{body}");
    }
    assert!(seen.try_recv().is_err(), "the engine was reached");
}

#[tokio::test]
async fn health_is_open_and_tells_nothing_of_what_is_behind() {
    let door = Door::to(Engine::nobody().await).await;
    let answer = door.ask("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"status":"ok"}"#));
}

#[tokio::test]
async fn two_models_go_to_their_own_engines_and_the_inner_door_asks_for_a_key_too() {
    let (one, mut at_one) = Engine::echo().await;
    let (two, mut at_two) = Engine::echo().await;
    let mut config = config(one.address);
    config["routes"]["coder"] = json!({ "upstream": format!("http://{}", two.address), "model": "coder" });
    let door = Door::open(config).await;
    let mut client = crate::support::Client::connect(door.inner).await;
    client.send(post("/v1/completions", KEY, r#"{"model":"coder"}"#)).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(at_two.try_recv().is_ok() && at_one.try_recv().is_err());
    client.send(chat("x")).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(at_one.try_recv().is_ok() && at_two.try_recv().is_err());
    client.send(post("/v1/completions", "wrong", r#"{"model":"coder"}"#)).await;
    assert_eq!(client.answer().await.status, 401);
}
