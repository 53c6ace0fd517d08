use super::*;

fn rendered(text: &str) -> String {
    html! { (shown(text)) }.into_string()
}

#[test]
fn text_from_outside_is_escaped_bounded_and_shows_what_it_hides() {
    assert_eq!(
        rendered("<script>alert(\"1\")</script>&"),
        "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;"
    );
    assert_eq!(rendered("a\u{202e}b\u{200b}\x1b[31m\n"), "a\\u{202e}b\\u{200b}\\u{1b}[31m\\n");
    assert_eq!(rendered("Größe 数"), "Größe 数");
    let long = rendered(&"é".repeat(MAX_SHOWN + 5));
    assert_eq!(long.chars().count(), MAX_SHOWN + 1);
    assert!(long.ends_with('…'));
}

#[test]
fn nothing_in_a_page_is_an_address() {
    for text in ["http://a.example", "HTTPS://B", "xhttphttp", "hTTp", "http", "&http;", "h\u{200b}ttp"] {
        let shown = rendered(text);
        assert!(!shown.to_ascii_lowercase().contains("http"), "{shown}");
    }
    assert_eq!(rendered("http://a"), "&#104;ttp://a");
    let page = page("http://evil", &html! { p { (shown("</style><script src=http://x>")) } });
    let lower = page.to_ascii_lowercase();
    for never in ["http", "<script", "src=", "url(", "@import", "<iframe"] {
        let hits = lower.matches(never).count();
        // What a person reads may say `src=`; no tag of ours has it.
        assert_eq!(hits, usize::from(never == "src="), "{never}: {page}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn bars_share_one_scale_and_the_smallest_can_be_seen() {
    let bar = |label: &str, value| Bar { label: label.to_owned(), value, text: value.to_string() };
    let drawn = bars("sizes", &[bar("a", u64::MAX), bar("b", 1), bar("<b>", u64::MAX / 2)]).into_string();
    for width in ["width=\"350\"", "width=\"1\"", "width=\"174\"", "&lt;b&gt;"] {
        assert!(drawn.contains(width), "{width}: {drawn}");
    }
    assert_eq!(bars("none", &[]).into_string(), "");
    assert_eq!(bars::cut(&"x".repeat(40)).chars().count(), 26);
}

#[test]
fn durations_are_read_at_a_glance() {
    for (milliseconds, text) in
        [(0, "0.0 s"), (340, "0.3 s"), (99_999, "99.9 s"), (247_000, "4 min 7 s"), (7_500_000, "2 h 5 min")]
    {
        assert_eq!(duration(milliseconds), text);
    }
}
