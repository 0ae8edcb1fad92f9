#!/usr/bin/env bash
# Provides Rust's std for wasm and prints, on stdout, what cargo needs to use it:
#
#     eval "$(scripts/wasm-toolchain.sh)"
#     cargo build --release --target wasm32-wasip2
#
# It tries three ways, in this order:
#
# 1. The targets are there already. It prints nothing.
# 2. rustup fetches them. It prints nothing.
# 3. On Debian, it builds std from apt's packages, into a cache outside the source tree. It installs nothing.
set -euo pipefail
export LC_ALL=C # apt's output is parsed below

targets=(wasm32-wasip2 wasm32-unknown-unknown)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "wasm-toolchain: $*" >&2; }
die() { say "$@"; exit 1; }

command -v cargo >/dev/null || die "cargo not found: install Rust with rustup (https://rustup.rs)"
toolchain=$(rustc --print sysroot)

have_targets() {
    local target
    for target in "${targets[@]}"; do
        compgen -G "$toolchain/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null || return 1
    done
}

# --- 1 and 2: the targets are there, or rustup fetches them ---------------------------------------
! have_targets || exit 0

# The name of a sysroot in the cache has the checksum of the two files that make it, and the version of its package.
recipe=$(cat "$here/wasm-toolchain.sh" "$here/crt1-command.rs" | cksum | cut -d ' ' -f 1)
cache=${SANDSOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sandsock}/wasm-toolchain
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# Debian's rustc has no wasm linker, so rustup's are used. It is a link, because rustup's folder may move.
use_sysroot() {
    local linkers
    linkers=$(compgen -G "$toolchain/lib/rustlib/*/bin/wasm-component-ld") ||
        die "this Rust ships no wasm-component-ld: install Rust with rustup (https://rustup.rs)"
    [ "$1/linkers" -ef "${linkers%/*}" ] || ln -sfn "${linkers%/*}" "$1/linkers"
    printf 'export RUSTC=%q\n' "$1/rustc"
}

newest=$(compgen -G "$cache/*-$recipe" | sort -V | tail -n 1 || true)
if [ -n "$newest" ]; then
    use_sysroot "$newest"
    exit 0
fi

if command -v rustup >/dev/null; then
    say "fetching ${targets[*]} with rustup"
    # If rustup cannot fetch, do not wait for its retries.
    limit=(env RUSTUP_MAX_RETRIES=0)
    ! command -v timeout >/dev/null || limit+=(timeout 60)
    "${limit[@]}" rustup target add "${targets[@]}" </dev/null >/dev/null 2>&1 || true
    ! have_targets || exit 0
    say "rustup cannot fetch them here"
fi

# --- 3: build std from Debian's packages ----------------------------------------------------------
by_hand="run \`rustup target add ${targets[*]}\` where there is a network"
command -v apt-get >/dev/null || die "no std for wasm, and no apt to build it from: $by_hand"

if [ "$(id -u)" = 0 ]; then
    say "reading apt's package lists"
    # A package source that is down may not matter. Missing packages are reported below.
    apt-get update -qq >&2 || true
fi
version=$(apt-cache policy rustc-web | sed -n 's/^ *Candidate: \([0-9].*\)/\1/p')
[ -n "$version" ] || die "apt knows no rustc-web: run \`apt-get update\` as root and try again, or $by_hand"
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
dpkg --compare-versions "$version" ge "$wanted" ||
    die "apt's rustc-web is $version, and $wanted is needed: enable Debian's security updates, or $by_hand"

work=$(mktemp -d "$cache/.building.XXXXXX") # in the cache itself, so that the last step is a rename
trap 'rm -rf "$work"' EXIT
sysroot=$work/sysroot
mkdir -p "$work/packages" "$work/std/src" "$sysroot"

# rustc-web's own packages, and those of its dependencies that are not installed here (libz3, libedit, ...).
needed=$(apt-cache depends --recurse --important rustc-web | grep '^[a-z]' | sort -u)
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u)
packages=$(
    grep -E '^(rustc-web|libstd-rust-web|libllvm)' <<<"$needed"
    comm -23 <(echo "$needed") <(echo "$installed")
    echo rust-web-src
    echo wasi-libc
)
say "downloading Debian's rustc $version (180 MB, once)"
(cd "$work/packages" && sort -u <<<"$packages" | xargs apt-get download -qq >"$work/log" 2>&1) ||
    { grep -m 1 '^E:' "$work/log" >&2 || true; die "apt could not download Debian's rustc: check the network, run \`apt-get update\` as root and try again"; }
for package in "$work"/packages/*.deb; do
    dpkg-deb -x "$package" "$sysroot"
done

# The libraries are not in the system's folders, and the linkers are rustup's.
cat >"$sysroot/rustc" <<'END'
#!/bin/sh
here=${0%/*}
for folder in "$here"/usr/lib/*-linux-gnu* "$here"/lib/*-linux-gnu*; do
    LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH
PATH=$here/linkers:$here/linkers/gcc-ld:$PATH exec "$here/usr/bin/rustc" "$@"
END
chmod +x "$sysroot/rustc"
eval "$(use_sysroot "$sysroot")"

say "building std for ${targets[*]} (a minute or two, once)"
cat >"$work/std/Cargo.toml" <<'END'
[package]
name = "placeholder"
edition = "2024"

[workspace]
END
echo '#![no_std]' >"$work/std/src/lib.rs"
# Building std needs an unstable flag, hence RUSTC_BOOTSTRAP. Guests are built with stable flags only.
(cd "$work/std" && env -u RUSTFLAGS RUSTC_BOOTSTRAP=1 cargo build --quiet --release --target-dir "$work/target" \
    -Z build-std=std,panic_abort "${targets[@]/#/--target=}") >"$work/log" 2>&1 ||
    { tail -n 30 "$work/log" >&2; die "building std failed (above); without it, $by_hand"; }
for target in "${targets[@]}"; do
    mkdir -p "$sysroot/usr/lib/rustlib/$target/lib/self-contained"
    find "$work/target/$target" -name 'lib*.rlib' ! -name 'libplaceholder*' \
        -exec cp {} "$sysroot/usr/lib/rustlib/$target/lib/" \;
done

libc=$sysroot/usr/lib/rustlib/wasm32-wasip2/lib/self-contained
cp "$sysroot"/usr/lib/wasm32-wasi/{crt1-reactor.o,libc.a} "$libc/"
"$RUSTC" --target wasm32-wasip2 --edition 2024 --crate-type lib --emit obj -O -C panic=abort \
    -o "$libc/crt1-command.o" "$here/crt1-command.rs"

rm -rf "${sysroot:?}"/usr/{share,src} # std's source is not needed again
place=$cache/$version-$recipe
# Another run may have built the same meanwhile. Its result is equally good.
mv -T "$sysroot" "$place" 2>/dev/null || [ -x "$place/rustc" ] || die "cannot write $place"
use_sysroot "$place"
