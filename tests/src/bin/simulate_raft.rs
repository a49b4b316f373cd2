//! Simulates whole clusters with the real openraft, by seed.
//!
//! ```text
//! simulate_raft --seed 7 [--seconds 20] [--plant NAME] [--scope NAME] [--print]   one run, in this process
//! simulate_raft --seeds 1..101 [--seconds 20] [--jobs 2]           many, each in a process of its own
//! ```
//!
//! The functions at the end take the place of libc's in this one program, so that time and chance are those of the
//! simulation: see `tests::consensus::virtual_time`.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::libc;
use tests::consensus::{Plant, Scope, Settings, run, virtual_time};

const SECONDS: u64 = 20;
/// A run that takes longer than this hangs: some task wakes itself without end.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone)]
struct Options {
    seeds: Vec<u64>,
    alone: bool,
    seconds: u64,
    jobs: usize,
    plant: Option<String>,
    scope: Option<String>,
    print: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = options()?;
    virtual_time::check()
        .map_err(|text| anyhow::anyhow!("{text}: this program's own clock functions were not linked in"))?;
    if options.alone {
        return one(&options, options.seeds[0]);
    }
    many(&options)
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options {
        seeds: Vec::new(),
        alone: true,
        seconds: SECONDS,
        jobs: 1,
        plant: None,
        scope: None,
        print: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--seed" => options.seeds = vec![value()?.parse().context("--seed takes a number")?],
            "--seeds" => {
                let text = value()?;
                let (first, end) = text.split_once("..").context("--seeds takes FIRST..END")?;
                options.seeds = (first.parse()?..end.parse()?).collect();
                options.alone = false;
            }
            "--seconds" => options.seconds = value()?.parse().context("--seconds takes a number")?,
            "--jobs" => options.jobs = value()?.parse::<usize>().context("--jobs takes a number")?.max(1),
            "--plant" => options.plant = Some(value()?),
            "--scope" => options.scope = Some(value()?),
            "--print" => options.print = true,
            other => bail!(
                "{other:?} is not known; try --seed 7, --seeds 1..101, --seconds 20, --jobs 2, --plant NAME, --scope NAME, --print"
            ),
        }
    }
    if options.seeds.is_empty() {
        bail!("name a seed: --seed 7, or --seeds 1..101");
    }
    Ok(options)
}

fn one(options: &Options, seed: u64) -> anyhow::Result<ExitCode> {
    let mut settings = Settings::of(seed, Duration::from_secs(options.seconds));
    settings.print = options.print;
    if let Some(name) = &options.plant {
        let known = Plant::ALL.map(|(known, _)| known).join(", ");
        settings.plant = Some(Plant::named(name).with_context(|| format!("no fault {name:?}; there are: {known}"))?);
    }
    if let Some(name) = &options.scope {
        settings.scope =
            Scope::named(name).with_context(|| format!("no scope {name:?}; there are: all, minority, leader"))?;
    }
    let begun = Instant::now();
    let report = run(settings);
    let wall = begun.elapsed().as_secs_f64();
    match &report.violation {
        None => {
            println!("ok seed={seed} wall={wall:.2} {report}");
            Ok(ExitCode::SUCCESS)
        }
        Some(violation) => {
            println!("FAILED seed={seed} wall={wall:.2} {report}");
            println!("  {violation}");
            let word = |name: &str, value: &Option<String>| {
                value
                    .as_ref()
                    .map_or(String::new(), |value| format!(" --{name} {value}"))
            };
            let plant = word("plant", &options.plant) + &word("scope", &options.scope);
            println!(
                "  replay: simulate_raft --seed {seed} --seconds {}{plant} --print",
                options.seconds
            );
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The sums of many runs.
#[derive(Default)]
struct Sums {
    runs: u64,
    failed: Vec<u64>,
    numbers: BTreeMap<String, f64>,
}

impl Sums {
    fn add(&mut self, seed: u64, output: &str) {
        self.runs += 1;
        let line = output
            .lines()
            .find(|line| line.starts_with("ok ") || line.starts_with("FAILED "));
        if line.is_none_or(|line| !line.starts_with("ok ")) {
            self.failed.push(seed);
            println!(
                "{}",
                if output.is_empty() {
                    "FAILED without a word"
                } else {
                    output.trim_end()
                }
            );
        }
        for word in line.unwrap_or_default().split(' ') {
            if let Some((name, number)) = word.split_once('=')
                && !matches!(name, "seed" | "trace")
                && let Ok(number) = number.parse::<f64>()
            {
                let sum = self.numbers.entry(name.to_owned()).or_default();
                *sum = if name == "healed_ms" {
                    sum.max(number)
                } else {
                    *sum + number
                };
            }
        }
    }
}

fn many(options: &Options) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let mut sums = Sums::default();
    let mut seeds = options.seeds.iter().copied();
    let mut running: Vec<(u64, Child)> = Vec::new();
    loop {
        while running.len() < options.jobs
            && let Some(seed) = seeds.next()
        {
            running.push((seed, child(options, seed)?));
        }
        if running.is_empty() {
            break;
        }
        let (seed, child) = running.remove(0);
        let output = child.wait_with_output().context("a run could not be waited for")?;
        sums.add(seed, &String::from_utf8_lossy(&output.stdout));
        if !output.stderr.is_empty() {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let wall = begun.elapsed().as_secs_f64();
    let seconds = sums.numbers.get("seconds").copied().unwrap_or_default();
    println!(
        "{} seeds, {:.0} simulated seconds in {wall:.0} s ({:.1} a second); {} failed {:?}",
        sums.runs,
        seconds,
        seconds / wall,
        sums.failed.len(),
        sums.failed
    );
    for (name, sum) in &sums.numbers {
        println!("  {name}: {sum}");
    }
    Ok(if sums.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A run in a process of its own: the standard library and tokio draw their seeds once a process. The kernel ends it
/// where it hangs.
fn child(options: &Options, seed: u64) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe().context("can't find this program's file")?);
    command
        .args(["--seed", &seed.to_string(), "--seconds", &options.seconds.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(plant) = &options.plant {
        command.args(["--plant", plant]);
    }
    if let Some(scope) = &options.scope {
        command.args(["--scope", scope]);
    }
    if options.print {
        command.arg("--print");
    }
    let limit = libc::rlimit {
        rlim_cur: LIMIT.as_secs(),
        rlim_max: LIMIT.as_secs(),
    };
    use std::os::unix::process::CommandExt as _;
    // SAFETY: between fork and exec only one system call is made.
    unsafe {
        command.pre_exec(move || {
            libc::setrlimit(libc::RLIMIT_CPU, &limit);
            Ok(())
        });
    }
    command.spawn().context("a run could not be started")
}

/// The clocks, in place of libc's.
///
/// # Safety
/// As libc's: `time` points at a place for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    match virtual_time::read(clock) {
        Some(now) if !time.is_null() => {
            let answer = libc::timespec {
                tv_sec: libc::time_t::try_from(now.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: libc::c_long::from(i32::try_from(now.subsec_nanos()).unwrap_or(0)),
            };
            // SAFETY: the caller gives a place for it.
            unsafe { time.write(answer) };
            0
        }
        // SAFETY: the arguments are passed on as they came.
        _ => unsafe { system(libc::syscall(libc::SYS_clock_gettime, clock, time)) },
    }
}

/// The wait for events, in place of libc's: where nothing has happened, no time passes here.
///
/// # Safety
/// As libc's: `events` points at places for `max` events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epoll: libc::c_int,
    events: *mut libc::epoll_event,
    max: libc::c_int,
    timeout_ms: libc::c_int,
) -> libc::c_int {
    // SAFETY: the arguments are passed on as they came.
    let wait =
        |timeout: libc::c_int| unsafe { system(libc::syscall(libc::SYS_epoll_wait, epoll, events, max, timeout)) };
    if !virtual_time::is_simulated() {
        return wait(timeout_ms);
    }
    let ready = wait(0);
    if ready == 0 && timeout_ms != 0 {
        virtual_time::would_sleep(timeout_ms);
    }
    ready
}

/// Random bytes, in place of libc's.
///
/// # Safety
/// As libc's: `buffer` points at `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: libc::size_t, flags: libc::c_uint) -> libc::ssize_t {
    if length > 0 && !buffer.is_null() {
        // SAFETY: the caller gives so many bytes.
        let bytes = unsafe {
            buffer.cast::<u8>().write_bytes(0, length);
            std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)
        };
        if virtual_time::fill(bytes) {
            return libc::ssize_t::try_from(length).unwrap_or(libc::ssize_t::MAX);
        }
    }
    // SAFETY: the arguments are passed on as they came.
    let answer = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
    libc::ssize_t::try_from(answer).unwrap_or(-1)
}

fn system(answer: libc::c_long) -> libc::c_int {
    libc::c_int::try_from(answer).unwrap_or(-1)
}
