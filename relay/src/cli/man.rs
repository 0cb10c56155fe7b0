//! `relay man`

use std::path::PathBuf;

use super::failure::Failure;

/// Writes the manual pages, one for each command
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to write them to; without it, the page of `relay` itself is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, command: clap::Command) -> Result<(), Failure> {
        match self.folder {
            Some(folder) => {
                clap_mangen::generate_to(command, &folder).map_err(Failure::io(&folder))?;
            }
            None => clap_mangen::Man::new(command).render(&mut std::io::stdout())?,
        }
        Ok(())
    }
}
