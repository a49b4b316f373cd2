//! `[[mode]]`: modes of the users' own (M7).

use statemachine::id::PackageName;

use super::reader::{Keys, Reader, Table};
use crate::wire::definition::ModeDefinition;

const MODE: Keys = Keys {
    place: "[[mode]]",
    known: &["name", "from", "to"],
    later: &[],
};

/// The modes that every package has.
const BUILT_IN: [&str; 4] = ["stopped", "standby", "active", "test"];

/// All `[[mode]]`.
pub(super) fn read(reader: &mut Reader<'_>, tables: &[Table<'_, '_>]) -> Vec<ModeDefinition> {
    let mut modes: Vec<ModeDefinition> = Vec::new();
    let mut words: Vec<(String, usize)> = Vec::new();
    for table in tables {
        reader.check_keys(table, &MODE);
        let mut mode = ModeDefinition {
            name: String::new(),
            from: Vec::new(),
            to: Vec::new(),
        };
        match table.get("name") {
            None => reader.missing(table, "[[mode]]", "a mode needs a name, like name = \"training\""),
            Some(value) => {
                let at = value.span().start;
                if let Some(name) = reader.text(value, "name", "a name in quotes") {
                    if let Err(error) = PackageName::new(name) {
                        reader.fault(at, format!("name: {error}"), None);
                    } else if BUILT_IN.contains(&name) {
                        let message =
                            format!("name: {name}: every package has this mode already, give it another name");
                        reader.fault(at, message, None);
                    } else if modes.iter().any(|before| before.name == name) {
                        reader.fault(at, format!("name: mode {name:?} is defined twice"), None);
                    }
                    name.clone_into(&mut mode.name);
                }
            }
        }
        for key in ["from", "to"] {
            let Some(value) = table.get(key) else {
                let message = format!("a mode needs {key}: {key} = [\"stopped\", \"standby\"]");
                reader.missing(table, "[[mode]]", &message);
                continue;
            };
            let at = value.span().start;
            let Some(list) = reader.texts(value, key, "modes, like [\"stopped\", \"standby\"]") else {
                continue;
            };
            if list.is_empty() {
                reader.fault(at, format!("{key}: expected one mode at least"), None);
            }
            let names = list.iter().map(|(name, _)| name.clone()).collect();
            words.extend(list);
            if key == "from" {
                mode.from = names;
            } else {
                mode.to = names;
            }
        }
        modes.push(mode);
    }
    for (word, at) in words {
        if !BUILT_IN.contains(&word.as_str()) && !modes.iter().any(|mode| mode.name == word) {
            let message =
                format!("{word:?} is no mode: expected stopped, standby, active, test or the name of a [[mode]]");
            reader.fault(at, message, None);
        }
    }
    modes
}
