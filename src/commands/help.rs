//! HELP of the containers, made from the records of their subcommands.

use super::Here;
use crate::error::CommandError;
use crate::resp::Args;

/// One line per subcommand with its syntax, one with its summary.
pub fn help(here: &mut Here<'_>) -> Result<(), CommandError> {
    let Some(container) = here.table.find(here.args.get(0)) else { return Err(CommandError::Syntax) };
    let mut lines = Vec::new();
    for id in here.table.subcommands(container) {
        let command = here.table.get(id);
        let name = command.name.split_once('|').map_or(command.name, |(_, name)| name);
        if name != "help" {
            lines.push(format!("{} {}", name.to_uppercase(), command.syntax).trim_end().to_owned());
            lines.push(format!("    {}", command.summary));
        }
    }
    let name = here.table.get(container).name.to_uppercase();
    write_help(here, &name, &lines);
    Ok(())
}

/// Too many arguments for a subcommand.
pub fn subcommand_syntax(args: &Args<'_>) -> CommandError {
    let text = |index| String::from_utf8_lossy(args.get(index)).into_owned();
    CommandError::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try {} HELP.",
        text(1),
        text(0).to_uppercase()
    ))
}

/// Help in the form that clients know: a title, the lines, and HELP itself.
pub fn write_help(here: &mut Here<'_>, container: &str, lines: &[impl AsRef<str>]) {
    here.reply.array(lines.len() + 3);
    here.reply.status(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| here.reply.status(line.as_ref()));
    here.reply.status("HELP");
    here.reply.status("    Prints this help.");
}
