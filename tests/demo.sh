#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/demo.sh -- a broker on loopback, mqdump watching it live, a conversation in MQTT 3.1.1 and 5.0 at QoS 0, 1 and 2, and one
# client that breaks a rule. Ends by itself, at the latest when a step misses its deadline, and leaves no process behind.
# Capturing needs root or CAP_NET_RAW.
set -u
cd "$(dirname "$0")/.." || exit 2
PATH=$PATH:/usr/sbin:/sbin
mqdump=${B:-build}/mqdump mqbroker=${B:-build}/mqbroker
host=127.0.0.1 deadline_s=5 children=() fds=$(mktemp -d) || exit 2

cleanup() {
    trap - EXIT HUP INT TERM
    [ ${#children[@]} -gt 0 ] && kill "${children[@]}" 2>/dev/null
    wait
    rm -rf "$fds"
}
trap cleanup EXIT
trap 'exit 130' HUP INT TERM

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

color=never bold='' plain=''
[ -t 1 ] && [ -z "${NO_COLOR-}" ] && color=always bold=$'\033[1m' plain=$'\033[0m'
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

# Runs a command in the background; what it writes is read from file descriptor $from.
start() {
    local fifo=$fds/${#children[@]}
    mkfifo "$fifo"
    "$@" >"$fifo" 2>&1 &
    children+=($!)
    exec {from}<"$fifo"
}

# Reads lines from a descriptor until each pattern has matched one, in any order; shows them when asked.
await() { # await FD show|hide PATTERN...
    local from=$1 show=$2 line left=() pattern
    shift 2
    while [ $# -gt 0 ] && IFS= read -r -t $deadline_s -u "$from" line; do
        [ "$show" = show ] && printf '%s\n' "$line"
        last=$line left=()
        for pattern; do
            # shellcheck disable=SC2053 # a pattern
            [[ $line == $pattern ]] || left+=("$pattern")
        done
        set -- "${left[@]}"
    done
    [ $# -eq 0 ]
}

start_broker() {
    if [ -x "$mqbroker" ]; then
        start "$mqbroker" --bind $host -p 0
        await "$from" hide '*listening on*' || fail "mqbroker does not start: ${last-}"
        port=${last##*:}
        return
    fi
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 30000))
        start mosquitto -p "$port" -v
        await "$from" hide '*running' && return
    done
    fail "mosquitto does not start: ${last-}"
}

# One client's life in raw octets: CONNECT, then SUBSCRIBE with the reserved flags 0000 where the standard wants 0010.
break_a_rule() {
    exec {raw}<>"/dev/tcp/$host/$port" || fail "no connection to the broker"
    printf '\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05rogue' >&"$raw"
    await "$rows" show '*rogue*CONNACK*' || fail "the broker does not answer"
    printf '\x80\x08\x00\x01\x00\x03a/b\x01' >&"$raw"
    await "$rows" show '*rogue*SUBSCRIBE*' || fail "mqdump does not show the SUBSCRIBE"
    exec {raw}>&-
}

converse() { # converse VERSION
    local qos sub
    mosquitto_sub -h $host -p "$port" -V "$1" -i reader -q 2 -t 'plant/+/temperature' -C 3 -W $deadline_s >/dev/null &
    sub=$!
    children+=("$sub")
    await "$rows" show '*reader*SUBACK*' || fail "no SUBACK"
    for qos in 0 1 2; do
        mosquitto_pub -h $host -p "$port" -V "$1" -i sensor-$qos -q $qos -t "plant/$qos/temperature" -m "2$qos.5 C" ||
            fail "mosquitto_pub failed"
    done
    wait $sub || fail "the subscriber did not get its three messages"
    await "$rows" show '*reader*DISCONNECT*' '*sensor-2*DISCONNECT*' || fail "mqdump does not show the end of the conversation"
}

start_broker
say "mqdump -i lo -l -f 'tcp port $port' -w demo.pcapng      (a broker listens there; mqdump finds MQTT by itself)"
start "$mqdump" -i lo -l -f "tcp port $port" -w "$fds/demo.pcapng" --color "$color"
rows=$from watcher=${children[-1]}
await "$rows" show '*listening on*' || fail "mqdump cannot watch lo: ${last-}"

say "MQTT 3.1.1: one subscriber, messages at QoS 0, 1 and 2"
converse mqttv311
say "MQTT 5.0: the same"
converse mqttv5
say "A client that breaks a rule: SUBSCRIBE with the wrong flags"
break_a_rule

say "Ctrl-C"
kill -INT "$watcher"
await "$rows" show 'nothing more, only its end'
wait "$watcher"
status=$?
[ $status -eq 0 ] || fail "mqdump ended with status $status"

say "mqdump -r demo.pcapng -q -z findings -z latency"
"$mqdump" -r "$fds/demo.pcapng" -q -z findings -z latency || fail "the recording cannot be read"
