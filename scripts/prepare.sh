# What `serve` and `test` share: finding out what is missing and installing it where that is allowed.
# Sourced, not run.

say() { printf '\n==> %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# How to become root, if at all: empty as root, sudo where it asks for no password.
as_root=none
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
fi

# install_packages PACKAGE...: with apt-get, or a message that says what to install.
install_packages() {
    if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "please install: $* (Debian, Ubuntu: sudo apt-get install $*)"
    fi
    say "Installing $*"
    # RUNLEVEL=1 keeps Debian's scripts from starting a service that the package brings.
    install="env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $*"
    # The package lists may be missing or old: fetch them only if it does not work without.
    if ! $as_root $install; then
        $as_root apt-get update
        $as_root $install
    fi
}

# The release build needs cargo, and a C compiler, make and git for the io_uring library it builds.
prepare_build() {
    if ! command -v cargo >/dev/null 2>&1 && [ -r "$HOME/.cargo/env" ]; then
        # shellcheck disable=SC1091
        . "$HOME/.cargo/env"
    fi
    command -v cargo >/dev/null 2>&1 ||
        fail "cargo is missing; install a Rust toolchain: https://rustup.rs (curl -sSf https://sh.rustup.rs | sh)"
    missing=""
    command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
    command -v git >/dev/null 2>&1 || missing="$missing git"
    command -v make >/dev/null 2>&1 || missing="$missing make"
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install_packages $missing
}

# Every executor locks some memory for its rings.
hint_locked_memory() {
    limit=$(ulimit -l)
    if [ "$limit" != unlimited ] && [ "$limit" -lt 512 ]; then
        printf 'warning: this shell may lock only %s KiB of memory, the server needs 512 and more: ' "$limit" >&2
        printf 'ulimit -l 65536 as root, or memlock in /etc/security/limits.conf\n' >&2
    fi
}
