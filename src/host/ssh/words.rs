//! A command in the words of `program.sh`.

use super::super::Command;

/// A command in the words of `program.sh`.
pub(super) struct Words<'a> {
    command: &'a Command,
    fence: String,
    input: String,
    seconds: &'a str,
    count: String,
    lengths: Vec<String>,
}

impl<'a> Words<'a> {
    pub(super) fn of(command: &'a Command, input: usize, seconds: &'a str) -> Self {
        Self {
            command,
            fence: command.fence.as_ref().map_or_else(String::new, |fence| fence.path().into_string()),
            input: input.to_string(),
            seconds,
            count: command.env.len().to_string(),
            lengths: command.env.iter().map(|(_, value)| value.len().to_string()).collect(),
        }
    }

    pub(super) fn args(&self) -> Vec<&str> {
        let variables = self.command.env.iter().zip(&self.lengths).flat_map(|((name, _), len)| [name.as_str(), len]);
        let program = [self.command.program.as_str()].into_iter().chain(self.command.args.iter().map(String::as_str));
        [&self.fence, &self.input, self.seconds, &self.count].into_iter().chain(variables).chain(program).collect()
    }

    /// What goes to standard input before the program's own.
    pub(super) fn values(&self) -> impl Iterator<Item = &'a [u8]> {
        self.command.env.iter().map(|(_, value)| value.as_bytes())
    }
}
