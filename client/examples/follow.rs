//! Prints how everything is and then what happens, from two nodes at once, so that the death of one makes no pause:
//!
//!     cargo run --release -p paceline-client --example follow -- 127.0.0.1:7400 127.0.0.1:7402 'package:web-*'

use client::{Client, Notice, WatchQuery};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut endpoints: Vec<String> = std::env::args().skip(1).collect();
    // What holds a kind and a colon and no port is a pattern.
    let patterns = endpoints.extract_if(.., |text| is_pattern(text)).collect();
    let dual = Client::dual(&endpoints)?;
    let mut watch = dual.watch(WatchQuery {
        resource: patterns,
        ..WatchQuery::default()
    });
    loop {
        match watch.next().await? {
            Notice::State(state) => println!("{} is {}", state.resource.id, state.resource.state),
            Notice::Current(current) => println!("-- now, at index {}", current.index),
            Notice::Change(event) => println!("{} {} {}", event.index, event.time, event.text),
            // Nothing is lost: it goes on elsewhere, after the last change.
            Notice::Interrupted(why) => eprintln!("-- {why}"),
        }
    }
}

fn is_pattern(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_err())
}
