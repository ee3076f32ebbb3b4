#!/bin/sh
# Installs the Debian packages that tests/slurm/cluster.py starts daemons from; does nothing where
# they are there. None of their services is started, now or at the next boot.
set -eu

packages="munge mariadb-server slurmdbd slurmctld slurmd slurm-client"

fail() {
    echo "test-slurm: $1" >&2
    exit 1
}

installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    fail "the cluster is made of Debian's packages ($packages), and this system has no apt-get"

missing=""
for package in $packages; do
    installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    root=""
elif command -v sudo >/dev/null; then
    root="sudo"
else
    fail "these packages are missing:$missing. Install them as root; there is no sudo here"
fi

# While this file stands, and says so, Debian's scripts start no service that they install.
policy=${POLICY_RC:-/usr/sbin/policy-rc.d}
if [ ! -e "$policy" ]; then
    trap '$root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
    $root chmod 755 "$policy"
fi

log=$(mktemp)
echo "test-slurm: installing$missing"
{ $root apt-get update &&
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
} >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    fail "the packages$missing could not be installed; what apt-get said stands above and in $log"
}
rm -f "$log"

if [ -d /run/systemd/system ]; then
    for service in munge mariadb slurmdbd slurmctld slurmd; do
        case "$missing " in
        *" $service "* | *" $service-server "*) $root systemctl disable --quiet "$service" ;;
        esac
    done
fi
