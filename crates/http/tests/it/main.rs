//! The client against servers that misbehave, a real TLS server, and a proxy.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod proxy;
mod server;
mod tls;

use server::{Server, answer};
use sovai_http::{Client, HttpError, Options, Request, Retry, StatusCode, Url};
use std::sync::Mutex;
use std::time::Duration;

fn client() -> Client {
    Client::new(&Options { silence: Duration::from_secs(2), ..Options::default() }).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn get(url: &str) -> Request {
    Request::get(Url::parse(url).unwrap())
}

fn send(request: Request) -> Result<(StatusCode, String), HttpError> {
    block_on(async {
        let response = client().send(request).await?;
        let status = response.status();
        Ok((status, String::from_utf8(response.bytes(1 << 20).await?).unwrap()))
    })
}

/// An error with its causes, as a person would see it.
fn shown(error: &HttpError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[test]
fn plain_http_goes_to_loopback_only() {
    let error = send(get("http://192.0.2.1/x")).unwrap_err();
    assert!(matches!(error, HttpError::Plain { .. }), "{error:?}");
    let error = send(get("ftp://127.0.0.1/x")).unwrap_err();
    assert!(matches!(error, HttpError::Plain { .. }), "{error:?}");
    let server = Server::new(vec![answer("200 OK", "", "here")]);
    assert_eq!(send(get(&server.url("/x"))).unwrap().1, "here");
}

#[test]
fn a_redirect_to_another_host_takes_no_secret_along() {
    let other = Server::new(vec![answer("200 OK", "", "there")]);
    let here = Server::new(vec![answer("302 Found", &format!("Location: {}\r\n", other.url("/y")), "")]);
    assert_eq!(send(get(&here.url("/x")).authorization("Bearer hush")).unwrap().1, "there");
    assert!(here.seen()[0].contains("hush"));
    assert!(!other.seen()[0].contains("hush"), "{:?}", other.seen());
    assert!(!other.seen()[0].to_lowercase().contains("referer"), "{:?}", other.seen());
}

#[test]
fn a_redirect_on_the_same_host_keeps_the_secret() {
    let server = Server::new(vec![
        answer("307 Temporary Redirect", "Location: /y\r\n", ""),
        answer("200 OK", "", "moved"),
    ]);
    assert_eq!(send(get(&server.url("/x")).authorization("Bearer hush")).unwrap().1, "moved");
    assert!(server.seen()[1].contains("hush"));
}

#[test]
fn a_redirect_leads_neither_to_plain_http_elsewhere_nor_for_ever() {
    let server = Server::new(vec![answer("302 Found", "Location: http://192.0.2.1/x\r\n", "")]);
    let error = send(get(&server.url("/x"))).unwrap_err();
    assert!(shown(&error).contains("neither https nor loopback"), "{}", shown(&error));

    let server = Server::repeating(answer("302 Found", "Location: /again\r\n", ""));
    let error = send(get(&server.url("/x"))).unwrap_err();
    assert!(shown(&error).contains("too many redirects"), "{}", shown(&error));
    assert!(server.seen().len() <= 12, "{}", server.seen().len());
}

#[test]
fn what_may_help_is_tried_again_and_what_will_not_is_not() {
    let retry = Retry { tries: 4, first: Duration::from_millis(1), most: Duration::from_millis(2) };
    let server = Server::new(vec![
        answer("503 Service Unavailable", "", ""),
        answer("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        answer("200 OK", "", "at last"),
    ]);
    let noted = Mutex::new(Vec::new());
    let note = |error: &HttpError, _: Duration| noted.lock().unwrap().push(error.status().unwrap());
    let response = block_on(client().send_retrying(get(&server.url("/x")), retry, &note)).unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(*noted.lock().unwrap(), [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS]);

    let server = Server::repeating(answer("404 Not Found", "", "no such thing"));
    let error = block_on(client().send_retrying(get(&server.url("/x")), retry, &|_, _| {})).unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert_eq!(server.seen().len(), 1);

    let server = Server::repeating(answer("500 Internal Server Error", "", ""));
    block_on(client().send_retrying(get(&server.url("/x")), retry, &|_, _| {})).unwrap_err();
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn an_error_shows_what_was_said_and_no_query_and_no_escape() {
    let said = format!("bad \u{1b}[31mthing{}\nsecond line", "x".repeat(1000));
    let server = Server::new(vec![answer("403 Forbidden", "X-Error-Code: GatedRepo\r\n", &said)]);
    let error = send(get(&server.url("/x?signature=hush"))).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("403") && text.contains("bad [31mthing"), "{text}");
    assert!(
        !text.contains('\u{1b}') && !text.contains("hush") && !text.contains("second") && text.len() < 500
    );
    let HttpError::Status(error) = error else { panic!("{error:?}") };
    assert_eq!(error.code.as_deref(), Some("GatedRepo"));
}

#[test]
fn a_body_is_read_within_its_bound_and_a_short_one_is_an_error() {
    let server = Server::new(vec![answer("200 OK", "", &"x".repeat(100))]);
    let error =
        block_on(async { client().send(get(&server.url("/x"))).await.unwrap().bytes(99).await.unwrap_err() });
    assert!(error.to_string().contains("more than 99 bytes"), "{error}");

    let server = Server::new(vec!["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_owned()]);
    let error = send(get(&server.url("/x"))).unwrap_err();
    assert!(matches!(error, HttpError::Body { .. }) && error.is_transient(), "{error:?}");
}

#[test]
fn silence_ends() {
    let server = Server::silent();
    let error = block_on(async {
        let options = Options {
            silence: Duration::from_millis(200),
            connect: Duration::from_millis(200),
            ..Options::default()
        };
        Client::new(&options).unwrap().send(get(&server.url("/x"))).await.unwrap_err()
    });
    assert!(matches!(error, HttpError::Timeout { .. }), "{error:?}");
}

#[test]
fn a_content_range_is_read_strictly() {
    let ranged = |value: &str| {
        let server =
            Server::new(vec![answer("206 Partial Content", &format!("Content-Range: {value}\r\n"), "abc")]);
        block_on(client().send(get(&server.url("/x")).range(5, 8)))
            .map(|response| response.content_range())
            .unwrap()
    };
    assert_eq!(ranged("bytes 5-7/10"), Some((5, 8, Some(10))));
    assert_eq!(ranged("bytes 5-7/*"), Some((5, 8, None)));
    for bad in ["bytes 7-5/10", "5-7/10", "bytes -7/10", "bytes 5-18446744073709551615/10", "bytes */10"] {
        assert_eq!(ranged(bad), None, "{bad}");
    }
}

#[test]
fn a_request_that_stays_takes_its_body_and_headers_nowhere_else() {
    let other = Server::new(vec![answer("200 OK", "", "there")]);
    let redirect = answer("307 Temporary Redirect", &format!("Location: {}\r\n", other.url("/y")), "");
    let here = Server::new(vec![redirect]);
    let error = send(get(&here.url("/x")).staying()).unwrap_err();
    assert!(shown(&error).contains("to another server"), "{}", shown(&error));
    assert_eq!(other.seen(), Vec::<String>::new());
    let here = Server::new(vec![
        answer("307 Temporary Redirect", "Location: /y\r\n", ""),
        answer("200 OK", "", "still here"),
    ]);
    assert_eq!(send(get(&here.url("/x")).staying()).unwrap().1, "still here");
}

#[test]
fn an_error_that_drips_is_not_waited_for() {
    let server = Server::dripping("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 16000\r\n\r\n");
    let error = send(get(&server.url("/x"))).unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
}
