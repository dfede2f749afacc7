#!/usr/bin/env bash
# Somebody else's program: builds and runs consumer.cpp against Cairn, in one of the ways that README.md names.
#
# usage: consume.sh pkg-config|cmake BUILD_DIR SOURCE_DIR VERSION COMPILER...   a built tree, installed to a temporary folder
#        consume.sh subproject       BUILD_DIR SOURCE_DIR VERSION COMPILER...   Cairn built as a part of the program's build
#        consume.sh matrix           BUILD_DIR SOURCE_DIR VERSION COMPILER...   all ways, compilers and kinds of library
#
# None of them sees a package of Boost's or xxHash's, nor may the compiler read one of their headers.
#
# SPDX-License-Identifier: BSL-1.0
set -euo pipefail

kind=$1 build=$2 source=$3 version=$4
shift 4
compiler=("$@")
cached=("$@")
# CMake wants the compiler alone.
if [[ ${compiler[0]##*/} == ccache ]]; then
    compiler=("${compiler[@]:1}")
fi
here=$(cd "$(dirname "$0")" && pwd)

skip() {
    echo "skipped: $*"
    exit 77 # meson's exit code for a skipped test
}
fail() {
    echo "$*"
    exit 1
}

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

quietly() { "$@" >"$stage/log" 2>&1 || { cat "$stage/log"; return 1; }; }

# install_from BUILD_DIR: puts it below $root, and looks at what was installed.
install_from() {
    # --no-rebuild: a test must not run ninja below the ninja or meson that started it.
    rm -rf "$stage/root"
    quietly meson install -C "$1" --no-rebuild --destdir "$stage/root"
    pc=$(find "$stage/root" -name cairn.pc)
    [[ -n $pc ]] || fail "no cairn.pc was installed"
    libdir=$(dirname "$(dirname "$pc")")
    prefix=$(sed -n 's/^prefix=//p' "$pc")
    root=$stage/root$prefix
    # Copies with the stage put before what is absolute; everything else in them has to follow from that.
    # PKG_CONFIG_SYSROOT_DIR would put it before the paths of other libraries as well.
    rm -rf "$stage/pc"
    mkdir "$stage/pc"
    local each
    for each in "$(dirname "$pc")"/cairn*.pc; do
        sed -E "s#^(prefix|libdir|includedir)=/#\\1=$stage/root/#" "$each" >"$stage/pc/${each##*/}"
    done
    if grep -riE 'boost|xxhash' "$(dirname "$pc")" "$libdir/cmake/cairn"; then
        fail "users need neither Boost nor xxHash"
    fi
    if grep -rnE '#[ \t]*include.*(boost|xxhash)' "$(find "$stage/root" -path '*/include/cairn' -type d)"; then
        fail "public headers include neither Boost nor xxHash"
    fi
}

# only_ours FILE.d: fails when the compiler has read headers that users need not have.
only_ours() {
    if grep -E '/boost/|xxhash\.h' "$1"; then
        fail "the compiler has read headers of Boost or xxHash"
    fi
}

# expect PROGRAM [VARIABLE=VALUE...]
expect() {
    local program=$1 output
    shift
    output=$(env "$@" "$program")
    [[ $output == '[7]' ]] || fail "the consumer printed '$output', expected '[7]'"
}

# with_pkg_config PACKAGE COMPILER...
with_pkg_config() {
    local package=$1 flags
    shift
    # No other package is to be found, not even the system's.
    local -x PKG_CONFIG_LIBDIR=$stage/pc PKG_CONFIG_PATH=
    [[ $(pkg-config --modversion "$package") == "$version" ]] || fail "$package.pc has another version"
    read -ra flags <<<"$(pkg-config --cflags --libs "$package")"
    "$@" -std=c++20 -O1 -Wall -MD -MF "$stage/consumer.d" "$here/consumer.cpp" -o "$stage/consumer" "${flags[@]}"
    only_ours "$stage/consumer.d"
    expect "$stage/consumer" "LD_LIBRARY_PATH=$libdir"
    # What README.md says about prefixes that the loader does not know.
    "$@" -std=c++20 -O1 "$here/consumer.cpp" -o "$stage/consumer" "${flags[@]}" \
        "-Wl,-rpath,$(pkg-config --variable=libdir "$package")"
    expect "$stage/consumer"
    echo "$1: pkg-config $package"
}

# with_cmake TARGET COMPILER
with_cmake() {
    local major minor
    if grep -q '^libdir=/' "$pc"; then
        skip "an absolute libdir is taken literally, so that the package works in its final place only"
    fi
    IFS=. read -r major minor _ <<<"$version"
    rm -rf "$stage/cmake"
    # Ninja, because it is there with meson; make need not be.
    quietly cmake -G Ninja -S "$here" -B "$stage/cmake" \
        -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_CXX_COMPILER="$2" \
        -DCMAKE_PREFIX_PATH="$root" \
        -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON \
        -DCAIRN_TARGET="$1" \
        -DWANTED_VERSION="$major.$minor" \
        -DREFUSED_VERSION="$major.$((minor + 3))"
    quietly cmake --build "$stage/cmake"
    only_ours <(cd "$stage/cmake" && ninja -t deps)
    expect "$stage/cmake/consumer"
    echo "$2: CMake $1"
}

# with_subproject LIBRARIES COMPILER...: the wrap file is README.md's. Leaves the build in $stage/subproject/build.
with_subproject() {
    local libraries=$1 program=$stage/subproject
    shift
    rm -rf "$program"
    mkdir -p "$program/subprojects"
    # Meson copies nothing, and must not write into it: a link to the tree would have build folders in it.
    ln -s "$source" "$program/subprojects/cairn"
    # shellcheck disable=SC2016  # nothing is to be expanded there
    sed -n '/^```ini$/,/^```$/p' "$source/README.md" | sed '1d;$d' >"$program/subprojects/cairn.wrap"
    cp "$here/consumer.cpp" "$program/"
    cat >"$program/meson.build" <<'MESON'
project('consumer', 'cpp', default_options: ['cpp_std=c++20'])
executable('consumer', 'consumer.cpp', dependencies: dependency('cairn'))
if get_option('default_library') == 'both'
  executable('consumer_static', 'consumer.cpp', dependencies: dependency('cairn-static'))
endif
MESON
    CXX="$*" quietly meson setup "$program/build" "$program" \
        --buildtype=plain -Ddefault_library="$libraries" -Dprefix=/usr/local -Dlibdir=lib -Dcairn:joined_library=true
    quietly ninja -C "$program/build"
    [[ -d $program/build/subprojects/cairn ]] || fail "another Cairn than the subproject was built with"
    [[ -e $program/build/subprojects/cairn/tools/shmctl/shmctl ]] && fail "a subproject builds shmctl without being asked"
    only_ours <(cd "$program/build" && ninja -t deps consumer.p/consumer.cpp.o)
    expect "$program/build/consumer"
    echo "$1: subproject"
    if [[ $libraries == both ]]; then
        expect "$program/build/consumer_static"
        echo "$1: subproject, static"
    fi
}

# Only what is there twice in a process, and nothing of the copy's to be seen from outside.
with_plugins() {
    local flags visibility
    local -x PKG_CONFIG_LIBDIR=$stage/pc PKG_CONFIG_PATH=
    read -ra flags <<<"$(pkg-config --cflags --libs cairn)"
    # -rdynamic: whatever the program has is offered to its plugins.
    "$@" -std=c++20 -O1 -rdynamic "$here/two_copies.cpp" -o "$stage/two_copies" "${flags[@]}" -ldl
    "$@" -std=c++20 -O1 -shared -fPIC "$here/plugin.cpp" -o "$stage/plugin_shared.so" "${flags[@]}"
    read -ra flags <<<"$(pkg-config --cflags --libs cairn-static)"
    for visibility in hidden default; do
        "$@" -std=c++20 -O1 -shared -fPIC -fvisibility=$visibility -fvisibility-inlines-hidden "$here/plugin.cpp" \
            -o "$stage/plugin_static_$visibility.so" "${flags[@]}"
        LD_LIBRARY_PATH=$libdir "$stage/two_copies" "$stage/plugin_shared.so" "$stage/plugin_static_$visibility.so"
    done
    # Built as docs/building.md says, a plugin exports what it says itself; without that also what the compiler made of
    # templates in it, but nothing of the library's.
    # Clang without optimisation exports comparisons of the standard library's iterators (_ZSt, _ZNSt), which have no state.
    local excused='^$'
    [[ $1 != clang* ]] || excused='^_ZN?K?St'
    nm -D --defined-only "$stage/plugin_static_hidden.so" |
        awk -v excused="$excused" '$3 ~ /cairn/ && $3 !~ excused { print $3 }' >"$stage/log"
    [[ ! -s $stage/log ]] || { cat "$stage/log"; fail "a plugin that hides its symbols exports the library's"; }
    nm --defined-only --extern-only "$libdir/libcairn.a" | awk '$2 ~ /[TDBR]/ { print $3 }' | sort -u >"$stage/of_library"
    (($(wc -l <"$stage/of_library") > 100)) || fail "libcairn.a defines next to nothing"
    nm -D --defined-only "$stage/plugin_static_default.so" | awk '{ print $3 }' | sort -u >"$stage/of_plugin"
    [[ -z $(comm -12 "$stage/of_library" "$stage/of_plugin") ]] || fail "a plugin exports symbols of the static library"
    # What is compiled for one kind does not link with the other.
    read -ra flags <<<"$(pkg-config --cflags cairn)"
    if "$@" -std=c++20 "$here/consumer.cpp" -o "$stage/mixed" "${flags[@]}" "$libdir/libcairn.a" 2>"$stage/log"; then
        fail "a program for the shared library was linked with the static one"
    fi
    grep -q 'undefined reference.*cairn' "$stage/log" || { cat "$stage/log"; exit 1; }
    echo "$1: two copies in a process"
}

case $kind in
pkg-config | cmake)
    command -v "$kind" >/dev/null || skip "$kind is not installed"
    install_from "$build"
    if [[ $kind == cmake ]]; then with_cmake cairn::cairn "${compiler[0]}"; else with_pkg_config cairn "${compiler[@]}"; fi
    # Wherever the prefix is, shmctl finds its library.
    shmctl=$root/bin/shmctl
    if [[ -x $shmctl ]] && ! grep -q '^libdir=/' "$pc"; then
        env -u LD_LIBRARY_PATH "$shmctl" --help >/dev/null
        mv "$root" "$stage/moved"
        env -u LD_LIBRARY_PATH "$stage/moved/bin/shmctl" --help >/dev/null
    fi
    ;;
subproject)
    with_subproject shared "${cached[@]}"
    ;;
matrix)
    [[ ${CAIRN_FULL:-} == 1 ]] || skip "for tools/dev test --full"
    command -v cmake pkg-config >/dev/null || skip "cmake or pkg-config is not installed"
    compilers=()
    for each in g++ clang++-14 clang++-16; do
        if command -v "$each" >/dev/null; then compilers+=("$each"); else echo "$each is not installed"; fi
    done
    for each in "${compilers[@]}"; do
        with_subproject both "$each"
        install_from "$stage/subproject/build"
        # Whoever has built the library: all compilers link with it.
        for other in "${compilers[@]}"; do
            echo "the library of $each, used by $other"
            for package in cairn cairn-static; do with_pkg_config "$package" "$other"; done
            for target in cairn::cairn cairn::cairn_static; do with_cmake "$target" "$other"; done
        done
        with_plugins "$each"
    done
    ;;
*)
    echo "unknown kind of consumer: $kind"
    exit 2
    ;;
esac
