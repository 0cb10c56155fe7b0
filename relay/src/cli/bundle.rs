//! `relay bundle`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {}
impl Command {
    pub(crate) fn run(self) -> Result<(), super::failure::Failure> {
        match self {}
    }
}
