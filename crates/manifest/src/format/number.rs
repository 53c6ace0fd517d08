//! Numbers: counts, lengths, sizes, CPUs, dates.

use super::Problem;
use crate::diagnostic::quoted;
use sovai_core::ByteSize;

/// Reads a whole decimal number within bounds.
pub(super) fn parse_number(text: &str, min: u64, max: u64) -> Result<u64, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        let negative =
            text.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if negative {
            return Err(Problem::new("SOV0023", format!("{text} is less than {min}")));
        }
        return Err(Problem::new("SOV0023", format!("{} is not a plain decimal number", quoted(text)))
            .hint("write decimal digits only, with no sign and no 0 first"));
    }
    match text.parse::<u64>() {
        Ok(number) if number < min => Err(Problem::new("SOV0023", format!("{number} is less than {min}"))),
        Ok(number) if number <= max => Ok(number),
        _ => Err(Problem::new("SOV0023", format!("{} is more than {max}", quoted(text)))),
    }
}

/// Reads an amount of memory.
pub(crate) fn parse_size(text: &str, min: u64) -> Result<ByteSize, Problem> {
    let size: ByteSize = text.parse().map_err(|error: sovai_core::SizeError| {
        Problem::new("SOV0032", format!("{error}: {}", quoted(text))).hint("as in `512MiB`, `4GiB`")
    })?;
    // Above this, engines take the number for a negative one.
    if size.0 > u64::MAX >> 1 {
        return Err(Problem::new("SOV0032", "a size is less than 8 EiB here"));
    }
    if size.0 < min {
        let min = ByteSize(min);
        return Err(Problem::new("SOV0032", format!("{size} is less than {min}"))
            .hint("a number without a unit means bytes: write a unit, as in `4GiB`"));
    }
    Ok(size)
}

/// Reads CPUs into thousandths, exactly: a float would not be.
pub(crate) fn parse_cpus(text: &str) -> Result<u32, Problem> {
    let bad = || {
        Problem::new("SOV0038", format!("{} is not a number of CPUs", quoted(text)))
            .hint("0.001 to 4096, with at most three decimals, as in `1.5`")
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 4 || part.len() > 3 || !digits(whole) || !digits(part) {
        return Err(bad());
    }
    let millis = format!("{part:0<3}");
    let number =
        whole.parse::<u32>().ok().zip(millis.parse::<u32>().ok()).map(|(whole, part)| whole * 1000 + part);
    number.filter(|number| (1..=4_096_000).contains(number)).ok_or_else(bad)
}

pub(super) fn date(text: &str) -> Result<(), Problem> {
    let parts: Vec<Option<u32>> = text
        .split('-')
        .zip([4, 2, 2])
        .map(|(part, len)| {
            (part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| part.parse().ok())?
        })
        .collect();
    let days = |year: u32, month: u32| match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    };
    match parts[..] {
        [Some(year), Some(month), Some(day)]
            if text.len() == 10 && (1..=12).contains(&month) && (1..=days(year, month)).contains(&day) =>
        {
            Ok(())
        }
        _ => Err(Problem::new("SOV0033", format!("{} is not a date", quoted(text)))
            .hint("year, month and day, as in `2026-11-24`")),
    }
}
