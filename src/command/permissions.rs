//! Whether a user may run a request: connects access control, which knows commands as numbers, with the registry and the
//! key specifications. Main thread; only requests of users who may not do everything come here.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::acl::{Access, Catalog, Denial, Incident, Reason, TouchedChannel, TouchedKey, UserId};
use crate::command::error::CommandError;
use crate::command::keys::find_keys_to_guard;
use crate::command::prepared::Prepared;
use crate::command::registry::{CommandId, Registered, Registry};
use crate::command::session::Session;
use crate::command::spec::{Categories, ChannelArgs, Command, Flags, KeyFlags};
use crate::command::state::State;
use crate::commands::connection::describe_client;
use crate::resp::args::Args;

const NO_KEY_PERMISSION: CommandError = CommandError::fixed("-NOPERM No permissions to access a key");
const NO_CHANNEL_PERMISSION: CommandError = CommandError::fixed("-NOPERM No permissions to access a channel");

impl Catalog for Registry {
    fn count(&self) -> usize {
        self.len()
    }

    fn find(&self, full_name: &[u8]) -> Option<usize> {
        let has_name = |command: &Command| command.full_name.as_bytes().eq_ignore_ascii_case(full_name);
        self.all().find(|(_, entry)| has_name(entry.command)).map(|(id, _)| id.index())
    }

    fn subcommands(&self, command: usize) -> Vec<usize> {
        by_number(self, command).subcommands.iter().map(|id| id.index()).collect()
    }

    fn is_subcommand(&self, command: usize) -> bool {
        by_number(self, command).container.is_some()
    }

    fn in_category(&self, command: usize, category: &str) -> Option<bool> {
        let category = Categories::by_name(category.as_bytes())?;
        Some(by_number(self, command).command.categories.contains(category))
    }
}

impl State {
    /// Whether `user` may run a request of `command`, whose number of arguments is right.
    pub fn permits(&self, user: UserId, prepared: &Prepared, command: &Command, args: Args<'_>) -> Result<(), Denial> {
        let keys: Vec<TouchedKey<'_>> = find_keys_to_guard(command, args)
            .iter()
            .map(|key| TouchedKey { index: key.index, key: args.get(key.index), access: access(key.flags) })
            .collect();
        let open = command.flags.contains(Flags::NO_AUTH);
        let first_arg = (args.len() > 1).then(|| args.get(1));
        self.users.get(user).check(prepared.id.index(), open, first_arg, &keys, &channels(command, args))
    }

    /// The gate: a refusal is logged and counted.
    #[cold]
    pub(crate) fn check_permission(
        &mut self,
        session: &Session,
        prepared: &Prepared,
        command: &Command,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        let Err(denial) = self.permits(session.user, prepared, command, args) else { return Ok(()) };
        let username = Arc::clone(&session.user_name);
        let (reason, object) = match denial {
            Denial::Command => (Reason::Command, command.full_name.as_bytes()),
            Denial::Key(index) => (Reason::Key, args.get(index)),
            Denial::Channel(index) => (Reason::Channel, args.get(index)),
        };
        self.log_refusal(session, reason, object, &username);
        Err(match denial {
            Denial::Command => CommandError::filled(format!(
                "-NOPERM User {} has no permissions to run the '{}' command",
                String::from_utf8_lossy(&username),
                command.full_name
            )),
            Denial::Key(_) => NO_KEY_PERMISSION,
            Denial::Channel(_) => NO_CHANNEL_PERMISSION,
        })
    }

    /// EXEC's gate for one queued command: rules may have changed since it was queued.
    #[cold]
    pub(crate) fn check_queued_permission(
        &mut self,
        session: &Session,
        prepared: &Prepared,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        let Some(command) = prepared.command else { return Ok(()) };
        let Err(denial) = self.permits(session.user, prepared, command, args) else { return Ok(()) };
        let (reason, object, text) = match denial {
            Denial::Command => {
                let text = "no permission to execute the command or subcommand";
                (Reason::Command, command.full_name.as_bytes(), text)
            }
            Denial::Key(index) => (Reason::Key, args.get(index), "no permission to touch the specified keys"),
            Denial::Channel(index) => {
                let text = "no permission to access one of the channels used as arguments";
                (Reason::Channel, args.get(index), text)
            }
        };
        let username = Arc::clone(&session.user_name);
        self.log_refusal(session, reason, object, &username);
        Err(CommandError::filled(format!(
            "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. \
             This command is no longer allowed for the following reason: {text}"
        )))
    }

    /// Adds to ACL LOG and to INFO's counters.
    #[cold]
    pub(crate) fn log_refusal(&mut self, session: &Session, reason: Reason, object: &[u8], username: &[u8]) {
        let denied = &mut self.stats;
        match reason {
            Reason::Auth => denied.auth_denied += 1,
            Reason::Command => denied.command_denied += 1,
            Reason::Key => denied.key_denied += 1,
            Reason::Channel => denied.channel_denied += 1,
        }
        let in_multi = session.in_multi();
        let incident = Incident { reason, in_multi, object: object.into(), username: username.into() };
        let mut client = Vec::new();
        describe_client(session, self.now_s, &mut client);
        let client = client.trim_ascii_end();
        let len_max = usize::try_from(self.config.acllog_max_len).unwrap_or(usize::MAX);
        self.acl_log.add(incident, client, self.clock.unix_ms(), len_max);
    }
}

fn by_number(registry: &Registry, command: usize) -> &Registered {
    registry.entry(CommandId(u16::try_from(command).expect("a number of the registry")))
}

/// The channels of a request.
fn channels<'a>(command: &Command, args: Args<'a>) -> Vec<TouchedChannel<'a>> {
    let last = match command.channel_args {
        ChannelArgs::None => 0,
        ChannelArgs::First => 1,
        ChannelArgs::All | ChannelArgs::Patterns => args.len() - 1,
    };
    let is_pattern = command.channel_args == ChannelArgs::Patterns;
    (1..=last).map(|index| TouchedChannel { index, name: args.get(index), is_pattern }).collect()
}

/// What has to be allowed for a key: flags of its specification say what happens to the value.
fn access(flags: KeyFlags) -> Access {
    Access {
        read: flags.contains(KeyFlags::ACCESS),
        write: flags.intersects(KeyFlags::INSERT.union(KeyFlags::DELETE).union(KeyFlags::UPDATE)),
    }
}
