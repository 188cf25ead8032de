#!/bin/sh
# The completions: each shell reads them, and each has all that the program's own help has.
. "$(dirname "$0")/tap.sh"

lmopt=$BUILD/lmopt
folder=$BUILD/packaging

# --- complete, in every shell ---

options_of() {
  # shellcheck disable=SC2086 # one word or two
  "$lmopt" help $1 | sed -n 's/^  \(-., \)\{0,1\}--\([a-z-]*\).*/\2/p'
}

# What bash offers after the words; the last one is begun.
cat >"$work/offer.bash" <<'END'
PATH=$1:$PATH
source "$2"
shift 2
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_lmopt
printf '%s\n' "${COMPREPLY[@]}"
END
offer() { (cd "$work" && bash --norc "$work/offer.bash" "$BUILD" "$folder/lmopt.bash" lmopt "$@"); }
offers() { # EXPECTED WORDS...
  expected=$1
  shift
  [ "$(offer "$@" | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')" = "$expected" ] || { offer "$@"; return 1; }
}

for command in run "study ls" "study show" "study best" "study importance" "study export" "study rm" "trial show" export; do
  # shellcheck disable=SC2086 # one word or two
  offer $command -- | grep -vx -e --help | LC_ALL=C sort >"$work/actual"
  options_of "$command" | sed 's/^/--/' | LC_ALL=C sort >"$work/expected"
  check "bash offers the options of $command" same "$work/expected" "$work/actual"
  check "fish has the options of $command" sh -c 'while read -r option; do
    grep -q -- "__lmopt_in $2'"'"' -l ${option#--} " "$3" || { echo "$option"; exit 1; }; done <"$1"' sh "$work/expected" "$command" "$folder/lmopt.fish"
  sed -n "/^    '$command')/,/^      ;;/p" "$folder/lmopt.zsh" >"$work/zsh"
  check "zsh has the options of $command" sh -c 'while read -r option; do
    grep -Eq -e "['"'"',]$option(=|\[|\})" "$2" || { echo "$option"; exit 1; }; done <"$1"' sh "$work/expected" "$work/zsh"
done

# --- bash, at work ---

"$lmopt" run --quiet --trials 2 --storage "$work/study.db" --study "first one" examples/objective.lua >/dev/null
"$lmopt" run --quiet --trials 2 --storage "$work/study.db" --study second examples/objective.lua >/dev/null
mkdir "$work/folder"
touch "$work/script.lua" "$work/notes.txt"

check "bash has no mistake" bash -n "$folder/lmopt.bash"
check "commands" offers "--help --version cache export help run study trial version" ""
check "commands that begin so" offers "study" st
check "subcommands" offers "export" study e
check "help's commands" offers "cache export help run study trial version" help ""
check "help's subcommands" offers "show" help study s
check "samplers" offers "auto brute_force cmaes gp nsga2 nsga3 qmc random repeated restart tpe" run script.lua --sampler ""
check "samplers after =" offers "random repeated restart" run script.lua --sampler = r
check "pruners" offers "hyperband median none successive_halving wilcoxon" run --pruner ""
check "directions" offers "maximize minimize" run --direction m
check "several directions" offers "minimize,maximize" run --direction minimize,ma
check "scripts and folders" offers "folder script.lua" run ""
check "storages and folders" offers "folder study.db" study show ""
check "storages after --storage" offers "study.db" run --storage st
check "studies" offers 'first\ one second' study show study.db ""
check "studies that begin so" offers second study show study.db s
check "studies after an option" offers second study show --trials 3 study.db s
check "studies for --study" offers second run script.lua --storage study.db --study s
check "studies for --study=" offers second run script.lua --storage = study.db --study = s
check "no study of no storage" offers "" study show nothing.db ""
check "formats" offers "csv json jsonl" study export study.db --format ""
check "nothing for a number" offers "" run --trials ""
check "files after --" offers "notes.txt" run script.lua -- no

# What is offered is what the program takes.
echo 'return function(trial) return trial:suggest_int("x", 0, 9) end' >"$work/script.lua"
for sampler in $(offer run --sampler ""); do
  check "lmopt takes the sampler $sampler" "$lmopt" run "$work/script.lua" --trials 2 --quiet --sampler "$sampler"
done
for pruner in $(offer run --pruner ""); do
  check "lmopt takes the pruner $pruner" "$lmopt" run "$work/script.lua" --trials 2 --quiet --pruner "$pruner"
done

# --- the others ---

if command -v zsh >/dev/null 2>&1; then
  check "zsh has no mistake" zsh -n "$folder/lmopt.zsh"
else
  skip "zsh has no mistake" "there is no zsh"
fi
if command -v fish >/dev/null 2>&1; then
  check "fish has no mistake" fish --no-execute "$folder/lmopt.fish"
  fish_offers() { # EXPECTED LINE
    PATH=$BUILD:$PATH HOME=$work fish --no-config -c "cd $work; source $folder/lmopt.fish; complete -C'$2'" | cut -f 1 | LC_ALL=C sort |
      tr '\n' ' ' | sed 's/ $//' >"$work/fish"
    [ "$(cat "$work/fish")" = "$1" ] || { cat "$work/fish"; return 1; }
  }
  check "fish: commands" fish_offers "cache export help run study trial version" "lmopt "
  check "fish: subcommands" fish_offers "best export importance ls rm show" "lmopt study "
  check "fish: samplers" fish_offers "auto brute_force cmaes gp nsga2 nsga3 qmc random repeated restart tpe" "lmopt run script.lua --sampler "
  check "fish: studies" fish_offers "first one second" "lmopt study show study.db "
else
  skip "fish" "there is no fish"
fi

conclude
