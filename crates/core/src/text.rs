//! What text from outside may do to those who read it.

/// Characters that reorder or hide text without being control characters: bidirectional controls (UAX #9), zero widths,
/// separators, tags. Whoever shows text from outside shows them escaped.
pub const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
