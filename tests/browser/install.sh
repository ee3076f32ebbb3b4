#!/bin/sh
# Installs Debian's chromium, in which tests/browser opens reports; does nothing where it is there.
set -eu

fail() {
    echo "test-browser: $1" >&2
    exit 1
}

command -v chromium >/dev/null && exit 0
command -v apt-get >/dev/null ||
    fail "there is no chromium on the PATH, and no apt-get to install Debian's package with"

if [ "$(id -u)" -eq 0 ]; then
    root=""
elif command -v sudo >/dev/null; then
    root="sudo"
else
    fail "chromium is missing. Install Debian's package as root; there is no sudo here"
fi

log=$(mktemp)
echo "test-browser: installing chromium"
{ $root apt-get update &&
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
} >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    fail "chromium could not be installed; what apt-get said stands above and in $log"
}
rm -f "$log"
