//! Command lines for a POSIX shell. Pure.

/// Returns a command line that a POSIX shell splits into exactly these words.
///
/// SSH has no argument lists: a server hands one string to the login shell of the user. Every word with a character that
/// could mean anything to that shell is put into single quotes.
pub fn quote<I: IntoIterator<Item = S>, S: AsRef<str>>(argv: I) -> String {
    argv.into_iter().map(|word| quote_word(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quote_word(word: &str) -> String {
    // Without `~`, `=` and `%`: they mean something at the beginning of a word to some shells.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@+,".contains(&b);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::{collection::vec, proptest};

    use super::quote;

    #[test]
    fn quotes_only_what_needs_it() {
        assert_eq!(quote(["docker", "compose", "-f", "/srv/a b.yml", ""]), "docker compose -f '/srv/a b.yml' ''");
        assert_eq!(quote(["it's", "$(id)", "~root", "a=b"]), r"'it'\''s' '$(id)' '~root' 'a=b'");
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        /// The shell itself says how it splits the line.
        #[test]
        fn a_shell_gets_the_same_words(words in vec("[^\0]{0,12}", 1..6)) {
            let line = format!("printf '%s\\0' {}", quote(&words));
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            let split: Vec<String> = String::from_utf8(output.stdout).unwrap().split('\0').map(String::from).collect();
            assert_eq!(split[..split.len() - 1], words[..]);
        }
    }
}
