# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_unitbee_global_optspecs
    string join \n f/file= H/host= json v/verbose ssh-config= supervisor= connect-timeout= h/help V/version
end

function __fish_unitbee_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_unitbee_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_unitbee_using_subcommand
    set -l cmd (__fish_unitbee_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c unitbee -n "__fish_unitbee_needs_command" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_needs_command" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_needs_command" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_needs_command" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_needs_command" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_needs_command" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_needs_command" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_needs_command" -s V -l version -d 'Print version'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "init" -d 'Write a starter manifest'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "render" -d 'Print the files that a manifest becomes, or write them to a folder; no host is touched'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "verify" -d 'Check the rendered files with systemd-analyze or plutil, where there is one'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "plan" -d 'Show what apply would change; exit 2 when something would'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "apply" -d 'Make hosts what the manifest says, and wait until everything started is healthy'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "build" -d 'Run the build commands of services on this machine, and show the output of one that fails'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "rebuild" -d 'Build and, when that succeeds, apply'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "install-unit" -d 'Install one service, from the manifest or from flags'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "uninstall" -d 'Stop, disable and remove units, and prove that they are gone'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "rollback" -d 'Put an earlier release of units back, and wait until it is healthy'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "history" -d 'Show the releases that hosts keep, and who changed what'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "prune" -d 'Remove releases that are not needed any more'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "start" -d 'Start units and wait until they are healthy'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "stop" -d 'Stop units: shutdown URL, TERM, KILL, and the proof that nothing is left'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "restart" -d 'Stop units and start them again, one after the other'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "reload" -d 'Have units read their configuration again, by their own reload command'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "kill" -d 'Send a signal to units'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "enable" -d 'Have units started at boot'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "disable" -d 'Have units no longer started at boot'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "ensure" -d 'Make sure that installed units run and are healthy'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "wait" -d 'Wait until units run and are healthy'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "status" -d 'Show state, reason and flags of units; exit 3 when one is not running or not healthy'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "logs" -d 'Show what units said'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "demo" -d 'Show the whole job on a tiny daemon: install, look, read its logs, stop, remove; nothing of it stays'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "man" -d 'Write man pages to a folder'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "schema" -d 'Print the JSON schema of the manifest'
complete -c unitbee -n "__fish_unitbee_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -l force -d 'Overwrite a manifest that is there'
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -s o -l out -d 'Folder to write the files to, instead of printing them' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -l systemd -d 'Version of systemd to render for [default: the newest known]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -l launchd -d 'Render property lists for launchd instead of units'
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand render" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -l launchd -d 'Check property lists for launchd instead of units'
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -l take -d 'Overwrite files of ours that were edited by hand, and take over units of other projects'
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -l keep -d 'Move what was edited by hand in a unit file of ours into a drop-in'
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l take -d 'Overwrite files of ours that were edited by hand, and take over units of other projects'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l keep -d 'Move what was edited by hand in a unit file of ours into a drop-in'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l retry -d 'Try a release again that failed before'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l no-rollback -d 'Leave a release in place that fails, instead of rolling back'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l keep-failed -d 'Leave a unit in place whose first release fails, instead of removing it'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l atomic -d 'Roll back the units of a host that succeeded too, when one fails'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l prune -d 'Remove units that are not in the manifest any more'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l strict-limits -d 'Fail where a limit of the manifest does not hold'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand build" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand build" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand build" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand build" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand build" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand build" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand build" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l take -d 'Overwrite files of ours that were edited by hand, and take over units of other projects'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l keep -d 'Move what was edited by hand in a unit file of ours into a drop-in'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l retry -d 'Try a release again that failed before'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l no-rollback -d 'Leave a release in place that fails, instead of rolling back'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l keep-failed -d 'Leave a unit in place whose first release fails, instead of removing it'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l atomic -d 'Roll back the units of a host that succeeded too, when one fails'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l prune -d 'Remove units that are not in the manifest any more'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l strict-limits -d 'Fail where a limit of the manifest does not hold'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l check -d 'Argument for a short run of the program on the host before a new release takes effect, such as --version' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l env -d 'Environment variable' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l secret -d 'Variable of this shell that is kept secret' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l working-dir -d 'Working directory on the host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l cpu -d 'CPU cap in percent of one core: 200%' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l memory -d 'Memory cap: 4G' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l tasks -d 'Cap on processes and threads' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l nofile -d 'Cap on open files' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l scope -d 'Whose supervisor runs it, where that is launchd' -r -f -a "user\t'The user\'s own'
system\t'The machine\'s: it runs as the user from boot on, and sudo installs it'"
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l restart -d 'When it is started again' -r -f -a "on-failure\t'After an end that is a failure'
always\t'After every end that nobody asked for'
no\t'Never'"
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l health -d 'URL that a healthy service answers with 2xx' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l within -d 'How long it may take to get healthy' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l stop -d 'URL that gets a POST before the service is signalled' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l take -d 'Overwrite a unit file of ours that was edited by hand, and take the unit over from another project'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l keep -d 'Move what was edited by hand in the unit file into a drop-in'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l retry -d 'Try a release again that failed before'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l no-rollback -d 'Leave a release in place that fails, instead of rolling back'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l keep-failed -d 'Leave a unit in place whose first release fails, instead of removing it'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l atomic -d 'Roll back the units of a host that succeeded too, when one fails'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l strict-limits -d 'Fail where a limit does not hold'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand install-unit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -s y -l yes -d 'Do not ask; without names, this ends all units of the manifest'
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -l take -d 'Remove units of other projects too'
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -l to -d 'Release to go back to [default: the last good one before the one in effect]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -l no-rollback -d 'Leave that release in place even if it fails'
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand history" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand history" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand history" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand history" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand history" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand history" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand history" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -l secrets -d 'Remove the secrets of all releases that are not in effect, and with them the way back'
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -s y -l yes -d 'Do not ask; without names, this ends all units of the manifest'
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -s s -l signal -d 'Signal to send' -r -f -a "term\t''
kill\t''
hup\t''
int\t''
usr1\t''
usr2\t''
quit\t''"
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -l all -d 'Send it to every process of the unit, not only to its main process'
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand disable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -l lock-wait -d 'How long to wait for another unitbee that is at work on a host' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand ensure" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand wait" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand wait" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand wait" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand wait" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand wait" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand wait" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand wait" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand status" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand status" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand status" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand status" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand status" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand status" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand status" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -s n -l lines -d 'Newest lines to show' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -s f -l follow -d 'Go on showing lines as they are written'
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -l raw -d 'Print what services wrote byte for byte, control characters too'
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -l scope -d 'Whose supervisor runs it, where that is launchd' -r -f -a "user\t'The user\'s own'
system\t'The machine\'s: it runs as the user from boot on, and sudo installs it'"
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -l serve -d 'Be the daemon, on this port of loopback' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand completions" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand completions" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand completions" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand completions" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand completions" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand completions" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand completions" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand man" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand man" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand man" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand man" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand man" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand man" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand man" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand schema" -s f -l file -d 'Manifest to read [default: unitbee.toml]' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand schema" -s H -l host -d 'Host, tag, localhost, or anything ssh takes; may be given more than once' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand schema" -l ssh-config -d 'Configuration file for ssh, instead of the user\'s own' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand schema" -l supervisor -d 'Service manager to use, instead of the one that fits each host' -r -f -a "systemd\t'The user\'s systemd'
launchd\t'launchd of macOS'
runner\t'The runner that unitbee brings along'"
complete -c unitbee -n "__fish_unitbee_using_subcommand schema" -l connect-timeout -d 'Time for a connection to come up; by default the `ConnectTimeout` of ssh, else 10s' -r
complete -c unitbee -n "__fish_unitbee_using_subcommand schema" -l json -d 'Print JSON: one document, or one object a line where things happen one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand schema" -s v -l verbose -d 'Say more: how hosts are talked to and how often; twice for a trace'
complete -c unitbee -n "__fish_unitbee_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "init" -d 'Write a starter manifest'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "render" -d 'Print the files that a manifest becomes, or write them to a folder; no host is touched'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "verify" -d 'Check the rendered files with systemd-analyze or plutil, where there is one'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "plan" -d 'Show what apply would change; exit 2 when something would'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "apply" -d 'Make hosts what the manifest says, and wait until everything started is healthy'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "build" -d 'Run the build commands of services on this machine, and show the output of one that fails'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "rebuild" -d 'Build and, when that succeeds, apply'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "install-unit" -d 'Install one service, from the manifest or from flags'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "uninstall" -d 'Stop, disable and remove units, and prove that they are gone'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "rollback" -d 'Put an earlier release of units back, and wait until it is healthy'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "history" -d 'Show the releases that hosts keep, and who changed what'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "prune" -d 'Remove releases that are not needed any more'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "start" -d 'Start units and wait until they are healthy'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "stop" -d 'Stop units: shutdown URL, TERM, KILL, and the proof that nothing is left'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "restart" -d 'Stop units and start them again, one after the other'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "reload" -d 'Have units read their configuration again, by their own reload command'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "kill" -d 'Send a signal to units'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "enable" -d 'Have units started at boot'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "disable" -d 'Have units no longer started at boot'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "ensure" -d 'Make sure that installed units run and are healthy'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "wait" -d 'Wait until units run and are healthy'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "status" -d 'Show state, reason and flags of units; exit 3 when one is not running or not healthy'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "logs" -d 'Show what units said'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "demo" -d 'Show the whole job on a tiny daemon: install, look, read its logs, stop, remove; nothing of it stays'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "completions" -d 'Print completions for a shell'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "man" -d 'Write man pages to a folder'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "schema" -d 'Print the JSON schema of the manifest'
complete -c unitbee -n "__fish_unitbee_using_subcommand help; and not __fish_seen_subcommand_from init render verify plan apply build rebuild install-unit uninstall rollback history prune start stop restart reload kill enable disable ensure wait status logs demo completions man schema help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
