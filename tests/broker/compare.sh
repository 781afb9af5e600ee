#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/broker/compare.sh [SCALE] -- mqbroker and mosquitto under the same load, one after the other in each row, broker on one
# processor and load on another. Processor time is the figure to read: rates depend on what else the machine does.
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin
B=${B:-build} scale=${1:-1} work=$(mktemp -d)
make -s "$B/mqbroker" "$B/tests/broker/load"
trap 'kill $pid 2>/dev/null || true; rm -rf "$work"' EXIT
pid=

start() { # start NAME -> port, pid
    if [ "$1" = mqbroker ]; then
        taskset -c 0 "$B/mqbroker" -p 0 --max-inflight "${inflight:-100}" --max-queued 100000 >"$work/out" 2>/dev/null &
        pid=$!
        while ! port=$(sed -n 's/.*listening on .*://p' "$work/out") || [ -z "$port" ]; do :; done
        return
    fi
    port=$((12000 + RANDOM % 8000))
    printf 'listener %s 127.0.0.1\nallow_anonymous true\nmax_inflight_messages %s\nmax_queued_messages 100000\nset_tcp_nodelay true\n' "$port" "${inflight:-100}" >"$work/conf"
    taskset -c 0 mosquitto -c "$work/conf" >/dev/null 2>"$work/err" &
    pid=$!
    while ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
}

row() {
    for name in mosquitto mqbroker; do
        start $name
        printf '%-10s ' $name
        taskset -c 1 "$B/tests/broker/load" "$port" $pid "$@"
        kill $pid
        wait $pid || true
    done
}

row idle $((10000 / scale))
row flow 0 10 $((100000 / scale)) 60 100
row flow 1 1 $((200000 / scale)) 60 100
row flow 1 10 $((50000 / scale)) 60 100
row flow 1 100 $((2000 / scale)) 60 20
row flow 2 10 $((10000 / scale)) 60 100
row fan 0 100 $((4000 / scale)) 60 20
row fan 1 100 $((2000 / scale)) 60 20
row flow 1 10 $((4000 / scale)) 16000 20
