# shellcheck shell=bash
# A virtual environment with this checkout installed; sourced by tools/test and tools/demo.
#
#   environment DIR EXTRAS [PACKAGE...]   make or reuse DIR, put it first on PATH
#
# The environment is made again when setup.cfg, the Python, the place of the checkout
# or what is asked for has changed, and reused otherwise.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

complain() {
    printf '%s\n' "$@" >&2
    exit 2
}

# the newest Python that is new enough; one that can make environments is preferred
newest_python() {
    local name found=""
    for name in python3.14 python3.13 python3.12 python3.11 python3.10 python3; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$name"
            return
        fi
        found=${found:-$name}
    done
    echo "$found"
}

# Debian keeps what `python3 -m venv` needs in a package of its own
with_ensurepip() {
    local python=$1 package
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        complain "$python cannot make virtual environments: ensurepip is missing." \
            "Install it, then run this again: sudo apt-get install python3-venv"
    fi
    echo "Installing $package, which $python needs to make a virtual environment"
    apt-get update -qq </dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" </dev/null >/dev/null
    "$python" -c 'import ensurepip, venv'
}

environment() {
    local place=$1 extras=$2 python stamp
    shift 2
    command -v git >/dev/null || complain "git is missing. Install it: apt-get install git"
    python=$(newest_python)
    [ -n "$python" ] || complain "No Python >= 3.10 was found. Install it: apt-get install python3"
    stamp=$(
        printf '%s\n' "$checkout" "$place" "$extras" "$@"
        "$python" -VV
        cat "$checkout/setup.cfg" "$checkout/pyproject.toml"
    )
    if [ "$(cat "$place/stamp" 2>/dev/null)" != "$stamp" ] || [ ! -x "$place/bin/python" ]; then
        with_ensurepip "$python"
        echo "Installing datalad-mrishare[$extras] ${*:+and $* }with $("$python" -V) into $place"
        "$python" -m venv --clear "$place"
        "$place/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            --editable "${checkout}[$extras]" "$@" </dev/null
        printf '%s\n' "$stamp" >"$place/stamp"
    fi
    export PATH="$place/bin:$PATH"
}
