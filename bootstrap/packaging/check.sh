#!/bin/sh
# Builds the release of the commit that is checked out in two clones, the second
# with a compile cache of its own, and demands the same bytes. Then the package
# is looked at with the system's own dpkg, where there is one.
set -eu
top=$(git rev-parse --show-toplevel)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

for clone in first second-elsewhere; do
	git clone --quiet --no-hardlinks "$top" "$scratch/$clone"
	git -C "$scratch/$clone" checkout --quiet --detach "$(git -C "$top" rev-parse HEAD)"
done
(cd "$scratch/first" && make dist)
# CACHE=shared saves minutes, and then only linking and packing are repeated.
if [ "${CACHE:-own}" = own ]; then
	export GOCACHE="$scratch/cache"
fi
(cd "$scratch/second-elsewhere" && make dist >/dev/null)
diff -r "$scratch/first/dist" "$scratch/second-elsewhere/dist"
(cd "$scratch/first/dist" && sha256sum --check --quiet SHA256SUMS)

if command -v dpkg-deb >/dev/null; then
	for deb in "$scratch"/first/dist/*.deb; do
		dpkg-deb --info "$deb" | sed -n 's/^ \(Package\|Version\|Architecture\|Installed-Size\):/\1:/p'
		dpkg-deb --contents "$deb" | grep ' ./usr/bin/ssg-bootstrap$' >/dev/null
	done
fi
echo "the same bytes twice: $(find "$scratch/first/dist" -type f | wc -l) files, $(du -sm "$scratch/first/dist" | cut -f1) MB"
