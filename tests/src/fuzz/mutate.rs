//! Inputs from samples: values of JSON are changed as values, everything else as tokens and bytes.

use serde_json::Value;

use super::Source;

/// An input never grows beyond this by mutation.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Where parsers end up when they reckon.
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "2",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
];
/// What parsers of text trip over.
const TEXTS: [&str; 14] = [
    "", " ", "\0", "a", "é", "\u{202e}", "\u{fffd}", "..", "../../x", "a/b", "%00", "\r\n", "🦀", "\"",
];

/// An input made from these samples.
pub(super) fn mutate(source: &mut Source, samples: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = source.pick(samples).clone();
    if source.one_in(50) {
        return input;
    }
    let json = serde_json::from_slice::<Value>(&input).ok();
    if let Some(mut value) = json
        && !source.one_in(3)
    {
        let other = serde_json::from_slice::<Value>(source.pick::<Vec<u8>>(samples).as_slice()).unwrap_or(Value::Null);
        for _ in 0..=source.below(3) {
            change_value(source, &mut value, &other, words, 0);
        }
        input = value.to_string().into_bytes();
        if !source.one_in(10) {
            return input;
        }
    }
    for _ in 0..=source.below(4) {
        change_bytes(source, &mut input, samples, words);
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

/// Changes one value somewhere in the tree.
fn change_value(source: &mut Source, value: &mut Value, other: &Value, words: &[&str], depth: usize) {
    let goes_down = depth < 24 && !source.one_in(5);
    match value {
        Value::Object(entries) if goes_down && !entries.is_empty() => {
            let at = source.below(entries.len());
            if let Some((_, inner)) = entries.iter_mut().nth(at) {
                change_value(source, inner, other, words, depth + 1);
            }
        }
        Value::Array(items) if goes_down && !items.is_empty() => {
            let at = source.below(items.len());
            change_value(source, &mut items[at], other, words, depth + 1);
        }
        Value::Object(entries) => {
            let keys: Vec<String> = entries.keys().cloned().collect();
            match source.below(3) {
                0 if !keys.is_empty() => {
                    entries.remove(source.pick(&keys));
                }
                1 if !keys.is_empty() => {
                    let moved = entries.remove(source.pick(&keys)).unwrap_or(Value::Null);
                    entries.insert(text(source, words), moved);
                }
                _ => {
                    entries.insert(text(source, words), part_of(source, other));
                }
            }
        }
        Value::Array(items) => match source.below(4) {
            0 if !items.is_empty() => {
                items.remove(source.below(items.len()));
            }
            1 if !items.is_empty() => {
                let again = source.pick(items.as_slice()).clone();
                items.push(again);
            }
            2 if items.len() > 1 => {
                let (left, right) = (source.below(items.len()), source.below(items.len()));
                items.swap(left, right);
            }
            _ => items.push(part_of(source, other)),
        },
        Value::Number(number) => {
            let near = number.as_u64().unwrap_or(0);
            *value = match source.below(4) {
                0 => Value::from(near.wrapping_add(1)),
                1 => Value::from(near.wrapping_sub(1)),
                2 => Value::from(source.number() >> source.below(64)),
                _ => serde_json::from_str(source.pick::<&str>(&NUMBERS)).unwrap_or(Value::Null),
            };
        }
        Value::String(_) if !source.one_in(6) => *value = Value::String(text(source, words)),
        _ => {
            *value = match source.below(6) {
                0 => Value::Null,
                1 => Value::Bool(source.one_in(2)),
                2 => Value::from(source.number()),
                3 => Value::String(text(source, words)),
                _ => part_of(source, other),
            };
        }
    }
}

fn text(source: &mut Source, words: &[&str]) -> String {
    match source.below(10) {
        0 => (*source.pick(&TEXTS)).to_owned(),
        1 => (**source.pick::<&str>(&NUMBERS)).to_owned(),
        2 => "x".repeat(source.below(3000)),
        3 if !words.is_empty() => format!("{}{}", source.pick(words), source.pick(&TEXTS)),
        _ if !words.is_empty() => (*source.pick(words)).to_owned(),
        _ => (*source.pick(&TEXTS)).to_owned(),
    }
}

/// Some value within a value.
fn part_of(source: &mut Source, value: &Value) -> Value {
    let inner = match value {
        Value::Object(entries) if !entries.is_empty() => entries.values().nth(source.below(entries.len())),
        Value::Array(items) if !items.is_empty() => items.get(source.below(items.len())),
        _ => None,
    };
    match inner {
        Some(inner) if !source.one_in(4) => part_of(source, inner),
        _ => value.clone(),
    }
}

fn change_bytes(source: &mut Source, input: &mut Vec<u8>, samples: &[Vec<u8>], words: &[&str]) {
    let at = source.below(input.len() + 1);
    let end = (at + source.below(16)).min(input.len());
    match source.below(12) {
        0 if at < input.len() => input[at] ^= 1 << source.below(8),
        1 if at < input.len() => input[at] = source.number().to_le_bytes()[0],
        2 => drop(input.drain(at..end)),
        3 => {
            let again = input[at..end].to_vec();
            let most = if source.one_in(40) { 2000 } else { 3 };
            let times = 1 + source.below(most);
            input.splice(at..at, again.repeat(times));
        }
        4 => input.truncate(at),
        5 => {
            let other = source.pick(samples).clone();
            let from = source.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        6 => {
            let other = source.pick(samples);
            let from = source.below(other.len() + 1);
            let to = (from + source.below(64)).min(other.len());
            let piece = other[from..to].to_vec();
            input.splice(at..at, piece);
        }
        7 | 8 => replace_token(source, input, at, words),
        9 => {
            let word = text(source, words).into_bytes();
            input.splice(at..at, word);
        }
        10 => swap_lines(source, input),
        _ => {
            let extreme = *source.pick(&[0_u8, 0x7f, 0x80, 0xc1, 0xdd, 0xdf, 0xff, b'[', b'{', b'"']);
            let times = if source.one_in(60) { 5000 } else { 1 };
            input.splice(at..end, std::iter::repeat_n(extreme, times));
        }
    }
}

/// Replaces the word or number at a place by another.
fn replace_token(source: &mut Source, input: &mut Vec<u8>, at: usize, words: &[&str]) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
    let begin = input[..at]
        .iter()
        .rposition(|byte| !is_word(byte))
        .map_or(0, |place| place + 1);
    let end = input[at..]
        .iter()
        .position(|byte| !is_word(byte))
        .map_or(input.len(), |length| at + length);
    let is_number = begin < end && input[begin..end].iter().all(u8::is_ascii_digit);
    let word = if is_number {
        (**source.pick::<&str>(&NUMBERS)).to_owned()
    } else {
        text(source, words)
    };
    input.splice(begin..end, word.into_bytes());
}

fn swap_lines(source: &mut Source, input: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (left, right) = (source.below(lines.len()), source.below(lines.len()));
    if source.one_in(2) {
        lines.swap(left, right);
    } else {
        let again = lines[left].clone();
        lines.insert(right, again);
    }
    *input = lines.join(&b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_they_differ_from_the_sample() {
        let samples = vec![b"{\"a\": [1, \"b\"]}".to_vec(), b"x = 1\ny = \"z\"\n".to_vec()];
        let inputs = |seed| {
            let mut source = Source::new(seed);
            (0..500)
                .map(|_| mutate(&mut source, &samples, &["word"]))
                .collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        let new = inputs(1).iter().filter(|input| !samples.contains(input)).count();
        assert!(new > 400, "{new}");
    }
}
