//! Which existing name somebody probably meant.

/// A shorter beginning begins too many names.
const BEGINNING_BYTES_MIN: usize = 3;

/// The candidate that is nearest to `name`, where one is near at all.
///
/// Near means: at most one edit, plus one for every three letters, or the beginning of a longer name. Anything further is a
/// guess, and a wrong guess costs more than none. Ties end with the alphabet.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| {
            let begins = name.len() >= BEGINNING_BYTES_MIN && candidate.starts_with(name);
            let distance = if begins {
                1
            } else {
                strsim::damerau_levenshtein(name, candidate)
            };
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(name.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_error_is_near_and_another_word_is_not() {
        assert_eq!(nearest("priorty", ["priority", "probe"]), Some("priority"));
        assert_eq!(nearest("prio", ["priority", "probe"]), Some("priority"));
        assert_eq!(nearest("pr", ["priority", "probe"]), None);
        assert_eq!(nearest("interval", ["priority", "probe"]), None);
        assert_eq!(nearest("stpo", ["stop", "freeze"]), Some("stop"));
        assert_eq!(nearest("n4", ["n1", "n2"]), Some("n1"));
    }
}
