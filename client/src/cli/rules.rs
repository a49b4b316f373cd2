//! `rules check`: reads rules without a cluster.

use std::path::Path;

use super::apply::read_text;
use super::failure::Failure;
use super::screen::Screen;
use crate::file;
use crate::wire::definition::Config;

/// Checks a file of rules, and its names where a cluster file is given.
pub(crate) fn check(screen: &Screen, path: &Path, config: Option<&Path>) -> Result<(), Failure> {
    let text = read_text(path)?;
    let config = config.map(read_config).transpose()?;
    let count = file::check_rules(&text, config.as_ref()).map_err(|errors| Failure::File {
        file: path.to_owned(),
        text,
        errors,
    })?;
    if screen.json {
        screen.json(&format!("{{\"rules\":{count}}}"));
        return Ok(());
    }
    let rules = if count == 1 {
        "1 rule".to_owned()
    } else {
        format!("{count} rules")
    };
    let names = if config.is_some() {
        "no error; names of nodes are checked when it is applied"
    } else {
        "no error; names are not checked: give the cluster file by --config"
    };
    screen.line(format!("{}: {rules}, {names}", path.display()));
    Ok(())
}

/// The cluster file whose names count. Rules that it names itself may be the very ones that are being mended.
fn read_config(path: &Path) -> Result<Config, Failure> {
    let text = read_text(path)?;
    let without_rules = file::inline(&text, |_| Ok(String::new()));
    let config = without_rules.and_then(|inlined| file::parse(&inlined.text));
    config.map_err(|errors| Failure::File {
        file: path.to_owned(),
        text,
        errors,
    })
}
