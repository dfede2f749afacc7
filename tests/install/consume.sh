#!/usr/bin/env bash
# Installs a built tree into a temporary folder, then builds and runs consumer.cpp against it.
#
# usage: consume.sh pkg-config|cmake BUILD_DIR VERSION COMPILER...
set -euo pipefail

kind=$1 build=$2 version=$3
shift 3
compiler=("$@")
# CMake wants the compiler alone.
if [[ ${compiler[0]##*/} == ccache ]]; then
    compiler=("${compiler[@]:1}")
fi
here=$(cd "$(dirname "$0")" && pwd)

skip() {
    echo "skipped: $*"
    exit 77 # meson's exit code for a skipped test
}

command -v "$kind" >/dev/null || skip "$kind is not installed"

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# --no-rebuild: a test must not run ninja below the ninja or meson that started it.
meson install -C "$build" --no-rebuild --destdir "$stage/root" >"$stage/install.log" 2>&1 || {
    cat "$stage/install.log"
    exit 1
}

pc=$(find "$stage/root" -name cairn.pc)
[[ -n $pc ]] || { echo "no cairn.pc was installed"; exit 1; }
libdir=$(dirname "$(dirname "$pc")")
prefix=$(sed -n 's/^prefix=//p' "$pc")

case $kind in
pkg-config)
    # A copy with the stage put before what is absolute; everything else in it has to follow from that.
    # PKG_CONFIG_SYSROOT_DIR would put it before the paths of other libraries as well.
    mkdir "$stage/pc"
    sed -E "s#^(prefix|libdir|includedir)=/#\\1=$stage/root/#" "$pc" >"$stage/pc/cairn.pc"
    export PKG_CONFIG_PATH=$stage/pc
    [[ $(pkg-config --modversion cairn) == "$version" ]] || { echo "cairn.pc has another version"; exit 1; }
    read -ra flags <<<"$(pkg-config --cflags --libs cairn)"
    set -x
    "${compiler[@]}" -std=c++20 -O1 -Wall "$here/consumer.cpp" -o "$stage/consumer" "${flags[@]}"
    set +x
    output=$(LD_LIBRARY_PATH=$libdir "$stage/consumer")
    ;;
cmake)
    if grep -q '^libdir=/' "$pc"; then
        skip "an absolute libdir is taken literally, so that the package works in its final place only"
    fi
    IFS=. read -r major minor _ <<<"$version"
    # Ninja, because it is there with meson; make need not be.
    cmake -G Ninja -S "$here" -B "$stage/cmake" \
        -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_CXX_COMPILER="${compiler[0]}" \
        -DCMAKE_PREFIX_PATH="$stage/root$prefix" \
        -DWANTED_VERSION="$major.$minor" \
        -DREFUSED_VERSION="$major.$((minor + 3))"
    cmake --build "$stage/cmake"
    output=$("$stage/cmake/consumer")
    ;;
*)
    echo "unknown kind of consumer: $kind"
    exit 2
    ;;
esac

if [[ $output != '[7]' ]]; then
    echo "the consumer printed '$output', expected '[7]'"
    exit 1
fi

shmctl=$stage/root$prefix/bin/shmctl
if [[ -x $shmctl ]]; then
    LD_LIBRARY_PATH=$libdir "$shmctl" --help >/dev/null
fi
echo "the consumer printed $output"
