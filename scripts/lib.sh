# shellcheck shell=bash
# Helpers that the scripts share. Sourced, never run. Talk goes to stderr, so that stdout stays a script's result.

# shellcheck disable=SC2034  # used by the scripts that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
engine_image=sovai/engine-llama-cpp:local

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif has sudo; then sudo "$@"
    else die "root is needed for: $*; run it by hand"
    fi
}

# install PACKAGE...: Debian packages, by the machine's own package manager.
install_packages() {
    has apt-get || die "missing: $*; this machine has no apt-get, install them by hand"
    say "installing $*"
    as_root apt-get update -qq >/dev/null || say "not all package lists could be refreshed; going on"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need COMMAND=PACKAGE...: install the packages of the commands that are not there.
need() {
    local pair packages=()
    for pair in "$@"; do has "${pair%%=*}" || packages+=("${pair#*=}"); done
    [ "${#packages[@]}" -eq 0 ] || install_packages "${packages[@]}"
}

# Python of the host with pip: it fetches wheels and checks their SHA-256.
need_pip() {
    need python3=python3
    python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
    export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
}

need_cargo() {
    # rustup puts cargo on the PATH of new shells only.
    has cargo || PATH=$HOME/.cargo/bin:$PATH
    has cargo || die "cargo is missing; get Rust 1.95 or newer from https://rustup.rs and run this again"
    need cc=gcc
}

# docker_problem: nothing when the container engine answers, else one line that says what to do.
docker_problem() {
    if ! has docker; then
        echo "docker is missing; install it (Debian: apt-get install docker.io) and run this again"
    elif ! docker version >/dev/null 2>&1; then
        echo "docker does not answer; start it (systemctl start docker), or join its group (usermod -aG docker \$USER) and log in again"
    fi
}

need_docker() {
    local problem
    problem=$(docker_problem)
    [ -z "$problem" ] || die "$problem"
}

# has_sha256 FILE HEX: is FILE there with this digest?
has_sha256() { [ -f "$1" ] && printf '%s  %s\n' "$2" "$1" | sha256sum --check --status 2>/dev/null; }

# The store that sovai uses when no option names another.
store_folder() {
    if [ -n "${SOVAI_STORE:-}" ]; then echo "$SOVAI_STORE"
    elif [ "$(id -u)" -eq 0 ]; then echo /var/lib/sovai
    else echo "${XDG_DATA_HOME:-$HOME/.local/share}/sovai"
    fi
}
