//! What runs inside the containers of the real-engine tests: one static binary, its first argument says what it does.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        // Says something on both streams, then listens and stays.
        ["stay"] => {
            println!("out \u{1b}[2J");
            eprintln!("err");
            let door = TcpListener::bind("0.0.0.0:8080").expect("bind");
            for visitor in door.incoming() {
                drop(visitor);
            }
        }
        ["exit", code, lines @ ..] => {
            for line in lines {
                eprintln!("{line}");
            }
            std::process::exit(code.parse().expect("code"));
        }
        // Gives back what it reads, and ends with 5.
        ["echo"] => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text).expect("stdin");
            std::io::stdout().write_all(&text).expect("stdout");
            eprintln!("{} bytes", text.len());
            std::process::exit(5);
        }
        // Writes much before it has read anything.
        ["flood", lines] => {
            for number in 0..lines.parse().expect("number") {
                println!("{number}");
            }
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text).expect("stdin");
            println!("{}", text.len());
        }
        ["write", path] => match std::fs::write(path, "x") {
            Ok(()) => println!("written"),
            Err(error) => println!("{:?}", error.kind()),
        },
        ["read", path] => match std::fs::read_to_string(path) {
            Ok(text) => print!("{text}"),
            Err(error) => println!("{:?}", error.kind()),
        },
        ["reach", address] => {
            match TcpStream::connect_timeout(&address.parse().expect("address"), Duration::from_secs(3)) {
                Ok(_) => println!("reached"),
                Err(error) => println!("{:?}", error.kind()),
            }
        }
        // By name, through the network's DNS.
        ["call", name] => match TcpStream::connect(name) {
            Ok(_) => println!("reached"),
            Err(error) => println!("{error}"),
        },
        other => panic!("no such word: {other:?}"),
    }
}
