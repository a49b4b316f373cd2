//! Small files of rules at random, over what a state has.

use statemachine::State;

/// Up to six rules that name what there is; now and then something that there is not.
pub fn random(state: &State, seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut names = Names {
        packages: state
            .packages()
            .map(|package| format!("\"{}\"", package.name()))
            .collect(),
        groups: state.groups().map(|group| group.name().to_string()).collect(),
        nodes: state.nodes().map(|node| node.name.to_string()).collect(),
    };
    if dice.roll(20) == 0 {
        names.packages.push("nobody".into());
    }
    if names.packages.is_empty() || names.groups.is_empty() || names.nodes.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    for _ in 0..=dice.roll(5) {
        let head = names.head(&mut dice);
        let body = names.statements(&mut dice, 2);
        text += &format!("{head} {{\n{body}}}\n");
    }
    text
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % sides as u64).unwrap()
    }

    fn pick<'a, T: AsRef<str>>(&mut self, words: &'a [T]) -> &'a str {
        words[self.roll(words.len())].as_ref()
    }
}

struct Names {
    packages: Vec<String>,
    groups: Vec<String>,
    nodes: Vec<String>,
}

impl Names {
    fn head(&self, dice: &mut Dice) -> String {
        match dice.roll(8) {
            0 => {
                let event = dice.pick(&["degraded", "redundant", "lost"]);
                format!("group:{} ({event})", dice.pick(&self.groups))
            }
            1 | 2 => {
                let event = dice.pick(&["up", "down", "drain"]);
                format!("node:{} ({event})", dice.pick(&self.nodes))
            }
            _ => {
                let event = dice.pick(&["startup", "halt", "fail", "promote", "demote", "mode"]);
                format!("{} ({event})", dice.pick(&self.packages))
            }
        }
    }

    fn statements(&self, dice: &mut Dice, depth: usize) -> String {
        let mut text = String::new();
        for _ in 0..=dice.roll(2) {
            if depth > 0 && dice.roll(2) == 0 {
                let condition = self.condition(dice, 2);
                let then = self.statements(dice, depth - 1);
                text += &format!("if ({condition}) {{ {then} }}");
                if dice.roll(3) == 0 {
                    text += &format!(" else {{ {} }}", self.statements(dice, depth - 1));
                }
            } else {
                text += &self.action(dice);
            }
            text.push('\n');
        }
        text
    }

    fn action(&self, dice: &mut Dice) -> String {
        match dice.roll(6) {
            0 => format!("node:{}->{}", dice.pick(&self.nodes), dice.pick(&["drain", "resume"])),
            1 => format!("{}->move({})", dice.pick(&self.packages), dice.pick(&self.nodes)),
            _ => {
                let method = dice.pick(&["startup", "startup", "halt", "promote", "test"]);
                format!("{}->{method}", dice.pick(&self.packages))
            }
        }
    }

    fn condition(&self, dice: &mut Dice, depth: usize) -> String {
        if depth > 0 && dice.roll(3) == 0 {
            let (one, other) = (self.condition(dice, depth - 1), self.condition(dice, depth - 1));
            return match dice.roll(3) {
                0 => format!("!({one})"),
                1 => format!("({one} || {other})"),
                _ => format!("{one} && {other}"),
            };
        }
        let package = dice.pick(&self.packages);
        match dice.roll(7) {
            0 => format!("{package}.node != {}.node", dice.pick(&self.packages)),
            1 => format!(
                "{package}.mode == {}",
                dice.pick(&["active", "standby", "test", "stopped"])
            ),
            2 => format!("{package}.failures >= {}", dice.roll(3)),
            3 => format!("group:{}.standbys < 2", dice.pick(&self.groups)),
            4 => format!("node:{}.state == up", dice.pick(&self.nodes)),
            5 => format!("node:{}.packages > {}", dice.pick(&self.nodes), dice.roll(3)),
            _ => format!("{package}.state == {}", dice.pick(&["up", "down"])),
        }
    }
}
