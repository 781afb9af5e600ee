#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# eve-to-kafka.sh -- ships the lines of mqdump -T eve to Kafka with kcat, keyed so that what belongs together stays together.
#
#   mqdump -i eth0 -T eve -l | eve-to-kafka.sh BROKER:9092 mqtt-events [community_id | client_id]
#
# community_id keeps a TCP connection in one partition and in order (the default); client_id keeps a session together over all its
# connections. Events without either (stats) go under the name of the sensor. Needs jq and kcat; what kcat cannot deliver makes it
# fail, and mqdump then ends at the closed pipe.
set -eu
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: mqdump -T eve -l ... | $0 BROKER[,BROKER...] TOPIC [community_id|client_id]" >&2
    exit 1
fi
key=${3:-community_id}
case $key in community_id | client_id) ;; *)
    echo "$0: the key is community_id or client_id" >&2
    exit 1
    ;;
esac
# tojson writes a tab or newline inside a string as \t or \n, and the key loses them: the first tab of a line ends the key
jq --unbuffered -rc --arg key "$key" '[(.[$key] // .community_id // .sensor // "mqshark" | tostring | gsub("[[:cntrl:]]"; " ")), tojson] | join("\t")' |
    kcat -P -b "$1" -t "$2" -K '\t' -z lz4 -X acks=all -X enable.idempotence=true
