//! The servers that this daemon may ask, and which of them it asks now. Pure.

/// More addresses than this are of no use.
const SERVERS_MAX: usize = 64;

/// The list. It stays with a server that answers, because each change costs a connection.
#[derive(Clone, Debug)]
pub struct Servers {
    configured: Vec<String>,
    list: Vec<String>,
    current: usize,
}

impl Servers {
    /// From the node file: own server first, then those to join.
    #[must_use]
    pub fn new(configured: Vec<String>) -> Self {
        Self {
            list: configured.clone(),
            configured,
            current: 0,
        }
    }

    /// The one to ask.
    #[must_use]
    pub fn current(&self) -> &str {
        self.list.get(self.current).map_or("", String::as_str)
    }

    /// That one did not answer.
    pub fn advance(&mut self) {
        self.current = (self.current + 1) % self.list.len().max(1);
    }

    /// This one answered.
    pub fn prefer(&mut self, server: &str) {
        if let Some(place) = self.list.iter().position(|known| known == server) {
            self.current = place;
        }
    }

    /// The cluster's present servers; configured ones stay as a way back.
    pub fn learn(&mut self, reported: &[String]) {
        if reported.is_empty() || self.list.starts_with(reported) {
            return;
        }
        let current = self.current().to_owned();
        let mut list = reported.to_vec();
        for server in &self.configured {
            if !list.contains(server) {
                list.push(server.clone());
            }
        }
        list.truncate(SERVERS_MAX);
        self.list = list;
        self.current = 0;
        self.prefer(&current);
    }
}
