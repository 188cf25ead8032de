# Shared by the packaging tests: checks that print TAP, and a make that installs
# no packages. $BUILD is the absolute build folder; $work a fresh one.
# shellcheck shell=sh

cd "$(dirname "$0")/../.." || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR PKG_CONFIG_PATH
checks=0
failures=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^#define LMOPT_VERSION "\(.*\)"/\1/p' src/lmopt.h)
multiarch=$(${CC:-cc} -print-multiarch)

# check NAME COMMAND...: is the command's status 0? What it said is shown when not.
check() {
  name=$1
  shift
  checks=$((checks + 1))
  if "$@" >"$work/said" 2>&1; then
    echo "ok $checks - $name"
  else
    failures=$((failures + 1))
    echo "not ok $checks - $name"
    sed 's/^/# /' "$work/said"
  fi
}

# same EXPECTED ACTUAL: are two files the same? Shows the difference.
same() { diff "$1" "$2"; }

# nothing COMMAND...: does it print nothing?
nothing() {
  "$@" >"$work/nothing" 2>&1
  cat "$work/nothing"
  [ ! -s "$work/nothing" ]
}

skip() { # NAME REASON
  checks=$((checks + 1))
  echo "ok $checks - $1 # SKIP $2"
}

run_make() { make -s --no-print-directory BUILD="$BUILD" CC="${CC:-cc}" SETUP=true "$@"; }

conclude() {
  echo "1..$checks"
  [ "$failures" -eq 0 ]
}
