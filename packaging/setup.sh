#!/bin/sh
# Prepares a Debian 12 or Ubuntu 24.04 machine for the Makefile targets: system packages for a real container
# node, kubectl, and .venv with the locked Python packages.  Installs only what is missing; a machine that has
# everything is left alone in a fraction of a second.
#
#   packaging/setup.sh                 everything (demo, test, bench)
#   packaging/setup.sh --python-only   .venv only (check)
#
# An existing containerd is never stopped, restarted or reconfigured, and no service is started.
set -eu

cd "$(dirname "$0")/.."
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
LOG=build/setup.log
STAMP=.venv/.setup-stamp
POLICY=/usr/sbin/policy-rc.d
KUBECTL_OLDEST_MINOR=28
KUBECTL_RELEASE=v1.32.3

stop() { # every failure ends here: what is missing, then the command that gets it
    printf 'setup: %s\n  %s\n' "$1" "$2" >&2
    exit 1
}

begin() { printf '%-16s %s' "$1" "$2"; started=$(date +%s); }
finish() { printf ', done in %s s\n' "$(($(date +%s) - started))"; }
broken() { printf '\n'; stop "$1 (output: $LOG)" "$2"; }

# ---------------------------------------------------------------- system packages

cni_plugins() { [ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ]; }
static_busybox() { command -v busybox && ! ldd "$(command -v busybox)"; }
need() { "$@" >/dev/null 2>&1; }

missing_packages() {
    need command -v containerd || echo containerd
    need command -v runc || echo runc
    need cni_plugins || echo containernetworking-plugins
    need command -v iptables || echo iptables
    need command -v mosquitto || echo mosquitto
    need static_busybox || echo busybox-static
    need command -v ip || echo iproute2
}

missing_venv() {
    [ -x .venv/bin/python ] || need python3 -c 'import ensurepip, venv' || echo python3-venv
}

install_packages() { # $*: Debian package names
    by_hand="sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    need command -v apt-get ||
        stop "$* missing, and this system has no apt-get: on Debian 12 or Ubuntu 24.04 this gets it" "$by_hand"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif need sudo -n true || { [ -t 0 ] && need command -v sudo; }; then
        as_root=sudo
    else
        stop "$* missing, and installing needs root: run this once as a user who may" "$by_hand"
    fi
    begin 'system packages' "installing $*"
    if [ ! -e "$POLICY" ]; then # keeps package scripts from starting services; ours only while apt runs
        trap '$as_root rm -f "$POLICY"' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$POLICY" >/dev/null
        $as_root chmod 755 "$POLICY"
    fi
    apt="$as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o DPkg::Lock::Timeout=300"
    $apt install -y --no-install-recommends "$@" >>"$LOG" 2>&1 || { # package lists absent or too old
        $apt update >>"$LOG" 2>&1 && $apt install -y --no-install-recommends "$@" >>"$LOG" 2>&1 ||
            broken "cannot install $*: check the network, then run" "$by_hand"
    }
    finish
}

check_kubectl() {
    case $(uname -m) in aarch64 | arm64) arch=arm64 ;; *) arch=amd64 ;; esac
    by_hand="sudo curl -fLo /usr/local/bin/kubectl https://dl.k8s.io/release/$KUBECTL_RELEASE/bin/linux/$arch/kubectl && sudo chmod 755 /usr/local/bin/kubectl"
    need command -v kubectl || stop "kubectl is not on PATH: get it with" "$by_hand"
    # "Client Version: v1.32.4", with or without a vendor's suffix
    version=$(kubectl version --client 2>/dev/null | sed -n 's/^Client Version: v\([0-9]*\.[0-9]*\).*/\1/p')
    case $version in
    1.*) [ "${version#1.}" -ge "$KUBECTL_OLDEST_MINOR" ] || version= ;;
    *) version= ;;
    esac
    [ -n "$version" ] || stop "$(command -v kubectl) is not kubectl 1.$KUBECTL_OLDEST_MINOR or newer: get one with" "$by_hand"
}

# ---------------------------------------------------------------- Python

fingerprint() { cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1; }

prepared() { [ -x .venv/bin/python ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$(fingerprint)" ]; }

create_venv() {
    if [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1; then
        return
    fi
    begin python 'creating .venv'
    python3 -m venv --clear .venv >>"$LOG" 2>&1 || broken 'cannot create .venv: see why with' 'python3 -m venv --clear .venv'
    finish
}

pip_install() { .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@" >>"$LOG" 2>&1; }

install_locked() { # shows on a terminal how far it is
    pip_install --require-hashes -r requirements.lock &
    while [ -t 1 ] && kill -0 $! 2>/dev/null; do
        printf ' %3d\b\b\b\b' "$(grep -c '^Collecting' "$LOG")"
        sleep 0.3
    done
    wait $!
}

install_python_packages() {
    begin 'python packages' "installing $(grep -c '^[A-Za-z0-9].*==' requirements.lock) packages, hashes checked"
    install_locked ||
        broken 'cannot install the Python packages: check the network, then run' \
            '.venv/bin/python -m pip install --require-hashes -r requirements.lock'
    finish
    begin project 'installing this checkout, editable'
    pip_install --no-deps -e . ||
        broken 'cannot install the project: see why with' '.venv/bin/python -m pip install --no-deps -e .'
    finish
    fingerprint >"$STAMP"
}

# ---------------------------------------------------------------- what to do

case ${1-} in
'') everything=yes ;;
--python-only) everything= ;;
*) stop "unknown argument $1: this is the usage" 'packaging/setup.sh [--python-only]' ;;
esac

mkdir -p build 2>/dev/null && touch build/setup.lock "$LOG" 2>/dev/null ||
    stop "$(pwd) is not yours to write to: take it over with" "sudo chown -R $(id -un) $(pwd)"
exec 9>build/setup.lock
flock 9 # two make targets at once: the second finds everything done
: >"$LOG"

if ! need python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' && [ ! -x .venv/bin/python ]; then
    stop 'python3 3.11 or newer is not on PATH: get it with' 'sudo apt-get install -y python3 python3-venv'
fi
[ -z "$everything" ] || check_kubectl
packages="${everything:+$(missing_packages)} $(missing_venv)"
# shellcheck disable=SC2086  # package names, one word each
[ -z "$(echo $packages)" ] || install_packages $packages
if ! prepared; then
    create_venv
    install_python_packages
fi
