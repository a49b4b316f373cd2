//! What one check found.

/// On how much a check looked, and what was wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Findings {
    /// So many things were looked at.
    pub looked_at: usize,
    /// Everything that is wrong, in words.
    pub wrong: Vec<String>,
}

/// Violations of one kind that are told of: more say nothing new.
const WRONG_MAX: usize = 20;

impl Findings {
    /// Of a check that tells only the first violation.
    pub fn of(looked_at: usize, result: anyhow::Result<()>) -> Self {
        Self {
            looked_at,
            wrong: result.err().map(|error| format!("{error:#}")).into_iter().collect(),
        }
    }

    /// Notes one more thing that was looked at.
    pub fn look(&mut self) {
        self.looked_at += 1;
    }

    /// Notes something wrong.
    pub fn wrong(&mut self, text: String) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(text);
        }
    }

    /// Takes in what another look at the same thing found.
    pub fn add(&mut self, other: Self) {
        self.looked_at += other.looked_at;
        other.wrong.into_iter().for_each(|text| self.wrong(text));
    }
}
