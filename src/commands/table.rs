//! Look-up of a command by its name: one probe of a small open-addressing table in the common case.

use super::{Command, FAMILIES};

/// The number of a command or subcommand in the table: an index for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u16);

/// All commands, and the way from a name to them.
pub struct CommandTable {
    commands: Vec<&'static Command>,
    /// The position in `commands` plus one; 0 is empty.
    slots: Box<[u16; SLOTS]>,
    /// Of each container its subcommands, as positions in `commands`.
    children: Vec<std::ops::Range<u16>>,
}

const SLOTS: usize = 2048;

impl Default for CommandTable {
    fn default() -> Self {
        CommandTable::new()
    }
}

impl CommandTable {
    pub fn new() -> Self {
        let mut commands: Vec<&'static Command> = FAMILIES.iter().flat_map(|family| family.iter()).collect();
        let mut slots = Box::new([0u16; SLOTS]);
        for (position, command) in commands.iter().enumerate() {
            let mut slot = slot_of(command.name.as_bytes());
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = position as u16 + 1;
        }
        let mut children = vec![0..0; commands.len()];
        for position in 0..commands.len() {
            let first = commands.len() as u16;
            commands.extend(commands[position].subcommands.iter());
            children[position] = first..commands.len() as u16;
        }
        CommandTable { commands, slots, children }
    }

    /// The command or container called `name`, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<CommandId> {
        let mut slot = slot_of(name);
        loop {
            let position = self.slots[slot].checked_sub(1)?;
            if self.commands[position as usize].name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(CommandId(position));
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The subcommand `name` of a container.
    pub fn find_subcommand(&self, container: CommandId, name: &[u8]) -> Option<CommandId> {
        let prefix = self.get(container).name.len() + 1;
        self.subcommands(container)
            .find(|&id| self.get(id).name.as_bytes()[prefix..].eq_ignore_ascii_case(name))
    }

    pub fn subcommands(&self, container: CommandId) -> impl Iterator<Item = CommandId> + use<> {
        let range = self.children.get(container.0 as usize).cloned().unwrap_or(0..0);
        range.map(CommandId)
    }

    #[inline(always)]
    pub fn get(&self, id: CommandId) -> &'static Command {
        self.commands[id.0 as usize]
    }

    /// How many commands and subcommands there are; ids are below.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The commands and containers, without the subcommands.
    pub fn top_level(&self) -> impl Iterator<Item = CommandId> + use<> {
        (0..self.children.len() as u16).map(CommandId)
    }
}

/// Mixes the length and the first and last bytes, letters folded to lower case.
#[inline(always)]
fn slot_of(name: &[u8]) -> usize {
    let mut word: u64 = 0;
    for &byte in name.iter().take(8) {
        word = word << 8 | (byte | 0x20) as u64;
    }
    let last = name.last().map_or(0, |&byte| (byte | 0x20) as u64);
    let mixed = (word ^ last << 48 ^ (name.len() as u64) << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 53) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        let table = CommandTable::new();
        for id in table.top_level() {
            let name = table.get(id).name;
            assert_eq!(table.find(name.as_bytes()), Some(id), "{name}");
            assert_eq!(table.find(name.to_uppercase().as_bytes()), Some(id), "{name}");
            for child in table.subcommands(id) {
                let (_, short) = table.get(child).name.split_once('|').unwrap();
                assert_eq!(table.find_subcommand(id, short.as_bytes()), Some(child));
            }
        }
        assert_eq!(table.find(b"nosuchcommand"), None);
        assert_eq!(table.find(b""), None);
    }
}
