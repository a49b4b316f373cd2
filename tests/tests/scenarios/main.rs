//! Stories with real processes, one a file. Each breaks something, waits for a value with a limit, and ends with all
//! invariants checked. A story that fails keeps its logs and prints where.

mod all_servers_killed;
mod bad_file;
mod bad_programs;
mod black_start;
mod control;
mod daemon_restart;
mod data_directory;
mod failovers;
mod fenced;
mod fitness;
mod free_run;
mod full_disk;
mod held;
mod if_match;
mod leader_node_killed;
mod leader_server_killed;
mod lease_changed;
mod metrics;
mod modes;
mod needs;
mod no_quorum;
mod node_killed;
mod nothing_left;
mod overload;
mod own_program;
mod package_killed;
mod placement;
mod planned_restart;
mod reload;
mod rules;
mod same_name;
mod together;
mod two_nodes_and_witness;
mod unknown_names;
mod watch;
mod wiped_disk;

/// A hot-standby pair of the test program on n1 and n2.
const PAIR: &str = r#"
[cluster]
name = "story"

[[group]]
name = "svc"
kind = "duplex"

[[package]]
name = "svc"
group = "svc"
copies = 2
nodes = ["n1", "n2"]
run.command = [@WITNESS@, "--unit", "svc"]
"#;
