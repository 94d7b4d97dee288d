#!/usr/bin/env bash
# Builds the standard plugins as components into guests/target/components, and makes what that takes.
#
#   guests/build.sh                  inject.wasm, filter.wasm, mask.wasm
#   guests/build.sh --test-plugins   and tests/{plugins,hostile}/target/components/*.wasm
#
# Nothing to do takes a moment and no network. CARGO_TARGET_DIR, GUEST_DIR and GUEST_SKIP_RUSTUP are honoured.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
say() { printf 'guests: %s\n' "$*" >&2; }

test_plugins=
case ${1:-} in
    '') ;;
    --test-plugins) test_plugins=1 ;;
    *) say "unknown argument $1: it takes --test-plugins or nothing"; exit 2 ;;
esac

# Another run builds the same: wait for it, then find nothing to do.
mkdir -p guests/target
exec 8>guests/target/lock
flock 8

# What a set of components is made of, as one digest.
sources() {
    find "$@" wit/v0 -name target -prune -o -type f \( -name '*.rs' -o -name '*.wit' -o -name '*.toml' -o -name '*.lock' \
        -o -name '*.sh' \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

current() { # current FOLDER DIGEST NAME...
    local folder=$1 digest=$2 name
    shift 2
    [ "$(cat "$folder/.sources" 2>/dev/null)" = "$digest" ] || return 1
    for name in "$@"; do [ -s "$folder/$name.wasm" ] || return 1; done
}

# The compiler, once and only in a run that builds. Its variables stay in this process.
ready=
toolchain() {
    [ -z "$ready" ] || return 0
    local targets=(wasm32-unknown-unknown) exports key
    [ -z "$test_plugins" ] || targets+=(wasm32-wasip2)
    exports=$(bash guests/toolchain.sh "${targets[@]}")
    eval "$exports"
    # Flags and a target that are meant for the host's binary are none of a guest's.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_BUILD_RUSTFLAGS
    # The same bytes whoever builds: no path of the machine in them.
    local flags="--remap-path-prefix=$ROOT=/pgstream --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/crates"
    # Vectors of 16 bytes are in every WebAssembly engine and give the same results everywhere.
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$flags -C target-feature=+simd128"
    export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS=$flags
    # Two toolchains of one version look alike to cargo, whose artifacts then do not fit (E0460): a folder for each.
    key=$({ "${RUSTC:-rustc}" -vV; ls -lL --time-style=+%s "$("${RUSTC:-rustc}" --print target-libdir --target "${targets[0]}")"; } |
        sha256sum | cut -c1-12)
    mkdir -p "${CARGO_TARGET_DIR:-guests/target}"
    CARGO_TARGET_DIR=$(cd "${CARGO_TARGET_DIR:-guests/target}" && pwd)/$key
    export CARGO_TARGET_DIR
    ready=1
}

# `--locked`: what the lock file names is in cargo's cache after the first time, and nothing is looked up.
build() { cargo build --quiet --locked --manifest-path "$@"; }

# components FOLDER DIGEST MODULE...: core modules to components, and what they are made of.
components() {
    local folder=$1 digest=$2
    shift 2
    rm -f "$folder/.sources"
    build guests/Cargo.toml --profile tool -p componentize
    "$CARGO_TARGET_DIR/tool/componentize" "$folder" "$@"
    printf '%s\n' "$digest" >"$folder/.sources"
    say "built $(cd "$folder" && wc -c -- *.wasm | awk '$2 != "total" {printf "%s%s (%d KiB)", n++ ? ", " : "", $2, $1 / 1024}')"
}

standard=(inject filter mask)
folder=guests/target/components
digest=$(sources guests)
if current "$folder" "$digest" "${standard[@]}"; then
    say "$folder is up to date"
else
    say "building ${standard[*]} for WebAssembly into $folder; the first time takes minutes"
    toolchain
    build guests/Cargo.toml --release --target wasm32-unknown-unknown "${standard[@]/#/-p}"
    modules=("${standard[@]/#/$CARGO_TARGET_DIR/wasm32-unknown-unknown/release/}")
    components "$folder" "$digest" "${modules[@]/%/.wasm}"
fi
[ -n "$test_plugins" ] || exit 0

# plugins FOLDER PLAIN WASI: the components of a workspace of plugins. Names of packages, apart by spaces; the second
# list is built for WASI.
plugins() {
    local folder=$1/target/components digest plain wasi modules at name
    read -ra plain <<<"$2"
    read -ra wasi <<<"$3"
    digest=$(sources "$1" guests/componentize guests/toolchain.sh guests/build.sh)
    if current "$folder" "$digest" "${plain[@]}" "${wasi[@]}"; then
        say "$folder is up to date"
        return
    fi
    say "building $2 $3 for WebAssembly into $folder"
    toolchain
    build "$1/Cargo.toml" --release --target wasm32-unknown-unknown "${plain[@]/#/-p}"
    [ ${#wasi[@]} = 0 ] || build "$1/Cargo.toml" --release --target wasm32-wasip2 "${wasi[@]/#/-p}"
    modules=("${plain[@]/#/$CARGO_TARGET_DIR/wasm32-unknown-unknown/release/}" "${wasi[@]/#/$CARGO_TARGET_DIR/wasm32-wasip2/release/}")
    modules=("${modules[@]/%/.wasm}")
    # Cargo names a module with underscores.
    for at in "${!modules[@]}"; do
        name=${modules[at]##*/}
        modules[at]=${modules[at]%/*}/${name//-/_}
    done
    components "$folder" "$digest" "${modules[@]}"
}

plugins tests/plugins 'upper vip-filter email-identity trap slow other-world other-version' 'reverse-p2 look-around'
plugins tests/hostile 'hostile-transformer hostile-filter hostile-injector hostile-flood' ''
