use super::*;

fn request() -> Request {
    let wanted = |all, chunks: &[(u64, u64)], files| Wanted { all, chunks: chunks.to_vec(), files };
    Request {
        stack: Name::new("demo-2").unwrap(),
        sequence: 7,
        index: "1a2b3c4d".to_owned(),
        volumes: BTreeMap::from([
            (VolumeId::Data(3), wanted(false, &[(12, 12), (1204, 1210)], false)),
            (VolumeId::Data(5), wanted(true, &[], true)),
            (VolumeId::Parity(1), wanted(false, &[], true)),
        ]),
    }
}

#[test]
fn a_request_is_read_as_it_was_written_also_in_small_letters_and_on_one_line() {
    let request = request();
    let text = request.to_text();
    assert!(text.starts_with("SOVAI REQUEST DEMO-2 7 1A2B3C4D CHECK "), "{text}");
    assert!(text.contains("\nV003 12 1204-1210 CHECK "), "{text}");
    assert!(text.contains("\nV005 ALL FILES CHECK "), "{text}");
    assert!(
        text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'-' | b'\n')),
        "{text}"
    );
    assert_eq!(Request::parse(&text).as_ref(), Ok(&request));
    assert_eq!(Request::parse(&text.to_lowercase().replace('\n', "  ")).as_ref(), Ok(&request));
    assert_eq!(Request::parse(&text.replace("12 1204", "12, 1204").replace('\n', "\r\n\r\n")), Ok(request));
}

#[test]
fn one_character_that_was_heard_wrong_is_caught() {
    let text = request().to_text();
    for at in 0..text.len() {
        for other in b'0'..=b'Z' {
            let mut bytes = text.clone().into_bytes();
            if bytes[at] == other || !(other.is_ascii_digit() || other.is_ascii_uppercase()) {
                continue;
            }
            bytes[at] = other;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Request::parse(&changed).is_err(), "{changed}");
        }
        let mut left_out = text.clone();
        left_out.remove(at);
        // White space alone may be said in any way.
        if left_out.split_whitespace().ne(text.split_whitespace()) {
            assert!(Request::parse(&left_out).is_err(), "{left_out}");
        }
    }
}

#[test]
fn words_and_lines_that_were_swapped_left_out_or_said_twice_are_caught() {
    let text = request().to_text();
    let words: Vec<_> = text.split_whitespace().collect();
    for at in 1..words.len() {
        let mut swapped = words.clone();
        swapped.swap(at - 1, at);
        if swapped != words {
            assert!(Request::parse(&swapped.join(" ")).is_err(), "{swapped:?}");
        }
        let mut twice = words.clone();
        twice.insert(at, words[at]);
        assert!(Request::parse(&twice.join(" ")).is_err(), "{twice:?}");
    }
    let lines: Vec<_> = text.lines().collect();
    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        let error = Request::parse(&fewer.join("\n")).unwrap_err();
        if (1..lines.len() - 1).contains(&at) {
            assert_eq!(error, RequestError::End);
        }
    }
}

#[test]
fn what_was_heard_wrong_is_named() {
    let text = request().to_text();
    let error = Request::parse(&text.replace("1204-1210", "1204-1211")).unwrap_err();
    assert_eq!(error, RequestError::Line { line: "the line V003".to_owned() });
    let error = Request::parse(&text.replace("DEMO-2 7", "DEMO-2 1")).unwrap_err();
    assert_eq!(error, RequestError::Line { line: "the first line".to_owned() });
    for bad in ["", "SOVAI", "SOVAI REQUEST", "GET / HTTP/1.1", "SOVAI REQUEST X 1 12345678 END"] {
        assert!(
            matches!(Request::parse(bad), Err(RequestError::Word { .. } | RequestError::Line { .. })),
            "{bad}"
        );
    }
    assert_eq!(Request::parse(&" ".repeat(2 << 20)), Err(RequestError::TooLong));
}
