//! What the switch does not let through: faults of the network as data, and as nftables' words.

use std::fmt::Write as _;

/// Ports of a node, behind which is a server's answer.
const PORTS: &str = "{ 7400, 7401 }";
/// A TCP segment that carries nothing is shorter than this with all its options; the least answer is longer.
const EMPTY_SEGMENT_MAX: u16 = 80;

/// What of the frames from one port to another is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Every frame.
    Everything,
    /// TCP segments to a server's port that carry something: the connection stands, no request arrives.
    Requests,
    /// TCP segments from a server's port that carry something: requests are executed, no answer arrives.
    Replies,
    /// So many in a hundred frames.
    Percent(u8),
}

/// A fault between two ports of the switch, in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The node that sends.
    pub from: String,
    /// The node that does not receive.
    pub to: String,
    /// What is lost.
    pub lost: Lost,
}

impl Rule {
    /// A fault in one direction.
    #[must_use]
    pub fn new(from: &str, to: &str, lost: Lost) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            lost,
        }
    }

    fn text(&self) -> String {
        let ports = format!("iifname \"{}\" oifname \"{}\"", port(&self.from), port(&self.to));
        let payload = format!("ip protocol tcp ip length > {EMPTY_SEGMENT_MAX}");
        match self.lost {
            Lost::Everything => format!("{ports} counter drop"),
            Lost::Requests => format!("{ports} {payload} tcp dport {PORTS} counter drop"),
            Lost::Replies => format!("{ports} {payload} tcp sport {PORTS} counter drop"),
            Lost::Percent(percent) => format!("{ports} numgen random mod 100 < {percent} counter drop"),
        }
    }
}

/// Nobody of one side reaches anybody of the other.
#[must_use]
pub fn cut(one: &[&str], other: &[&str]) -> Vec<Rule> {
    between(one, other, Lost::Everything)
}

/// One is cut off from all of these.
#[must_use]
pub fn alone(node: &str, all: &[&str]) -> Vec<Rule> {
    let others: Vec<&str> = all.iter().copied().filter(|n| *n != node).collect();
    cut(&[node], &others)
}

/// Each reaches its two neighbours in this order only.
#[must_use]
pub fn ring(nodes: &[&str]) -> Vec<Rule> {
    let size = nodes.len();
    let mut rules = Vec::new();
    for (a, from) in nodes.iter().enumerate() {
        for (b, to) in nodes.iter().enumerate() {
            let distance = (a + size - b) % size;
            if distance > 1 && distance + 1 < size {
                rules.push(Rule::new(from, to, Lost::Everything));
            }
        }
    }
    rules
}

/// Everybody loses so many in a hundred frames to everybody.
#[must_use]
pub fn lossy(nodes: &[&str], percent: u8) -> Vec<Rule> {
    let mut rules = Vec::new();
    for from in nodes {
        for to in nodes.iter().filter(|to| *to != from) {
            rules.push(Rule::new(from, to, Lost::Percent(percent)));
        }
    }
    rules
}

/// The same is lost between two sides, in both directions.
#[must_use]
pub fn between(one: &[&str], other: &[&str], lost: Lost) -> Vec<Rule> {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    pairs
        .flat_map(|(a, b)| [Rule::new(a, b, lost), Rule::new(b, a, lost)])
        .collect()
}

/// The interface of the switch that leads to a node.
#[must_use]
pub fn port(node: &str) -> String {
    format!("p-{node}")
}

/// The whole table for `nft -f`: it takes the place of what was there in one step.
#[must_use]
pub fn table(rules: &[Rule]) -> String {
    let mut text = String::from("table bridge faults\ndelete table bridge faults\ntable bridge faults {\n");
    text.push_str("  chain forward {\n    type filter hook forward priority 0; policy accept;\n");
    for rule in rules {
        let _ = writeln!(text, "    {}", rule.text());
    }
    text.push_str("  }\n}\n");
    text
}

/// The frames that the rules have dropped, from `nft list table`.
#[must_use]
pub fn dropped(listing: &str) -> u64 {
    let mut words = listing.split_whitespace();
    let mut sum = 0;
    while let Some(word) = words.next() {
        if word == "packets" {
            sum += words.next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_ring_each_of_five_misses_two() {
        let rules = ring(&["a", "b", "c", "d", "e"]);
        assert_eq!(rules.len(), 10);
        assert!(
            rules
                .iter()
                .filter(|r| r.from == "a")
                .all(|r| r.to == "c" || r.to == "d")
        );
        assert!(ring(&["a", "b", "c"]).is_empty());
    }

    #[test]
    fn a_cut_goes_both_ways() {
        let text = table(&cut(&["n1"], &["n2", "n3"]));
        assert_eq!(text.matches("counter drop").count(), 4);
        assert!(
            text.contains("iifname \"p-n3\" oifname \"p-n1\" counter drop"),
            "{text}"
        );
    }

    #[test]
    fn counters_are_added_up() {
        assert_eq!(
            dropped("a counter packets 5 bytes 2 drop\n b counter packets 7 bytes 9 drop"),
            12
        );
    }
}
