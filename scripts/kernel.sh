#!/usr/bin/env bash
# kernel.sh [--ready]
#
# Provides the kernel that the tests boot for the families that this machine's kernel may lack: Debian's own, with its modules,
# and QEMU to run it. Prints, on stdout, the folder that holds `vmlinuz` and `base.cpio`, the first part of its initramfs.
#
# Packages are unpacked into a cache outside the source tree, once; of them only QEMU is installed. With --ready nothing is
# fetched nor installed: what is missing is told instead.
set -euo pipefail
export LC_ALL=C # apt's words are read below

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$here/../tests/kernel

say() { echo "kernel: $*" >&2; }
die() { say "$@"; exit 1; }
. "$here/apt.sh"

[ "$(uname -m)" = x86_64 ] || die "the tests' kernel is one for x86-64, this machine is $(uname -m)"
if ! command -v qemu-system-x86_64 >/dev/null; then
    [ "${1:-}" != --ready ] || die "qemu-system-x86_64 is not installed: run \`make kernel\`"
    by_hand="on Debian, as root: apt-get install --no-install-recommends qemu-system-x86"
    can_install || die "qemu-system-x86_64 not found: install it ($by_hand)"
    install qemu-system-x86 || die "apt could not install QEMU (above): $by_hand"
fi

# Made by these files, and told apart by them.
recipe=$(cat "$here/kernel.sh" "$parts/init" "$parts/modules" | cksum | cut -d ' ' -f 1)
cache=${SANDSOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sandsock}/kernel
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
if [ -e "$cache/$recipe/base.cpio" ]; then
    echo "$cache/$recipe"
    exit 0
fi

[ "${1:-}" != --ready ] || die "no kernel to boot: run \`make kernel\`"
command -v apt-get >/dev/null || die "no apt to fetch a kernel with: the tests use Debian's"
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
# apt's own user has to be able to write here.
chmod 755 .

say "fetching Debian's kernel (70 MB, once)"
image() { apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1; }
[ -n "$(image)" ] || ! can_install || apt-get update -qq >/dev/null 2>&1 || true
package=$(image)
[ -n "$package" ] || die "apt knows no linux-image-amd64: run apt-get update, as root"
packages=("$package" busybox-static bluez-test-tools)
with_lists apt-get download -qq "${packages[@]}" || die "apt could not fetch ${packages[*]} (above)"

say "unpacking it"
dpkg-deb --fsys-tarfile busybox-static_*.deb | tar -x ./bin/busybox
# The virtual Bluetooth controllers. It needs the C library alone, which the test program brings along.
dpkg-deb --fsys-tarfile bluez-test-tools_*.deb | tar -x ./usr/bin/btvirt
busybox=$work/bin/busybox
dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x ./boot ./lib/modules
version=$(ls lib/modules)
modules=lib/modules/$version
# Later kernels' modules are compressed, which busybox need not know.
find "$modules" -name '*.ko.xz' -exec xz -d {} + -o -name '*.ko.zst' -exec zstd -q -d --rm {} +
"$busybox" depmod -b "$work" "$version"

# The modules that are asked for and those that they need; ciphers are loaded by their names, later, so all of them come along.
root=$work/root
mkdir -p "$root"/{bin,dev,etc,proc,run,sys,tmp,"$modules"}
wanted() {
    # A line of modules.dep is a module and whatever it needs.
    local name
    while read -r name; do
        grep -E "(^|/)${name//[-_]/[-_]}\.ko:" "$modules/modules.dep" || say "$version has no module $name" >&2
    done < <(sed 's/#.*//' "$parts/modules" | tr -s ' ' '\n' | grep .)
    grep -E '^([^:]*/)?(crypto|lib/crypto)/[^:]*\.ko:' "$modules/modules.dep" | grep -v tcrypt
}
wanted | tr -d : | tr ' ' '\n' | grep . | sort -u | while read -r file; do
    mkdir -p "$root/$modules/$(dirname "$file")"
    cp "$modules/$file" "$root/$modules/$file"
done
cp "$modules"/modules.builtin* "$modules/modules.order" "$root/$modules/"
"$busybox" depmod -b "$root" "$version"

cp "$busybox" "$work/usr/bin/btvirt" "$root/bin/"
cp "$parts/init" "$root/init"
chmod 755 "$root/init"
sed 's/#.*//' "$parts/modules" >"$root/etc/modules"
for name in $("$busybox" --list); do [ "$name" = busybox ] || ln -s busybox "$root/bin/$name"; done

mkdir made
cp "boot/vmlinuz-$version" made/vmlinuz
(cd "$root" && find . | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null) >made/base.cpio
# Another run may have been first.
mv -T made "$cache/$recipe" 2>/dev/null || [ -e "$cache/$recipe/base.cpio" ]
find "$cache" -mindepth 1 -maxdepth 1 -name '[0-9]*' ! -name "$recipe" -exec rm -rf {} +
echo "$cache/$recipe"
