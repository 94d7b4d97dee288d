#!/usr/bin/env bash
# guests/toolchain.sh [TARGET...]   (default: wasm32-unknown-unknown wasm32-wasip2)
#
# Makes `cargo build --target wasm32-*` work for the plugins, on any machine:
#   1. the targets are there already        -> nothing to do
#   2. `rustup target add`                  -> what a user's machine does
#   3. Debian's rustc-web + rust-web-src    -> where rustup cannot download: a private compiler of the
#      same version as the library source, std built for the targets, kept under $GUEST_DIR.
# Idempotent: a second run takes well under a second. Nothing outside $GUEST_DIR is changed in case 3,
# except `apt-get update` when apt knows no rustc-web (needs root).
#
# Stdout, and $GUEST_DIR/env.sh: the exports to use, in a subshell, to build guests: `eval "$(guests/toolchain.sh)"`.
#   GUEST_DIR          cache folder               (default ~/.cache/guest-toolchain, which other projects may share)
#   GUEST_SKIP_RUSTUP  1: never try step 2
#   GUEST_FORCE        1: skip 1 and 2, go straight to 3 (to test the fallback)
set -euo pipefail
GUEST_DIR=${GUEST_DIR:-$HOME/.cache/guest-toolchain}
NEEDED=1.95   # `rust-version` in guests/Cargo.toml
TARGETS=("$@"); [ $# -gt 0 ] || TARGETS=(wasm32-unknown-unknown wasm32-wasip2)
say() { printf 'guests: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
mkdir -p "$GUEST_DIR"; GUEST_DIR=$(cd "$GUEST_DIR" && pwd); TC=$GUEST_DIR/toolchain
exec 9>"$GUEST_DIR/lock"; flock 9

has() { # has RUSTC TARGET
    local d; d=$("$1" --print target-libdir --target "$2" 2>/dev/null) && compgen -G "$d/libstd-*.rlib" >/dev/null
}
missing() { local t; for t in "${TARGETS[@]}"; do has "$1" "$t" || printf '%s\n' "$t"; done; }
finish() { printf '%s\n' "$1" >"$GUEST_DIR/env.sh"; printf '%s\n' "$1"; exit 0; }

# 1, 2: the machine's own toolchain
if [ "${GUEST_FORCE:-}" != 1 ] && command -v rustc >/dev/null; then
    m=$(missing rustc)
    [ -n "$m" ] || finish '# the default toolchain has the targets: nothing to export'
    if [ "${GUEST_SKIP_RUSTUP:-}" != 1 ] && command -v rustup >/dev/null; then
        say "adding to the Rust toolchain, by rustup: $(echo $m)"
        # shellcheck disable=SC2086
        if timeout 180 rustup target add $m >&2 && [ -z "$(missing rustc)" ]; then
            finish '# rustup added the targets: nothing to export'
        fi
        say "rustup could not add: $(echo $m); falling back to Debian's packages"
    fi
fi

# 3: Debian
# PATH too, and a real cargo beside rustc: cargo-component asks `rustc --print sysroot` and does not look at RUSTC,
# and behind rustup's cargo proxy that would be the default toolchain's rustc whatever PATH says.
ENVLINE="export PATH='$TC/bin':\"\$PATH\" RUSTC='$TC/bin/rustc' RUSTDOC='$TC/bin/rustdoc'; unset RUSTUP_TOOLCHAIN"
[ -x "$TC/bin/rustc" ] && [ -z "$(missing "$TC/bin/rustc")" ] && finish "$ENVLINE"
for c in apt-get apt-cache dpkg-deb cargo cc flock; do command -v $c >/dev/null || die "cannot make a WebAssembly toolchain without $c; install it, or run: rustup target add ${TARGETS[*]}"; done
cand() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/{print $2}' | grep -v '(none)'; }
dep() { LC_ALL=C apt-cache depends "$1" | awk -v p="^$2" '/Depends:/ && $2 ~ p {print $2; exit}'; }
say "making a WebAssembly toolchain from Debian's rustc-web in $TC (about 4 minutes and 600 MB, once)"
# Lists that are there may be old, or know no security updates: with them comes the compiler that is new enough.
apt-get update >/dev/null 2>&1 || say "apt-get update failed; going on with the package lists that are there"
VER=$(cand rustc-web) && [ "$(cand rust-web-src)" = "$VER" ] || die "apt has no rustc-web with rust-web-src of one version"
dpkg --compare-versions "$VER" ge "$NEEDED" || die "apt has rustc-web $VER, and the plugins need $NEEDED; its security updates have it, or run: rustup target add ${TARGETS[*]}"
W=$GUEST_DIR/work; rm -rf "$W"; mkdir -p "$W/debs"; t0=$SECONDS
fetch() { (cd "$W/debs" && apt-get -q -o APT::Sandbox::User=root "${APT_O[@]}" download "$@" >"$W/apt.log" 2>&1) || { cat "$W/apt.log" >&2; die "cannot download: $*"; }; }
unpack() { dpkg-deb --fsys-tarfile "$W"/debs/$1 | tar -x -C "$2" "${@:3}"; }

# 3a. compiler
if ! [ -x "$TC/bin/rustc" ] || [ "$(cat "$TC/VERSION" 2>/dev/null)" != "$VER" ]; then
    APT_O=(); STD=$(dep libstd-rust-web-dev libstd-rust-web-); LLVM=$(dep "$STD" libllvm)
    fetch rustc-web "libstd-rust-web-dev=$VER" "$STD=$VER" "$LLVM"
    R=$W/root; N=$W/tc; H=x86_64-unknown-linux-gnu; mkdir -p "$R"
    for f in "$W"/debs/*.deb; do dpkg-deb -x "$f" "$R"; done
    H=$(basename "$(dirname "$(find "$R/usr/lib/rustlib" -mindepth 2 -maxdepth 2 -name lib | head -1)")")
    mkdir -p "$N/bin" "$N/lib/rustlib/$H/bin"
    mv "$R/usr/lib/rustlib/$H/lib" "$N/lib/rustlib/$H/"
    mv "$R"/usr/lib/*/librustc_driver-*.so "$R"/usr/lib/*/libLLVM*.so* "$N/lib/"
    for b in rustc rustdoc; do
        mv "$R/usr/bin/$b" "$N/bin/$b.bin"   # Debian's binaries have no rpath: a wrapper finds lib/
        cat >"$N/bin/$b" <<'WRAP'
#!/bin/sh
d=$(CDPATH= cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd)
LD_LIBRARY_PATH="$d/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$d/bin/$(basename -- "$0").bin" "$@"
WRAP
        chmod +x "$N/bin/$b"
    done
    ln -s "$(readlink -f "$(rustup which cargo 2>/dev/null || command -v cargo)")" "$N/bin/cargo"
    # linkers: the rustup toolchain's rust-lld and wasm-component-ld, else Debian's lld and the crate registry's
    own=$(rustc --print sysroot 2>/dev/null || true)/lib/rustlib/$H/bin; B=$N/lib/rustlib/$H/bin
    if [ "${GUEST_OWN_LLD:-}" != 1 ] && [ -x "$own/rust-lld" ] && [ -x "$own/wasm-component-ld" ]; then
        for b in rust-lld wasm-component-ld gcc-ld; do ln -s "$own/$b" "$B/$b"; done
    else
        v=${LLVM#libllvm}; rm "$W"/debs/*; fetch "lld-$v" "liblld-$v" || true
        mkdir -p "$W/lld"; for f in "$W"/debs/*.deb; do dpkg-deb -x "$f" "$W/lld"; done
        cp -L "$W/lld/usr/lib/llvm-$v/bin/lld" "$B/rust-lld"; find "$W/lld" -name 'liblld*.so*' -exec cp -P {} "$N/lib/" \;
        mkdir "$B/gcc-ld"; printf '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/../rust-lld" -flavor wasm "$@"\n' >"$B/gcc-ld/wasm-ld"; chmod +x "$B/gcc-ld/wasm-ld"
        cargo install -q --locked --root "$W/wcl" wasm-component-ld >&2
        mv "$W/wcl/bin/wasm-component-ld" "$B/"
    fi
    # What the compiler's libraries need in turn: beside them where the machine does not have it.
    lacks() { LD_LIBRARY_PATH=$N/lib ldd "$N/bin/rustc.bin" "$N"/lib/*.so* 2>/dev/null | awk '/not found/{print $1}' | sort -u; }
    if [ -n "$(lacks)" ]; then
        mapfile -t closure < <(LC_ALL=C apt-cache depends --recurse --important --no-breaks --no-conflicts --no-replaces --no-enhances --no-suggests --no-recommends "$LLVM" |
            awk '/^[a-z0-9]/ && !/^(libc6|libc-bin|libcrypt|libgcc|gcc-|libstdc|libllvm)/ {print $1}' | sort -u)
        rm -f "$W"/debs/*; fetch "${closure[@]}"; mkdir "$W/libraries"
        for f in "$W"/debs/*.deb; do dpkg-deb -x "$f" "$W/libraries"; done
        # Each may need others: until nothing more is found.
        while found=; for l in $(lacks); do f=$(find "$W/libraries" -name "$l" | head -1); [ -z "$f" ] || { cp -L "$f" "$N/lib/"; found=1; }; done; [ -n "$found" ]; do :; done
    fi
    miss=$(lacks)
    [ -z "$miss" ] || die "libraries missing for Debian's rustc: $miss (apt-get install $LLVM)"
    echo "$VER" >"$N/VERSION"; rm -rf "$TC"; mv "$N" "$TC"; rm -rf "$R" "$W"/debs/*
    say "compiler $VER: $((SECONDS - t0)) s"
fi

# 3b. std for the targets, from the same version's source, with the source's own Cargo.lock
mapfile -t todo < <(missing "$TC/bin/rustc")
APT_O=(); fetch "rust-web-src=$VER"
mkdir -p "$W/src"; unpack 'rust-web-src_*.deb' "$W/src" --wildcards './usr/src/rustc-*/library'
L=$(echo "$W"/src/usr/src/rustc-*/library); targs=(); for t in "${todo[@]}"; do targs+=(--target "$t"); done
say "building std for ${todo[*]} (minutes)"
( unset CARGO_BUILD_TARGET CARGO_ENCODED_RUSTFLAGS RUSTC_WRAPPER CARGO_BUILD_RUSTC_WRAPPER
  export RUSTC=$TC/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$W/target RUSTFLAGS="-Zforce-unstable-if-unmarked --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/crates --remap-path-prefix=$L=/rust/library" \
         __CARGO_DEFAULT_LIB_METADATA=gueststd   # so that std's own libc, hashbrown, ... never clash with a guest's
  cd "$L" && cargo build -q --locked --manifest-path sysroot/Cargo.toml --profile dist --config profile.dist.debug=0 \
        --features 'panic-unwind backtrace' "${targs[@]}" >"$W/std.log" 2>&1 ) || { tail -40 "$W/std.log" >&2; die "building std failed"; }

# 3c. WASI targets: crt1-*.o and libc.a, from a wasi-libc that has wasip2 (2024 or later; arch: all)
if printf '%s\n' "${todo[@]}" | grep -q wasi; then
    rm -f "$W"/debs/*; mkdir -p "$W/wasi"; APT_O=(); fetch wasi-libc; unpack 'wasi-libc_*.deb' "$W/wasi"
    if ! [ -d "$W/wasi/usr/lib/wasm32-wasip2" ]; then   # this Debian's is too old: take Debian 13's, by a private apt state
        A=$W/apt; mkdir -p "$A/lists/partial" "$A/cache/archives/partial"
        site=$(apt-get indextargets --format '$(SITE)|$(RELEASE)|$(CREATED_BY)' | awk -F'|' '$3=="Packages" && $2 !~ /security|updates/ && $1 ~ /debian/ {print $1; exit}')
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site trixie main" >"$A/sources.list"
        APT_O=(-o "Dir::Etc::SourceList=$A/sources.list" -o Dir::Etc::SourceParts=/nonexistent -o "Dir::State::Lists=$A/lists"
               -o "Dir::Cache=$A/cache" -o Dir::State::status=/dev/null -o Acquire::Languages=none)
        apt-get -q -o APT::Sandbox::User=root "${APT_O[@]}" update >"$W/apt.log" 2>&1 || { cat "$W/apt.log" >&2; die "no package list for wasi-libc"; }
        rm -rf "$W"/debs/* "$W/wasi"; mkdir "$W/wasi"; fetch wasi-libc; unpack 'wasi-libc_*.deb' "$W/wasi"
    fi
fi
for t in "${todo[@]}"; do
    d=$TC/lib/rustlib/$t/lib; rm -rf "$d"; mkdir -p "$d"
    case $t in *wasi*)
        mkdir "$d/self-contained"; s=$W/wasi/usr/lib/wasm32-wasip2; [ "$t" = wasm32-wasip2 ] || s=$W/wasi/usr/lib/wasm32-wasi
        cp "$s"/crt1-command.o "$s"/crt1-reactor.o "$s"/libc.a "$d/self-contained/" ;;
    esac
    find "$W/target/$t/dist/deps" -name 'lib*.rlib' ! -name 'libstd-*' -exec cp {} "$d/" \;
    cp "$W/target/$t/dist/deps"/libstd-*.rlib "$d/"   # last: its presence marks the target as complete
done
rm -rf "$W"
[ -z "$(missing "$TC/bin/rustc")" ] || die "the targets are not complete"
say "ready in $((SECONDS - t0)) s: $("$TC/bin/rustc" -V) in $TC ($(du -sh "$TC" | cut -f1))"
finish "$ENVLINE"
