//! Redis's glob patterns over bytes: `*`, `?`, `[abc]`, `[a-z]`, `[^x]` and `\` before a literal.
//!
//! ```text
//! pattern  h * l [a-m] o
//!            ^ after a star the matcher notes (pattern, text) and, on a mismatch, comes back to it with the
//!              star taking one byte more
//! ```
//! Only the newest star is ever retried: whatever an older star could still reach, the newest reaches
//! too, so the work is at most `pattern × text` steps and no pattern makes it exponential. Nothing here
//! knows of character encodings, of paths or of `{a,b}`.

/// Whether the whole of `text` matches `pattern`.
pub fn glob_match(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            if at == pattern.len() {
                return true;
            }
            star = Some((at, position));
            continue;
        }
        if at == pattern.len() && position == text.len() {
            return true;
        }
        if at < pattern.len() && position < text.len() {
            let (matched, next) = match_one(&pattern[at..], text[position], ignore_case);
            if matched {
                at += next;
                position += 1;
                continue;
            }
        }
        match star {
            Some((after_star, taken)) if taken < text.len() => {
                star = Some((after_star, taken + 1));
                (at, position) = (after_star, taken + 1);
            }
            _ => return false,
        }
    }
}

/// Whether `pattern` has one of the characters that make it more than a name; a backslash alone does not.
pub fn is_glob(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Matches one byte against the first element of a pattern that is neither empty nor starts with a star.
/// Returns the verdict and the element's length.
fn match_one(pattern: &[u8], byte: u8, ignore_case: bool) -> (bool, usize) {
    match pattern[0] {
        b'?' => (true, 1),
        b'[' => match_class(pattern, byte, ignore_case),
        b'\\' if pattern.len() > 1 => (same(pattern[1], byte, ignore_case), 2),
        literal => (same(literal, byte, ignore_case), 1),
    }
}

/// Matches a byte against a class, `pattern[0]` being `[`. A class that is never closed ends with the
/// pattern, and a range may be written either way round, as in Redis.
fn match_class(pattern: &[u8], byte: u8, ignore_case: bool) -> (bool, usize) {
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = if negated { 2 } else { 1 };
    let mut found = false;
    while at < pattern.len() && pattern[at] != b']' {
        if pattern[at] == b'\\' && at + 1 < pattern.len() {
            found |= same(pattern[at + 1], byte, ignore_case);
            at += 2;
        } else if at + 2 < pattern.len() && pattern[at + 1] == b'-' {
            found |= in_range(pattern[at], pattern[at + 2], byte, ignore_case);
            at += 3;
        } else {
            found |= same(pattern[at], byte, ignore_case);
            at += 1;
        }
    }
    (found != negated, (at + 1).min(pattern.len()))
}

fn in_range(first: u8, last: u8, byte: u8, ignore_case: bool) -> bool {
    let fold = |byte: u8| if ignore_case { byte.to_ascii_lowercase() } else { byte };
    let (first, last, byte) = (fold(first), fold(last), fold(byte));
    (first.min(last)..=first.max(last)).contains(&byte)
}

fn same(left: u8, right: u8, ignore_case: bool) -> bool {
    if ignore_case { left.eq_ignore_ascii_case(&right) } else { left == right }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        glob_match(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn literals_stars_and_question_marks() {
        assert!(matches("", "") && matches("*", "") && matches("***", "abc"));
        assert!(!matches("", "a") && !matches("?", "") && !matches("a", ""));
        assert!(matches("h?llo", "hello") && matches("h*llo", "heeeello") && matches("*llo*", "hello"));
        assert!(matches("a*b*c", "aXbYbZc") && !matches("a*b*c", "aXbYbZ"));
    }

    #[test]
    fn classes() {
        assert!(matches("h[ae]llo", "hallo") && !matches("h[ae]llo", "hillo"));
        assert!(matches("h[^e]llo", "hallo") && !matches("h[^e]llo", "hello"));
        assert!(matches("h[a-b]llo", "hbllo") && matches("h[b-a]llo", "hallo"));
        assert!(matches("[\\]]", "]") && matches("[\\-a]", "-") && matches("[-a]", "-"));
        assert!(
            matches("[a-", "-") && matches("[a-]", "^") && !matches("[a-]", "-"),
            "a range up to the bracket"
        );
        assert!(!matches("[]", "a") && matches("[^]", "a"), "an empty class holds nothing");
        assert!(matches("[abc", "b") && !matches("[abc", "d"), "an open class ends with the pattern");
        assert!(!matches("[", "[") && matches("[^", "x"));
    }

    #[test]
    fn escapes() {
        assert!(matches("\\*", "*") && !matches("\\*", "a") && matches("\\a", "a"));
        assert!(matches("a\\", "a\\"), "a backslash at the end stands for itself");
    }

    #[test]
    fn case_is_ignored_on_request() {
        assert!(glob_match(b"MaXm*", b"maxmemory", true) && !glob_match(b"MaXm*", b"maxmemory", false));
        assert!(glob_match(b"[A-C]x", b"bX", true) && !glob_match(b"[A-C]x", b"bX", false));
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(20_000)));
    }

    /// The definition, word for word and exponential.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|taken| naive(&pattern[1..], &text[taken..])),
            Some(_) if text.is_empty() => false,
            Some(_) => {
                let (matched, length) = match_one(pattern, text[0], false);
                matched && naive(&pattern[length..], &text[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in r"[ab*?\[\]^\\-]{0,8}", text in r"[ab\]-]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_safe(
            pattern in prop::collection::vec(any::<u8>(), 0..20),
            text in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            glob_match(&pattern, &text, true);
            let escaped: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
            prop_assert!(glob_match(&escaped, &text, false));
        }
    }
}
