//! A server that says what it is told, byte for byte.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Answers one request a connection; ends with the test's process.
pub(crate) struct Server {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

/// A whole answer that closes its connection.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

impl Server {
    /// These answers, one after the other.
    pub(crate) fn new(answers: Vec<String>) -> Self {
        let mut answers = answers.into_iter();
        Self::by(move |stream| {
            if let Some(answer) = answers.next() {
                // A client may have gone.
                drop(stream.write_all(answer.as_bytes()));
            }
        })
    }

    /// This answer to every request.
    pub(crate) fn repeating(answer: String) -> Self {
        Self::by(move |stream| drop(stream.write_all(answer.as_bytes())))
    }

    /// This head, and then a byte now and then for ever.
    pub(crate) fn dripping(head: &'static str) -> Self {
        Self::by(move |stream| {
            drop(stream.write_all(head.as_bytes()));
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
        })
    }

    /// No answer at all.
    pub(crate) fn silent() -> Self {
        let mut kept = Vec::new();
        Self::by(move |stream| kept.extend(stream.try_clone().ok()))
    }

    fn by(mut respond: impl FnMut(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head: Vec<String> = BufReader::new(&stream)
                    .lines()
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                log.lock().unwrap().push(head.join("\n"));
                respond(&mut stream);
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The heads of the requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}
