# Written by unitbee 0.1.0; changes by hand are shown as drift.
# unitbee: unit=tick-main release=2 sha256=f920e8cebda6428ccb970460c183f76bbb8523db9068254ceb19724ed109b024
# tick

unit='tick-main'
cgroup_name='rbee.slice/tick/main'
cpu_percent=''
memory=''
tasks='20'
nofile=''
restart='on-failure'
delay_ms='1000'
max_delay_ms='60000'
give_up_after='10'
settled='60'
stop_timeout='17'
registry='/home/bee/.local/state/unitbee/registry'
claims='/home/bee/.local/state/unitbee/claims'
logs='/home/bee/.local/state/unitbee/log/tick-main'
log_size='10485760'
log_keep='3'
secrets='/home/bee/.local/share/unitbee/units/tick-main/2/env'
working_dir=''
program='/home/bee/.local/share/unitbee/store/e2d10f93df9b7bbcde2d228076e87e022bf4627a9985a08d41759d0be1e1ec02/tick'
command='1ad23963f37b6032da41f80afa41a1424da7a8f3ba3055ec46d241f70948a302'

service() {
  exec "$@" \
    'COLOUR=blue' \
    '/home/bee/.local/share/unitbee/store/e2d10f93df9b7bbcde2d228076e87e022bf4627a9985a08d41759d0be1e1ec02/tick' \
    'two'
}

. '/home/bee/.local/share/unitbee/store/1250e5a5035531143458385e8576d0fa0162f43f7a015f2ed95e4782d1f4f37b/runner'