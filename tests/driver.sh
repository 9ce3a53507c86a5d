#!/bin/sh
# Makes sure that the given impasto finds a GPU or a software driver; installs Mesa's where it does
# not. Usage: driver.sh IMPASTO [FLAGS…]
set -eu
impasto=$1
shift

# A run without steps opens the adapter; `devices` only lists.
usable() {
    "$impasto" devices "$@" >/dev/null 2>&1
}

usable "$@" && exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
    root=sudo
fi
echo "No graphics driver found: installing Mesa's, which has a software driver${root:+ (asks for your password)}."
if command -v apt-get >/dev/null; then
    $root apt-get update -q
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        libvulkan1 mesa-vulkan-drivers libegl1 libgl1-mesa-dri
elif command -v dnf >/dev/null; then
    $root dnf install -y vulkan-loader mesa-vulkan-drivers mesa-libEGL mesa-dri-drivers
elif command -v pacman >/dev/null; then
    $root pacman -S --needed --noconfirm vulkan-icd-loader vulkan-swrast mesa
else
    echo "No apt-get, dnf or pacman here: please install a Vulkan driver by hand." >&2
    exit 1
fi
usable "$@" || {
    echo "Still no adapter after installing Mesa; this is what impasto says:" >&2
    "$impasto" devices "$@" >&2
    exit 1
}
