#!/usr/bin/env bash
# Makes a machine ready to build: a C compiler for the linker and for ring, and Rust. What is there is left alone.
#
# Debian and Ubuntu, as root or with sudo: installs what is missing. Elsewhere: says what is missing.
set -euo pipefail
say() { printf 'setup: %s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }

packages=()
# A compiler without the C library's headers is not enough, so ask it to build something.
printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c -o /dev/null - 2>/dev/null || packages+=(gcc libc6-dev)
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
rust=
command -v cargo >/dev/null || { rust=missing; command -v curl >/dev/null || packages+=(curl); }
# cargo and the download of Postgres both check the servers that they ask.
[ -n "${SSL_CERT_FILE:-}" ] || [ -n "$(ls -A /etc/ssl/certs /etc/pki/tls/certs 2>/dev/null)" ] || packages+=(ca-certificates)

if [ ${#packages[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || stop "missing: ${packages[*]} (Debian's names); please install them with your system's packages"
    root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || stop "missing: ${packages[*]}; please run as root: apt-get install ${packages[*]}"
        root=(sudo)
    fi
    say "installing with apt: ${packages[*]}"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1; }
    # The lists may be missing or old: only then are they worth fetching.
    apt install --yes --no-install-recommends "${packages[@]}" ||
        { apt update && apt install --yes --no-install-recommends "${packages[@]}"; } ||
        { tail -n 5 "$log" >&2; stop "apt could not install: ${packages[*]}"; }
fi

if [ -n "$rust" ]; then
    say "installing Rust with rustup into ${CARGO_HOME:-$HOME/.cargo}"
    installer=$(curl --proto '=https' --tlsv1.2 --silent --show-error --fail --max-time 60 https://sh.rustup.rs) ||
        stop "Rust is missing and https://sh.rustup.rs cannot be reached; please install Rust $(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)"
    # The version comes from rust-toolchain.toml, with the first command of cargo.
    sh -s -- -y --quiet --no-modify-path --profile minimal --default-toolchain none <<<"$installer" ||
        stop "rustup could not install Rust"
fi
