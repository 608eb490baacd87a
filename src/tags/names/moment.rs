//! Formats dates like the package moment does in English (<https://momentjs.com/docs/#/displaying/format/>).

use chrono::{DateTime, Datelike, Days, Offset as _, TimeZone as _, Timelike, Utc};
use chrono_tz::{OffsetName as _, TZ_VARIANTS, Tz};

/// Returns the time zone with a name, ignoring case as moment does.
pub(super) fn zone(name: &str) -> Option<Tz> {
    let normal = |name: &str| name.to_lowercase().replace('/', "_");
    let wanted = normal(name);
    TZ_VARIANTS.iter().copied().find(|zone| normal(zone.name()) == wanted)
}

/// Formats a time; uses ISO 8601 if there is no format.
pub(super) fn format(time: DateTime<Utc>, zone: Tz, format: Option<&str>) -> String {
    let local = zone.from_utc_datetime(&time.naive_utc());
    let offset = local.offset().fix().local_minus_utc() / 60;
    let default = if offset == 0 { "YYYY-MM-DDTHH:mm:ss[Z]" } else { "YYYY-MM-DDTHH:mm:ssZ" };
    // A zone without an abbreviation shows its offset in hours.
    let whole = offset_text(offset, "");
    let hours = || whole.strip_suffix("00").unwrap_or(&whole).to_owned();
    let abbreviation = local.offset().abbreviation().map_or_else(hours, str::to_owned);
    let moment = Moment { local, offset, zone: abbreviation, utc: time };
    moment.text(format.unwrap_or(default))
}

/// Formats a time in UTC, treated as a zone without a name.
pub(super) fn format_local(time: DateTime<Utc>, format: Option<&str>) -> String {
    let moment =
        Moment { local: Tz::UTC.from_utc_datetime(&time.naive_utc()), offset: 0, zone: String::new(), utc: time };
    moment.text(format.unwrap_or("YYYY-MM-DDTHH:mm:ssZ"))
}

struct Moment {
    local: DateTime<Tz>,
    /// Minutes east of UTC.
    offset: i32,
    /// The zone's abbreviation at that time.
    zone: String,
    utc: DateTime<Utc>,
}

impl Moment {
    fn text(&self, format: &str) -> String {
        tokens(&expanded(format)).iter().map(|token| self.shown(token)).collect()
    }

    fn shown(&self, token: &str) -> String {
        let local = &self.local;
        let (year, month, day) = (i64::from(local.year()), local.month(), local.day());
        let (hour, minute, second) = (local.hour(), local.minute(), local.second());
        let (weekday, month_name) = (local.format("%A").to_string(), local.format("%B").to_string());
        let (iso_year, iso_week) = (i64::from(local.iso_week().year()), local.iso_week().week());
        let (week_year, week) = self.week();
        let sunday = local.weekday().num_days_from_sunday();
        let hour12 = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
        let hour24 = if hour == 0 { 24 } else { hour };
        match token {
            "M" => month.to_string(),
            "MM" => fill(month, 2),
            "Mo" => ordinal(month),
            "MMM" | "ddd" => (if token == "MMM" { month_name } else { weekday }).chars().take(3).collect(),
            "MMMM" => month_name,
            "Q" => month.div_ceil(3).to_string(),
            "Qo" => ordinal(month.div_ceil(3)),
            "D" => day.to_string(),
            "DD" => fill(day, 2),
            "Do" => ordinal(day),
            "DDD" => local.ordinal().to_string(),
            "DDDD" => fill(local.ordinal(), 3),
            "DDDo" => ordinal(local.ordinal()),
            "d" | "e" => sunday.to_string(),
            "do" => ordinal(sunday),
            "dd" => weekday.chars().take(2).collect(),
            "dddd" => weekday,
            "E" => local.weekday().number_from_monday().to_string(),
            "w" => week.to_string(),
            "ww" => fill(week, 2),
            "wo" => ordinal(week),
            "W" => iso_week.to_string(),
            "WW" => fill(iso_week, 2),
            "Wo" => ordinal(iso_week),
            "YY" => fill(year.rem_euclid(100), 2),
            "Y" | "YYYY" | "yyyy" => fill(year, 4),
            "YYYYY" => fill(year, 5),
            "YYYYYY" => format!("+{}", fill(year, 6)),
            "y" | "yy" | "yyy" => fill(year, token.len()),
            "yo" => ordinal(year),
            "N" | "NN" | "NNN" | "NNNNN" => "AD".to_owned(),
            "NNNN" => "Anno Domini".to_owned(),
            "gg" => fill(week_year % 100, 2),
            "gggg" | "ggggg" => fill(week_year, token.len()),
            "GG" => fill(iso_year % 100, 2),
            "GGGG" | "GGGGG" => fill(iso_year, token.len()),
            "a" => (if hour < 12 { "am" } else { "pm" }).to_owned(),
            "A" => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            "H" | "HH" => fill(hour, token.len()),
            "h" | "hh" => fill(hour12, token.len()),
            "k" | "kk" => fill(hour24, token.len()),
            "hmm" => format!("{hour12}{}", fill(minute, 2)),
            "hmmss" => format!("{hour12}{}{}", fill(minute, 2), fill(second, 2)),
            "Hmm" => format!("{hour}{}", fill(minute, 2)),
            "Hmmss" => format!("{hour}{}{}", fill(minute, 2), fill(second, 2)),
            "m" | "mm" => fill(minute, token.len()),
            "s" | "ss" => fill(second, token.len()),
            "X" => self.utc.timestamp().to_string(),
            "x" => self.utc.timestamp_millis().to_string(),
            "z" | "zz" => self.zone.clone(),
            "Z" => offset_text(self.offset, ":"),
            "ZZ" => offset_text(self.offset, ""),
            _ if token.starts_with('S') => self.fraction(token.len()),
            _ => literal(token),
        }
    }

    /// Returns the digits of the fraction of the second; digits after the milliseconds are zeros.
    fn fraction(&self, digits: usize) -> String {
        let millis = self.utc.timestamp_subsec_millis();
        let nine = format!("{millis:03}000000");
        nine.chars().take(digits).collect()
    }

    /// Returns the year and number of the week as counted in the USA: weeks begin on Sunday, and the first one contains
    /// January 1.
    fn week(&self) -> (i64, u32) {
        let date = self.local.date_naive();
        let to_saturday = 6 - u64::from(date.weekday().num_days_from_sunday());
        let saturday = date.checked_add_days(Days::new(to_saturday)).unwrap_or(date);
        (i64::from(saturday.year()), saturday.ordinal0() / 7 + 1)
    }
}

fn offset_text(offset: i32, between: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs();
    format!("{sign}{}{between}{}", fill(minutes / 60, 2), fill(minutes % 60, 2))
}

fn fill(number: impl Into<i64>, width: usize) -> String {
    format!("{:0width$}", number.into())
}

fn ordinal(number: impl Into<i64>) -> String {
    let number = number.into();
    let ending = match (number % 100 / 10, number % 10) {
        (1, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Returns the text of `[text]`, or of a character after `\`.
fn literal(token: &str) -> String {
    match token.strip_prefix('[') {
        Some(inner) if !inner.is_empty() => inner.strip_suffix(']').unwrap_or(inner).to_owned(),
        _ => token.replace('\\', ""),
    }
}

/// Replaces the short forms of whole dates in a format, such as `LL`.
fn expanded(format: &str) -> String {
    let forms = [
        ("LTS", "h:mm:ss A"),
        ("LT", "h:mm A"),
        ("LLLL", "dddd, MMMM D, YYYY h:mm A"),
        ("LLL", "MMMM D, YYYY h:mm A"),
        ("LL", "MMMM D, YYYY"),
        ("L", "MM/DD/YYYY"),
        ("llll", "ddd, MMM D, YYYY h:mm A"),
        ("lll", "MMM D, YYYY h:mm A"),
        ("ll", "MMM D, YYYY"),
        ("l", "M/D/YYYY"),
    ];
    let mut out = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        let escaped = rest.strip_prefix('\\');
        let form = forms.iter().find(|(form, _)| escaped.unwrap_or(rest).starts_with(form));
        let length = match (bracketed(rest), form, escaped) {
            (Some(length), ..) => length,
            (None, Some((form, _)), Some(_)) => form.len() + 1,
            (None, Some((form, meaning)), None) => {
                out.push_str(meaning);
                rest = &rest[form.len()..];
                continue;
            }
            (None, None, _) => first.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// Returns the length in bytes of the `[…]` at the beginning of the text, up to the last `]` before another `[`.
fn bracketed(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let until = inner.find('[').unwrap_or(inner.len());
    inner[..until].rfind(']').map(|end| end + 2)
}

fn tokens(format: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        let escaped = rest.strip_prefix('\\').filter(|rest| !rest.is_empty());
        let length = bracketed(rest).unwrap_or_else(|| match escaped {
            Some(rest) => 1 + token_length(rest),
            None => token_length(rest),
        });
        let (token, tail) = rest.split_at(length.max(first.len_utf8()));
        all.push(token.to_owned());
        rest = tail;
    }
    all
}

/// Returns the length in bytes of the first token of a non-empty text.
fn token_length(text: &str) -> usize {
    // In the order of moment's regular expression: usually the longest first, but `Do` before `DD`.
    const TOKENS: &[&str] = &[
        "Hmmss",
        "hmmss",
        "Hmm",
        "hmm",
        "Mo",
        "MMMM",
        "MMM",
        "MM",
        "M",
        "Do",
        "DDDo",
        "DDDD",
        "DDD",
        "DD",
        "D",
        "dddd",
        "ddd",
        "dd",
        "do",
        "d",
        "wo",
        "w|",
        "ww",
        "w",
        "Wo",
        "W|",
        "WW",
        "W",
        "Qo",
        "Q",
        "NNNNN",
        "NNNN",
        "NNN",
        "NN",
        "N",
        "YYYYYY",
        "YYYYY",
        "YYYY",
        "YY",
        "yyyy",
        "yyy",
        "yy",
        "yo",
        "y",
        "ggggg",
        "gggg",
        "gg",
        "GGGGG",
        "GGGG",
        "GG",
        "e",
        "E",
        "a",
        "A",
        "hh",
        "h",
        "HH",
        "H",
        "kk",
        "k",
        "mm",
        "m",
        "ss",
        "s",
        "SSSSSSSSS",
        "SSSSSSSS",
        "SSSSSSS",
        "SSSSSS",
        "SSSSS",
        "SSSS",
        "SSS",
        "SS",
        "S",
        "x",
        "X",
        "zz",
        "z",
        "ZZ",
        "Z",
    ];
    let found = TOKENS.iter().find(|token| text.starts_with(**token)).map(|token| token.len());
    found.unwrap_or_else(|| text.chars().next().map_or(0, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::{format, zone};

    fn shown(time: &str, name: &str, text: &str) -> String {
        let time: DateTime<Utc> = time.parse().unwrap();
        format(time, zone(name).unwrap(), Some(text))
    }

    #[test]
    fn formats() {
        let winter = "2024-12-30T09:05:07.045Z";
        for (text, want) in [
            ("YYYYMMDD-HHmmss", "20241230-090507"),
            ("YY.M.D h:m:s A a", "24.12.30 9:5:7 AM am"),
            ("dddd ddd dd d do E e", "Monday Mon Mo 1 1st 1 1"),
            ("MMMM MMM Mo Q Qo", "December Dec 12th 4 4th"),
            ("DDD DDDD DDDo Do", "365 365 365th 30th"),
            ("gggg-ww wo GGGG-[W]WW Wo", "2025-01 1st 2025-W01 1st"),
            ("SSS SSSSSS S X x", "045 045000 0 1735549507 1735549507045"),
            ("[at] \\YYYY YYYYYY Y N NNNN", "at YYYY +002024 2024 AD Anno Domini"),
            ("L LL LTS lll", "12/30/2024 December 30, 2024 9:05:07 AM Dec 30, 2024 9:05 AM"),
            ("k hmm Hmmss", "9 905 90507"),
            ("[[]YY] [x", "[]YY [1735549507045"),
            ("é-?", "é-?"),
        ] {
            assert_eq!(shown(winter, "UTC", text), want, "{text}");
        }
    }

    #[test]
    fn zones() {
        let summer = "2024-07-01T00:30:00Z";
        for (name, want) in [
            ("UTC", "2024-07-01T00:30:00+00:00 UTC"),
            ("Asia/Tokyo", "2024-07-01T09:30:00+09:00 JST"),
            ("america/new_york", "2024-06-30T20:30:00-04:00 EDT"),
            ("America/St_Johns", "2024-06-30T22:00:00-02:30 NDT"),
            ("Pacific/Chatham", "2024-07-01T13:15:00+12:45 +1245"),
            ("America/Sao_Paulo", "2024-06-30T21:30:00-03:00 -03"),
        ] {
            assert_eq!(shown(summer, name, "YYYY-MM-DDTHH:mm:ssZ z"), want);
        }
        assert_eq!(zone("Europe/Atlantis"), None);
        assert_eq!(format(summer.parse().unwrap(), zone("UTC").unwrap(), None), "2024-07-01T00:30:00Z");
    }
}
