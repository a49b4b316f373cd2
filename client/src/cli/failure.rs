//! Why a command did not do what it was asked, and the exit code that says so to scripts.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::dev::RuntimeError;
use crate::error::ClientError;
use crate::wire::error::FileError;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A request gave no result.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The `dev` cluster can't be found or asked.
    #[error(transparent)]
    Dev(#[from] RuntimeError),
    /// A cluster file has errors: each is printed.
    #[error("{} has {} error(s), and nothing was changed", file.display(), errors.len())]
    File {
        file: PathBuf,
        text: String,
        errors: Vec<FileError>,
    },
    /// Refused, or it failed, in words.
    #[error("{0}")]
    Refused(String),
    /// It was called in a way that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Accepted, but not done within the wait.
    #[error("{0}")]
    TimedOut(String),
    /// A file can't be read.
    #[error("can't read {}", file.display())]
    Read {
        file: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl Failure {
    /// 1 refused or failed, 2 usage, 3 no server could be reached, 4 timed out or unknown, 5 no quorum.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Client(error) => match error {
                ClientError::Refused(_) | ClientError::Malformed { .. } | ClientError::Setup(_) => 1,
                ClientError::Endpoint { .. } => 2,
                ClientError::Unreachable { .. } => 3,
                ClientError::Unknown { .. } => 4,
                ClientError::NoQuorum(_) => 5,
            },
            Self::Dev(_) | Self::File { .. } | Self::Refused(_) | Self::Read { .. } => 1,
            Self::Usage(_) => 2,
            Self::TimedOut(_) => 4,
        }
    }

    /// Says on standard error what went wrong, and ends with the exit code for it.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::File { file, text, errors } = self {
            print_file_errors(&file.display().to_string(), Some(text), errors);
        }
        if let Self::Client(error) = self
            && let Some(problem) = error.problem()
        {
            print_file_errors("", None, &problem.errors);
        }
        let mut message = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            message.push_str(&format!(": {error}"));
            source = error.source();
        }
        eprintln!("paceline: {message}");
        ExitCode::from(self.code())
    }
}

/// Every error of a file, with the line that it is on.
fn print_file_errors(file: &str, text: Option<&str>, errors: &[FileError]) {
    for error in errors {
        eprint!("{}", file_error(file, text, error));
    }
}

fn file_error(file: &str, text: Option<&str>, error: &FileError) -> String {
    let near = error
        .nearest
        .as_ref()
        .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    let place = match (file, error.line) {
        ("", 0) => String::new(),
        ("", line) => format!("line {line}, column {}: ", error.column),
        (file, 0) => format!("{file}: "),
        (file, line) => format!("{file}:{line}:{}: ", error.column),
    };
    let mut lines = format!("{place}{}{near}\n", error.message);
    let line = usize::try_from(error.line).unwrap_or(0);
    if let Some(source) = line.checked_sub(1).and_then(|line| text?.lines().nth(line)) {
        let column = usize::try_from(error.column).unwrap_or(1).max(1);
        // A tab before the mark stays a tab, so that the mark stands below its letter.
        let indent: String = source
            .chars()
            .take(column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        lines.push_str(&format!("{line:5} | {source}\n      | {indent}^\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::error::Problem;

    fn problem(status: u16, code: &str) -> Box<Problem> {
        Box::new(Problem::new(status, "", code, ""))
    }

    #[test]
    fn exit_codes_are_those_of_the_interface() {
        let codes = [
            (Failure::Refused(String::new()), 1),
            (Failure::Client(ClientError::Refused(problem(404, "not_found"))), 1),
            (
                Failure::File {
                    file: PathBuf::new(),
                    text: String::new(),
                    errors: Vec::new(),
                },
                1,
            ),
            (Failure::Usage(String::new()), 2),
            (
                Failure::Client(ClientError::Endpoint {
                    text: String::new(),
                    problem: "",
                }),
                2,
            ),
            (Failure::Client(ClientError::Unreachable { tried: Vec::new() }), 3),
            (Failure::TimedOut(String::new()), 4),
            (Failure::Client(ClientError::Unknown { tried: Vec::new() }), 4),
            (Failure::Client(ClientError::NoQuorum(problem(503, "no_quorum"))), 5),
        ];
        for (failure, code) in codes {
            assert_eq!(failure.code(), code, "{failure:?}");
        }
    }

    #[test]
    fn an_error_of_a_file_shows_its_line() {
        let error = FileError {
            line: 2,
            column: 3,
            message: "unknown key \"prio\"".to_owned(),
            nearest: Some("priority".to_owned()),
        };
        let expected =
            "c.toml:2:3: unknown key \"prio\"; did you mean \"priority\"?\n    2 | \t prio = 1\n      | \t ^\n";
        assert_eq!(
            file_error("c.toml", Some("[[package]]\n\t prio = 1\n"), &error),
            expected
        );
        assert_eq!(
            file_error("", None, &error),
            "line 2, column 3: unknown key \"prio\"; did you mean \"priority\"?\n"
        );
    }
}
