#!/usr/bin/env bash
# kernel.sh [--ready]
#
# Gets the kernel that the tests boot for families that this machine's kernel may lack: Debian's kernel with its modules, and
# QEMU to run it. Prints, on stdout, the folder with `vmlinuz` and `base.cpio`, which is the first part of the initramfs.
#
# It unpacks the packages once, into a cache outside the source tree, and installs only QEMU. With --ready it fetches and
# installs nothing, and reports what is missing.
set -euo pipefail
export LC_ALL=C # apt's output is parsed below

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$here/../tests/kernel

say() { echo "kernel: $*" >&2; }
die() { say "$@"; exit 1; }
. "$here/apt.sh"

[ "$(uname -m)" = x86_64 ] || die "the tests' kernel is for x86-64, and this machine is $(uname -m)"
if ! command -v qemu-system-x86_64 >/dev/null; then
    [ "${1:-}" != --ready ] || die "qemu-system-x86_64 is not installed: run \`make kernel\`"
    by_hand="on Debian, as root: apt-get install --no-install-recommends qemu-system-x86"
    can_install || die "qemu-system-x86_64 not found: install it ($by_hand)"
    install qemu-system-x86 || die "apt could not install QEMU (above): $by_hand"
fi

# The name of the result depends on the files that make it.
recipe=$(cat "$here/kernel.sh" "$parts/init" "$parts/modules" | cksum | cut -d ' ' -f 1)
cache=${SANDSOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sandsock}/kernel
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
if [ -e "$cache/$recipe/base.cpio" ]; then
    echo "$cache/$recipe"
    exit 0
fi

[ "${1:-}" != --ready ] || die "no kernel to boot: run \`make kernel\`"
command -v apt-get >/dev/null || die "no apt to fetch Debian's kernel with"
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
# apt's own user must be able to write here.
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
# btvirt makes virtual Bluetooth controllers. It needs only the C library, which is copied for the test program.
dpkg-deb --fsys-tarfile bluez-test-tools_*.deb | tar -x ./usr/bin/btvirt
busybox=$work/bin/busybox
dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x ./boot ./lib/modules
version=$(ls lib/modules)
modules=lib/modules/$version
# The modules of later kernels are compressed, and busybox may not be able to read them.
find "$modules" -name '*.ko.xz' -exec xz -d {} + -o -name '*.ko.zst' -exec zstd -q -d --rm {} +
"$busybox" depmod -b "$work" "$version"

# The listed modules and those that they need. The kernel loads ciphers later by their names, so all of them are copied.
root=$work/root
mkdir -p "$root"/{bin,dev,etc,proc,run,sys,tmp,"$modules"}
wanted() {
    # A line of modules.dep has a module and all modules that it needs.
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
# Another run may have finished first.
mv -T made "$cache/$recipe" 2>/dev/null || [ -e "$cache/$recipe/base.cpio" ]
find "$cache" -mindepth 1 -maxdepth 1 -name '[0-9]*' ! -name "$recipe" -exec rm -rf {} +
echo "$cache/$recipe"
