#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tests/install-deps.sh GROUP... -- installs what a group of tasks needs and this machine lacks, from Debian 12's packages.
#
#   build   compiler, libraries, scdoc          test   cmocka, tshark, mosquitto, python3, tmux
#   lint    clang, clang-format, cppcheck       fuzz   clang with libFuzzer, AFL++
#   count   valgrind, python3
#
# Looks before it acts: with everything there it is instant, needs no network and no rights. It looks for the tools and headers
# themselves, so another distribution where they are installed passes as well. Exit status: 0 all there, 2 something is missing.
set -u
PATH=$PATH:/usr/sbin:/sbin
export PATH
missing=

need() { # need PACKAGE what-to-find: a command's name, or a file under one of the usual roots (may be a pattern)
    case $2 in
    */* | *.h)
        for dir in /usr/include /usr/local/include "/usr/include/$(uname -m)-linux-gnu" ''; do
            for file in "$dir"/$2; do # unquoted: $2 may be a pattern
                [ -e "$file" ] && return
            done
        done
        ;;
    *) command -v "$2" >/dev/null 2>&1 && return ;;
    esac
    missing="$missing $1"
}

[ $# -gt 0 ] || set -- build
for group; do
    case $group in
    build)
        need make make
        need gcc cc
        need libc6-dev stdio.h
        need binutils ar
        need libpcap-dev pcap/pcap.h
        need libcap-dev sys/capability.h
        need libseccomp-dev seccomp.h
        need libncurses-dev curses.h
        need libssl-dev openssl/evp.h
        need libpcre2-dev pcre2.h
        need zlib1g-dev zlib.h
        need scdoc scdoc
        ;;
    test)
        need libcmocka-dev cmocka.h
        need tshark tshark
        need openssl openssl
        need jq jq
        need mosquitto mosquitto
        need mosquitto-clients mosquitto_pub
        need iproute2 ip
        need libmosquitto-dev mosquitto.h
        need libpaho-mqtt-dev MQTTClient.h
        need python3-paho-mqtt usr/lib/python3/dist-packages/paho/mqtt
        need python3 python3
        need tmux tmux
        ;;
    lint)
        need clang clang
        need clang-format clang-format
        need cppcheck cppcheck
        ;;
    count)
        need valgrind valgrind
        need python3 python3
        ;;
    fuzz)
        need clang clang
        need libclang-rt-14-dev 'usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a'
        need llvm llvm-symbolizer
        need afl++ afl-clang-fast
        ;;
    *)
        echo "$0: unknown group '$group': build, test, lint, fuzz, count" >&2
        exit 1
        ;;
    esac
done
[ -n "$missing" ] || exit 0

by_hand="apt-get install --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "$0: missing, and no apt-get to install it with (names of Debian 12's packages):$missing" >&2
    exit 2
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root='sudo'
    [ -t 0 ] || as_root='sudo -n' # nobody there to type a password
    if ! command -v sudo >/dev/null 2>&1 || ! $as_root true; then
        echo "$0: missing, and no right to install it. As root:  $by_hand" >&2
        exit 2
    fi
fi

# A broker installed for the tests must not start as a service of this machine now.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] && printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null 2>&1; then
    $as_root chmod 755 $policy
    trap '$as_root rm -f $policy' EXIT
    trap 'exit 2' HUP INT TERM
fi

echo "$0: installing$missing" >&2
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}
# shellcheck disable=SC2086 # a list of names
apt update && apt install --no-install-recommends $missing && exit 0
echo "$0: apt-get failed, see above. As root:  $by_hand" >&2
exit 2
