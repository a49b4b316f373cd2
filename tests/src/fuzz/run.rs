//! Runs a target for a time or a number of inputs, and counts.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::{Source, Target, Verdict, mutate};

/// An input that takes more of a processor than this is a finding: somebody can have many of them. Time on the wall says
/// nothing here: on a busy machine a minute was seen for what takes a few milliseconds.
const TAKE_PROCESSOR_MAX: Duration = Duration::from_secs(2);
/// A process that fuzzes stays below this; each input alone is far smaller.
const RESIDENT_KIB_MAX: u64 = 2 << 20;

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// So long.
    Time(Duration),
    /// So many inputs beyond the corpus.
    Inputs(u64),
}

/// What a run counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Inputs that were understood.
    pub accepted: u64,
    /// Inputs that were refused.
    pub refused: u64,
    /// How long it took.
    pub took: Duration,
    /// How much of a processor the slowest input took.
    pub slowest: Duration,
}

impl Tally {
    /// All inputs.
    #[must_use]
    pub fn inputs(&self) -> u64 {
        self.accepted + self.refused
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(0.001);
        write!(
            f,
            "{:>9} inputs {:>8.0}/s {:>9} accepted {:>9} refused  {:>6.1} s  slowest {:>6.1} ms",
            self.inputs(),
            self.inputs() as f64 / seconds,
            self.accepted,
            self.refused,
            seconds,
            self.slowest.as_secs_f64() * 1000.0
        )
    }
}

/// An input for which a property does not hold.
#[derive(Debug, thiserror::Error)]
#[error("{target}: {what}\n  input ({} bytes): {}\n  keep it as tests/corpus/{target}/NAME once it is mended", input.len(), input.escape_ascii())]
pub struct Finding {
    /// Which target.
    pub target: &'static str,
    /// Which property.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

/// The inputs that are kept for a target.
///
/// # Errors
/// Where the directory can't be read.
pub fn corpus(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    files.iter().map(std::fs::read).collect()
}

/// Gives a target its samples, its corpus, and inputs made from both.
///
/// # Errors
/// The first input for which a property does not hold.
pub fn run(target: &mut dyn Target, seed: u64, length: Length) -> Result<Tally, Box<Finding>> {
    let mut tally = Tally::default();
    let start = Instant::now();
    let mut samples = target.samples();
    for sample in &samples {
        if take(target, sample, &mut tally)? == Verdict::Refused && target.takes_every_sample() {
            return Err(finding(
                target,
                "a sample is refused, so nothing is tested".to_owned(),
                sample,
            ));
        }
    }
    let kept = corpus(target.name()).unwrap_or_default();
    for input in &kept {
        take(target, input, &mut tally)?;
    }
    samples.extend(kept);
    let mut source = Source::new(seed);
    let words = target.words();
    let before = tally.inputs();
    loop {
        let over = match length {
            Length::Time(time) => start.elapsed() >= time,
            Length::Inputs(inputs) => tally.inputs() - before >= inputs,
        };
        if over {
            break;
        }
        let input = mutate::mutate(&mut source, &samples, words);
        take(target, &input, &mut tally)?;
    }
    target.finish().map_err(|what| finding(target, what, &[]))?;
    let resident = resident_kib();
    if resident > RESIDENT_KIB_MAX {
        return Err(finding(target, format!("{resident} KiB of memory are in use"), &[]));
    }
    tally.took = start.elapsed();
    Ok(tally)
}

/// What this process has had of the processors.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn take(target: &mut dyn Target, input: &[u8], tally: &mut Tally) -> Result<Verdict, Box<Finding>> {
    let before = processor_time();
    let taken = catch_unwind(AssertUnwindSafe(|| target.take(input)));
    let took = processor_time().saturating_sub(before);
    tally.slowest = tally.slowest.max(took);
    if took > TAKE_PROCESSOR_MAX {
        let what = format!("it took {} ms of a processor", took.as_millis());
        return Err(finding(target, what, input));
    }
    match taken {
        Ok(Ok(verdict)) => {
            match verdict {
                Verdict::Accepted => tally.accepted += 1,
                Verdict::Refused => tally.refused += 1,
            }
            Ok(verdict)
        }
        Ok(Err(what)) => Err(finding(target, what, input)),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            Err(finding(target, format!("a panic: {text}"), input))
        }
    }
}

fn finding(target: &dyn Target, what: String, input: &[u8]) -> Box<Finding> {
    Box::new(Finding {
        target: target.name(),
        what,
        input: input.to_vec(),
    })
}

/// What this process holds in memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0)
}
