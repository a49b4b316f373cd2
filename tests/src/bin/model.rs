//! Searches the model of the lease protocol: see `scripts/model`.
//!
//! ```text
//! model [--long] [NAME…]
//! model --story NAME…
//! ```

use std::env;

use anyhow::{Context, bail};
use tests::model::checks::{self, BREAK, Check, HOLD, HOLD_LONG};
use tests::model::table::{HEAD, judge, line, perform, story};

fn main() -> anyhow::Result<()> {
    let (mut long, mut stories, mut names) = (false, false, Vec::new());
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--long" => long = true,
            "--story" => stories = true,
            name if name.starts_with('-') => bail!("unknown option {name}: expected --long or --story"),
            name => names
                .push(checks::find(name).with_context(|| format!("no search is called {name}: see docs/MODEL.md"))?),
        }
    }
    let chosen: Vec<&Check> = if names.is_empty() {
        let farther: &[Check] = if long { &HOLD_LONG } else { &[] };
        HOLD.iter().chain(farther).chain(&BREAK).collect()
    } else {
        names
    };
    let mut wrong = Vec::new();
    if !stories {
        println!("{HEAD}");
    }
    for check in chosen {
        let found = perform(check);
        if stories {
            println!("{}", story(check, &found));
        } else {
            println!("{}", line(check, &found));
        }
        wrong.extend(judge(check, &found).err());
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}
