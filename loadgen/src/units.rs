//! Numbers as people read them.

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number that is not whole, rounded: `1,234,567`, below 10 with a decimal.
pub fn rate(number: f64) -> String {
    if number < 9.95 { trimmed(number, 1) } else { count(number.round() as u64) }
}

/// Three digits and a prefix, for axes and live lines: `1.23M`, `456k`.
pub fn short(number: f64) -> String {
    let (scaled, prefix) = match number {
        _ if number >= 999.5e6 => (number / 1e9, "G"),
        _ if number >= 999.5e3 => (number / 1e6, "M"),
        _ if number >= 999.5 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    format!("{}{prefix}", three_digits(scaled))
}

/// Microseconds with a unit that fits: `850 ns`, `12.3 us`, `4.56 ms`, `7.8 s`.
pub fn time_us(us: f64) -> String {
    time_with(us, "us")
}

/// As [`time_us`], with the proper sign for micro, where every reader can show it.
pub fn time_micro(us: f64) -> String {
    time_with(us, "µs")
}

fn time_with(us: f64, micro: &str) -> String {
    let (scaled, unit) = match us {
        _ if us >= 999.5e3 => (us / 1e6, "s"),
        _ if us >= 999.5 => (us / 1e3, "ms"),
        _ if us >= 0.9995 || us <= 0.0 => (us, micro),
        _ => (us * 1e3, "ns"),
    };
    format!("{} {unit}", three_digits(scaled))
}

/// A share between 0 and 1 as `12.3 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", three_digits(share * 100.0))
}

/// Three significant digits below 1000, whole numbers above, without idle zeros.
fn three_digits(number: f64) -> String {
    match number.abs() {
        size if size >= 99.95 => format!("{number:.0}"),
        size if size >= 9.995 => trimmed(number, 1),
        _ => trimmed(number, 2),
    }
}

fn trimmed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_separators() {
        let numbers = [0, 7, 999, 1000, 12_345, 999_999, 1_000_000, u64::MAX].map(count);
        let expected =
            ["0", "7", "999", "1,000", "12,345", "999,999", "1,000,000", "18,446,744,073,709,551,615"];
        assert_eq!(numbers, expected);
        assert_eq!([0.0, 0.04, 3.12, 9.96, 1234.5].map(rate), ["0", "0", "3.1", "10", "1,235"]);
    }

    #[test]
    fn prefixes_and_units() {
        let numbers = [0.0, 1.0, 999.4, 999.6, 12_345.0, 999_600.0, 1_234_567.0, 2e9].map(short);
        assert_eq!(numbers, ["0", "1", "999", "1k", "12.3k", "1M", "1.23M", "2G"]);
        let times = [0.0, 0.25, 0.9999, 12.34, 999.6, 4560.0, 123_456.0, 999_600.0, 3.6e9].map(time_us);
        let expected = ["0 us", "250 ns", "1 us", "12.3 us", "1 ms", "4.56 ms", "123 ms", "1 s", "3600 s"];
        assert_eq!(times, expected);
        assert_eq!(time_micro(12.0), "12 µs");
        assert_eq!([0.0, 0.5, 0.001, 1.0].map(percent), ["0 %", "50 %", "0.1 %", "100 %"]);
    }
}
