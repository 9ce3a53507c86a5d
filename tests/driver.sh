#!/bin/sh
# Makes sure that the given impasto finds something to run on. Where there is no adapter, it installs Mesa's drivers;
# where all there is are software drivers and none of them is Vulkan's, it installs Mesa's, which is faster and what
# nearly all users have. Where there is a GPU, nothing is installed. Usage: driver.sh IMPASTO [FLAGS…]
# With flags, such as --backend gl, all that counts is that `impasto devices` finds an adapter with them.
set -eu
impasto=$1
shift

devices() {
    "$impasto" devices --json "$@" 2>/dev/null
}

# The packages with Vulkan's software driver; with `all`, OpenGL's beside it. Commands are chained: in a condition,
# `set -e` counts for nothing.
install() {
    root=
    if [ "$(id -u)" -ne 0 ]; then
        root=sudo
        echo "(This asks for your password.)"
    fi
    if command -v apt-get >/dev/null; then
        # One source that can't be read is no reason not to try.
        $root apt-get update -q || true
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
            libvulkan1 mesa-vulkan-drivers ${1:+libegl1 libgl1-mesa-dri}
    elif command -v dnf >/dev/null; then
        $root dnf install -y vulkan-loader mesa-vulkan-drivers ${1:+mesa-libEGL mesa-dri-drivers}
    elif command -v pacman >/dev/null; then
        $root pacman -S --needed --noconfirm vulkan-icd-loader vulkan-swrast ${1:+mesa}
    else
        echo "No apt-get, dnf or pacman here: please install a Vulkan driver by hand." >&2
        return 1
    fi
}

if found=$(devices "$@"); then
    case $found in
        *'"software": false'* | *'"backend": "vulkan"'*) exit 0 ;;
    esac
    [ $# -eq 0 ] || exit 0
    echo "Only software drivers found, and none for Vulkan: installing Mesa's, which is faster."
    install || echo "It could not be installed: going on without it." >&2
    exit 0
fi

echo "No graphics driver found: installing Mesa's, which has a software driver."
install all || {
    echo "It could not be installed: impasto needs a GPU with its driver, or a software driver." >&2
    exit 1
}
devices "$@" >/dev/null || {
    echo "Still no adapter after installing Mesa; this is what impasto says:" >&2
    "$impasto" devices "$@" >&2
    exit 1
}
