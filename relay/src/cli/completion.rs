//! `relay completion`

use clap_complete::Shell;

use super::failure::Failure;

/// Prints a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay completion bash > /etc/bash_completion.d/relay
  relay completion zsh > ~/.zfunc/_relay
  relay completion fish > ~/.config/fish/completions/relay.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self, command: &mut clap::Command) -> Result<(), Failure> {
        clap_complete::generate(self.shell, command, "relay", &mut std::io::stdout());
        Ok(())
    }
}
