# shellcheck shell=bash
# Where tests make their repositories; sourced by tools/test.
#
#   scratch_in_memory   sets TMPDIR to a new directory in memory, and removes it at the end
#
# git and git-annex make a hundred small files for each that is tested: in memory that takes half
# the time in the kernel, a quarter of the whole. Nothing is done where there is no room for it,
# where no program may be run, or where somebody chose a TMPDIR.

# KiB that all tests may take at once, several times over
_scratch_room=$((8 * 1024 * 1024))

scratch_in_memory() {
    local free left
    [ -z "${TMPDIR:-}" ] && [ -d /dev/shm ] && [ -w /dev/shm ] || return 0
    free=$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')
    left=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2>/dev/null || true)
    [ "${free:-0}" -ge "$_scratch_room" ] && [ "${left:-0}" -ge "$_scratch_room" ] || return 0
    scratch=$(mktemp -d /dev/shm/mri.XXXXXX)
    trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
    printf '#!/bin/sh\nexit 0\n' >"$scratch/program"
    chmod +x "$scratch/program"
    if "$scratch/program" 2>/dev/null; then
        export TMPDIR=$scratch
    fi
}
