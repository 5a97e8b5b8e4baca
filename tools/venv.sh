#!/bin/sh
# Usage: tools/venv.sh FOLDER [INTERPRETER]
#
# Makes a virtual environment with pip in FOLDER, or keeps the one that works there. A virtual
# environment also serves where the system's Python is "externally managed", and so refuses pip.
set -eu
folder=$1
asked=${2-}

fail() {
    printf '\n' >&2
    printf 'minigrad: %s\n' "$@" >&2
    printf '\n' >&2
    exit 1
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
works() { new_enough "$folder/bin/python" && "$folder/bin/python" -m pip --version >/dev/null 2>&1; }

if works; then exit 0; fi

if [ -n "$asked" ]; then
    command -v "$asked" >/dev/null 2>&1 || fail "PYTHON=$asked: there is no such program."
    new_enough "$asked" || fail \
        "Python 3.11 or later is needed; PYTHON=$asked is $("$asked" --version 2>&1 || true)."
    python=$asked
else
    python=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if new_enough "$candidate"; then python=$candidate; break; fi
    done
    found="there is no python3 here"
    if command -v python3 >/dev/null 2>&1; then found="python3 is $(python3 --version 2>&1 || true)"; fi
    [ -n "$python" ] || fail "Python 3.11 or later is needed; $found." \
        "Install a later one, or name the one you have: make PYTHON=/path/to/python3.12 ..."
fi

echo "Making $folder with $("$python" --version) ($("$python" -c 'import sys; print(sys.executable)'))"
log=$("$python" -m venv --clear "$folder" 2>&1) && works && exit 0

# Debian and Ubuntu ship ensurepip, which puts pip into the environment, in a package of its own
# (python3-venv). Where it is missing, the system's pip can install itself into an empty environment.
if "$python" -m venv --clear --without-pip "$folder" >/dev/null 2>&1 &&
    "$python" -m pip --python "$folder/bin/python" install --quiet pip >/dev/null 2>&1 && works; then
    exit 0
fi

rm -rf "$folder"
printf '%s\n' "$log" >&2
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
fail "$python cannot make a virtual environment (its message stands above)." \
    "Debian, Ubuntu:  sudo apt install python$version-venv   (or python3-venv)" \
    "Elsewhere:       install the venv and ensurepip modules of Python $version," \
    "                 or name another interpreter: make PYTHON=/path/to/python3 ..."
