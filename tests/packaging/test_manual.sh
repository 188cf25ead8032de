#!/bin/sh
# The manual pages: well formed, and complete by the program's own help.
. "$(dirname "$0")/tap.sh"

lmopt=$BUILD/lmopt
page=packaging/man/lmopt.1
library=$BUILD/packaging/lmopt.3

# Other pages may not be installed here.
lint() { nothing sh -c 'mandoc -T lint "$1" 2>/dev/null | grep -v "referenced manual not found"' sh "$1"; }
if command -v mandoc >/dev/null 2>&1; then
  check "lmopt(1) is well formed" lint $page
  check "lmopt(3) is well formed" lint "$library"
else
  skip "well formed" "there is no mandoc"
fi

# Every command, from the overview: "run", "study ls", ...
commands() {
  "$lmopt" help | sed -n '3,/^$/s/^  \([a-z]*\) .*/\1/p' | while read -r command; do
    if subcommands=$("$lmopt" help "$command" | sed -n 's/^  lmopt \([a-z]* [a-z]*\).*/\1/p') &&
      "$lmopt" help "$command" | head -n 1 | grep -q 'COMMAND \.\.\.$'; then
      echo "$subcommands"
    else
      echo "$command"
    fi
  done
}
commands >"$work/commands"
check "there are commands" grep -qx 'study export' "$work/commands"

# The options of one command, without the dashes.
options_of() {
  # shellcheck disable=SC2086 # one word or two
  "$lmopt" help $1 | sed -n 's/^  \(-., \)\{0,1\}--\([a-z-]*\).*/\2/p'
}

while read -r command; do
  check "lmopt(1) has the command $command" grep -q "^\.Cm $command\$" $page
  for option in $(options_of "$command"); do
    check "lmopt(1) has $command --$option" grep -Eq "^\.(It|Op|Pq)? ?(Fl|Op Fl)? ?.*(Fl|,) -$option( |\$)" $page
  done
done <"$work/commands"

# And nothing that the program does not know.
while read -r command; do options_of "$command"; done <"$work/commands" | sort -u >"$work/known"
printf '%s\n' help version >>"$work/known"
grep -oE '(Fl|,) -[a-z][a-z-]*' $page | sed 's/^[^-]*-//' | sort -u | grep -vxFf "$work/known" >"$work/unknown"
check "lmopt(1) has no option that the program does not know" nothing cat "$work/unknown"

for status in 0 1 2 3 130; do
  check "lmopt(1) explains status $status" sh -c 'sed -n "/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/p" "$1" | grep -qx ".It $2"' sh $page $status
done

sed -n 's/^LMOPT_API .*[ *]\(lmopt_[a-z_0-9]*\|luaopen_lmopt\)(.*/\1/p' src/lmopt.h >"$work/expected"
sed -n 's/^\.Fo //p' "$library" >"$work/actual"
check "lmopt(3) has every function of the header" same "$work/expected" "$work/actual"

# Its program is a program.
sed -n '/^\.Bd/,/^\.Ed/p' "$library" | sed -e 1d -e '$d' >"$work/example.c"
cat >"$work/tune.lua" <<'END'
local lmopt = require "lmopt"
lmopt.spawn(function() lmopt.sleep(0.001) io.open("done", "w"):close() end)
END
example() {
  # shellcheck disable=SC2046 # lists of words
  ${CC:-cc} -Werror -o "$work/example" "$work/example.c" \
    $(PKG_CONFIG_PATH=$BUILD/stage/lib/pkgconfig pkg-config --cflags --libs lmopt lua5.4) && (cd "$work" && ./example) && [ -e "$work/done" ]
}
check "the example of lmopt(3) builds and runs" example

# So is the one of lmopt(1).
sed -n '/^\.Bd/,/^\.Ed/p' $page | sed -e '/^lmopt run/,$d' -e '/^\.[BE]d/d' >"$work/branin.lua"
check "the example of lmopt(1) runs" sh -c '"$1" run "$2" --trials 5 --quiet' sh "$lmopt" "$work/branin.lua"

conclude
