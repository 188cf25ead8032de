--- Writes the completions of one shell, from the declarations that the command line's own help is made of:
--
--   lmopt run packaging/completions.lua -- bash|zsh|fish
local pruners = require "lmopt.pruners"
local samplers = require "lmopt.samplers"

local shell = ...

-- --- what there is to complete ---

---@class completions.Item a value: of an option, or by position
---@field label string what the help calls it
---@field kind? "storage"|"script"|"study"|"file"|"words" nil: nothing that could be listed
---@field words? string[]
---@field several? boolean words with commas between

---@class completions.Option: completions.Item
---@field name string
---@field short? string
---@field help string one line

---@class completions.Command
---@field path string as typed: "study show"
---@field summary string one line
---@field options completions.Option[]
---@field positionals completions.Item[]

-- What may be given as a bare name.
local function names_in(module, is_name)
  local names = {}
  for name in pairs(module) do
    if is_name(name) and pcall(module.resolve, name, "") then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local WORDS = {
  sampler = samplers.names(), -- each is loaded when it is used, so they can't be looked up
  pruner = names_in(pruners, function(name) return name ~= "resolve" and name ~= "is_built" end),
  lm = { "offline", "openai/" },
}
local KINDS = { SCRIPT = "script", STORAGE = "storage", NAME = "study", study = "study", output = "file" }

local function one_line(text) return (text:gsub("%s*\n%s*", " ")) end

-- The first sentence; the full stop goes too.
local function sentence(text) return (one_line(text):gsub("%.%s.*$", ""):gsub("%.$", "")) end

local function item(declared)
  local words = declared.choices or WORDS[declared.name]
  return {
    label = declared.value or declared.name,
    kind = words and "words" or declared.type == "storage" and "storage" or KINDS[declared.name],
    words = words,
    several = declared.type == "list",
  }
end

local function describe(declared)
  local options, positionals = {}, {}
  for i, option in ipairs(declared.options) do
    local made = option.value and item(option) or {}
    made.name, made.short, made.help, made.value = option.name, option.short, one_line(option.help), option.value
    options[i] = made
  end
  options[#options + 1] = { name = "help", short = "h", help = "show this command's help" }
  for i, positional in ipairs(declared.positionals) do positionals[i] = item(positional) end
  return { path = declared.name, summary = sentence(declared.summary), options = options, positionals = positionals }
end

-- The overview has the order; the modules have the declarations.
local function collect()
  local cli, overview = require "lmopt.cli", {}
  cli({ "help" }, { write = function(text) overview[#overview + 1] = text end })
  local top, commands = {}, {}
  local rows = table.concat(overview):match "^[^\n]*\n\n(.-)\n\n"
  for name, summary in (rows .. "\n"):gmatch "  (%l+) +([^\n]+)\n" do
    top[#top + 1] = { name = name, summary = summary:gsub("%s*:.*$", "") }
    local found, module = pcall(require, "lmopt.cli." .. name)
    if not found then
      commands[#commands + 1] = describe { name = name, summary = summary, options = {}, positionals = {} }
    elseif module.order then
      top[#top].subcommands = {}
      for i, word in ipairs(module.order) do
        commands[#commands + 1] = describe(module[word].command)
        top[#top].subcommands[i] = { name = word, summary = commands[#commands].summary }
      end
    else
      commands[#commands + 1] = describe(module.command)
    end
  end
  return top, commands
end

local top, commands = collect()

local function names_of(list)
  local names = {}
  for i, entry in ipairs(list) do names[i] = entry.name end
  return table.concat(names, " ")
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local lines = {}
local function say(format, ...) lines[#lines + 1] = select("#", ...) == 0 and format or format:format(...) end

local write = {}

-- --- bash ---

local BASH_VALUE = {
  storage = "_lmopt_files 'db|sqlite|sqlite3'", script = "_lmopt_files lua", file = "_lmopt_files '*'",
  study = '_lmopt_studies "$storage"',
}

local function bash_value(value)
  if value.kind == "words" then
    return ("%s %s"):format(value.several and "_lmopt_list" or "_lmopt_words", quote(table.concat(value.words, " ")))
  end
  return BASH_VALUE[value.kind] or ":"
end

local function bash_flags(options, only_values)
  local flags = {}
  for _, option in ipairs(options) do
    if option.value or not only_values then
      flags[#flags + 1] = "--" .. option.name
      if option.short and only_values then flags[#flags + 1] = "-" .. option.short end
    end
  end
  return flags
end

-- One command: its options, those that take a value, the values, the positions.
local function bash_command(command)
  say("    %s)", quote(command.path))
  say("      options=%s", quote(table.concat(bash_flags(command.options), " ")))
  say("      valued=%s", quote(" " .. table.concat(bash_flags(command.options, true), " ") .. " "))
  say "      _lmopt_scan"
  say "      case $option in"
  for _, option in ipairs(command.options) do
    if option.value then
      local short = option.short and "|-" .. option.short or ""
      say("        --%s%s) %s; return ;;", option.name, short, bash_value(option))
    end
  end
  say "      esac"
  say "      [[ $cur == -* ]] && { _lmopt_words \"$options\"; return; }"
  say "      case ${#positionals[@]} in"
  for i, positional in ipairs(command.positionals) do say("        %d) %s ;;", i - 1, bash_value(positional)) end
  say "      esac"
  say "      ;;"
end

function write.bash()
  say [==[
# bash completion for lmopt. Made by packaging/completions.lua.

# Fills COMPREPLY with the words that begin as what is typed.
_lmopt_words() {
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
  return 0
}

# The same, after the last comma.
_lmopt_list() {
  local done=
  [[ $cur == *,* ]] && done=${cur%,*},
  COMPREPLY=($(compgen -P "$done" -W "$1" -- "${cur##*,}"))
}

# Files with one of the endings (a|b), and folders.
_lmopt_files() {
  local file
  compopt -o filenames 2>/dev/null
  while IFS= read -r file; do
    if [[ -d $file || $1 == '*' || "|$1|" == *"|${file##*.}|"* ]]; then COMPREPLY+=("$file"); fi
  done < <(compgen -f -- "$cur")
}

# The studies of a storage.
_lmopt_studies() {
  local name
  [[ -n $1 ]] || return 0
  while IFS= read -r name; do
    [[ $name == "$cur"* ]] && COMPREPLY+=("$(printf %q "$name")")
  done < <("${COMP_WORDS[0]}" study ls "${1/#\~\//$HOME/}" 2>/dev/null | sed -e 1d -e 's/  .*//')
  return 0
}

# Walks over the words after the command: sets positionals, storage, and the option whose value is typed.
_lmopt_scan() {
  local word previous=
  for word in "${words[@]}"; do
    if [[ -n $previous ]]; then
      [[ $previous == --storage ]] && storage=$word
      previous=
    elif [[ $word == --*=* ]]; then
      [[ $word == --storage=* ]] && storage=${word#*=}
    elif [[ $word == -* ]]; then
      [[ $valued == *" $word "* ]] && previous=$word
    else
      positionals+=("$word")
    fi
  done
  option=$previous
  [[ -z $storage ]] && storage=${positionals[0]}
  return 0
}

_lmopt() {
  local cur=${COMP_WORDS[COMP_CWORD]} command= options= valued= option= storage= i
  local -a words=() positionals=()
  COMPREPLY=()
  # bash has made --name=value three words.
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ${COMP_WORDS[i]} == = ]] || words+=("${COMP_WORDS[i]}")
  done
  [[ $cur == = ]] && cur=]==]
  say('  [[ ${#words[@]} -eq 0 ]] && { _lmopt_words "%s --help --version"; return; }', names_of(top))
  say '  command=${words[0]}'
  say '  words=("${words[@]:1}")'
  say "  case $command in"
  for _, entry in ipairs(top) do
    if entry.subcommands then
      say("    %s)", entry.name)
      say("      [[ ${#words[@]} -eq 0 ]] && { _lmopt_words '%s --help'; return; }", names_of(entry.subcommands))
      say '      command+=" ${words[0]}"'
      say '      words=("${words[@]:1}")'
      say "      ;;"
    end
  end
  say "    help)"
  say "      case \"${words[*]}\" in"
  say("        '') _lmopt_words '%s' ;;", names_of(top))
  for _, entry in ipairs(top) do
    if entry.subcommands then say("        %s) _lmopt_words '%s' ;;", entry.name, names_of(entry.subcommands)) end
  end
  say "      esac"
  say "      return"
  say "      ;;"
  say "  esac"
  say '  case " ${words[*]} " in *" -- "*) _lmopt_files "*"; return ;; esac # for the script'
  say "  case $command in"
  for _, command in ipairs(commands) do
    if command.path ~= "help" then bash_command(command) end
  end
  say "  esac"
  say "  return 0"
  say "}"
  say "complete -F _lmopt lmopt"
end

-- --- zsh ---

local ZSH_VALUE = {
  storage = "_files -g '*.(db|sqlite|sqlite3)(-.)'", script = "_files -g '*.lua(-.)'", file = "_files", study = "_lmopt_studies",
}

local function zsh_value(value)
  if value.kind == "words" then
    local words = table.concat(value.words, " ")
    return value.several and ("_values -s , %s %s"):format(value.label, words) or "(" .. words .. ")"
  end
  return ZSH_VALUE[value.kind] or " "
end

local function zsh_text(text) return (text:gsub("[%[%]:\\]", "\\%0")) end

local function zsh_option(option)
  local value = option.value and (":%s:%s"):format(option.label, zsh_value(option)) or ""
  local help = "[" .. zsh_text(option.help) .. "]"
  local long = "--" .. option.name .. (option.value and "=" or "")
  if not option.short then return quote(long .. help .. value) end
  local short = "-" .. option.short .. (option.value and "+" or "")
  return ("'(-%s --%s)'{%s,%s}%s"):format(option.short, option.name, short, long, quote(help .. value))
end

local function zsh_described(variable, list)
  say("  %s=(", variable)
  for _, entry in ipairs(list) do say("    %s", quote(entry.name .. ":" .. zsh_text(entry.summary))) end
  say "  )"
end

local function zsh_command(command)
  say("    %s)", quote(command.path))
  say "      _arguments -s -S \\"
  for _, option in ipairs(command.options) do say("        %s \\", zsh_option(option)) end
  for i, positional in ipairs(command.positionals) do
    say("        %s \\", quote(("%d:%s:%s"):format(i, positional.label, zsh_value(positional))))
  end
  say "        && return"
  say "      ;;"
end

function write.zsh()
  say [==[
#compdef lmopt
# zsh completion for lmopt. Made by packaging/completions.lua.

# The studies of the storage that is on the line.
_lmopt_studies() {
  local storage=${opt_args[--storage]:-$line[1]}
  local -a studies
  [[ -n $storage ]] || return 1
  studies=(${(f)"$(_call_program studies lmopt study ls ${(Q)storage} 2>/dev/null | sed -e 1d -e 's/  .*//')"})
  compadd -a studies
}

_lmopt() {
  local curcontext=$curcontext command state
  local -a commands line
  typeset -A opt_args]==]
  zsh_described("commands", top)
  say [==[
  if (( CURRENT == 2 )); then
    _describe -t commands 'lmopt command' commands
    _arguments -s '--help[show the commands]' '--version[print the version]'
    return
  fi
  command=$words[2]
  shift words
  (( CURRENT-- ))]==]
  say "  case $command in"
  for _, entry in ipairs(top) do
    if entry.subcommands then
      say("    %s)", entry.name)
      zsh_described("    commands", entry.subcommands)
      say("      if (( CURRENT == 2 )); then _describe -t commands 'lmopt %s command' commands; return; fi", entry.name)
      say '      command+=" $words[2]"'
      say "      shift words"
      say "      (( CURRENT-- ))"
      say "      ;;"
    end
  end
  say "    help)"
  say "      if (( CURRENT == 2 )); then _describe -t commands 'lmopt command' commands; return; fi"
  for _, entry in ipairs(top) do
    if entry.subcommands then
      say("      if (( CURRENT == 3 )) && [[ $words[2] == %s ]]; then compadd %s; fi", entry.name, names_of(entry.subcommands))
    end
  end
  say "      return"
  say "      ;;"
  say "  esac"
  say "  case $command in"
  for _, command in ipairs(commands) do
    if command.path ~= "help" then zsh_command(command) end
  end
  say "  esac"
  say "}"
  say ""
  say '_lmopt "$@"'
end

-- --- fish ---

local function fish_quote(text) return "'" .. text:gsub("[\\']", "\\%0") .. "'" end

local FISH_VALUE = { study = "__lmopt_studies" }

-- What follows an option or stands at a position: files are completed as fish does, the rest by a list.
local function fish_value(value)
  if value.kind == "words" then return "-x -a " .. fish_quote(table.concat(value.words, " ")) end
  if value.kind == "study" then return "-x -a " .. fish_quote("(" .. FISH_VALUE.study .. ")") end
  if value.kind then return "-r -F" end
  return "-x"
end

local function fish_command(command)
  for _, option in ipairs(command.options) do
    say("complete -c lmopt -n %s -l %s%s%s -d %s", fish_quote("__lmopt_in " .. command.path), option.name,
      option.short and " -s " .. option.short or "", option.value and " " .. fish_value(option) or "", fish_quote(option.help))
  end
  local words = select(2, command.path:gsub("%S+", ""))
  for i, positional in ipairs(command.positionals) do
    local value = fish_value(positional):gsub("^%-[rx] ?", "")
    if value ~= "" then
      local condition = ("__lmopt_in %s; and __lmopt_position %d %d"):format(command.path, words, i)
      say("complete -c lmopt -n %s %s", fish_quote(condition), value)
    end
  end
end

-- The options that take a value: the word after one is no position.
local function fish_valued()
  local flags, seen = {}, {}
  for _, command in ipairs(commands) do
    for _, flag in ipairs(bash_flags(command.options, true)) do
      if not seen[flag] then flags[#flags + 1] = flag end
      seen[flag] = true
    end
  end
  return table.concat(flags, " ")
end

function write.fish()
  say [==[
# fish completion for lmopt. Made by packaging/completions.lua.

# Do the first words after `lmopt` say this command?
function __lmopt_in
    set -l words (commandline -opc)
    set -l last (math 1 + (count $argv))
    test (count $words) -ge $last; or return 1
    test "$words[2..$last]" = "$argv"
end

# The words by position after a command of so many words, one on each line.
function __lmopt_positions]==]
  say("    set -l valued %s", fish_valued())
  say [==[
    set -l words (commandline -opc)
    set -e words[1..(math 1 + $argv[1])]
    set -l skip no
    for word in $words
        if test $skip = yes
            set skip no
        else if contains -- $word $valued
            set skip yes
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# __lmopt_position WORDS N: is the N-th positional of a command of so many words typed?
function __lmopt_position
    test (count (__lmopt_positions $argv[1])) -eq (math $argv[2] - 1)
end

# The studies of the storage that is on the line.
function __lmopt_studies
    set -l words (commandline -opc)
    set -l storage
    if set -l at (contains -i -- --storage $words)
        set storage $words[(math $at + 1)]
    else
        set storage (string match -r -g -- '^--storage=(.*)' $words)
        test -n "$storage"; or set storage (__lmopt_positions 2)[1]
    end
    test -n "$storage"; and lmopt study ls $storage 2>/dev/null | sed -e 1d -e 's/  .*//'
end

complete -c lmopt -f]==]
  local first = fish_quote "test (count (commandline -opc)) -eq 1"
  for _, entry in ipairs(top) do
    say("complete -c lmopt -n %s -a %s -d %s", first, entry.name, fish_quote(entry.summary))
    say("complete -c lmopt -n '__lmopt_in help; and test (count (commandline -opc)) -eq 2' -a %s -d %s", entry.name,
      fish_quote(entry.summary))
    for _, sub in ipairs(entry.subcommands or {}) do
      for _, before in ipairs { entry.name, "help " .. entry.name } do
        local count = 1 + select(2, before:gsub("%S+", ""))
        say("complete -c lmopt -n '__lmopt_in %s; and test (count (commandline -opc)) -eq %d' -a %s -d %s", before, count,
          sub.name, fish_quote(sub.summary))
      end
    end
  end
  say("complete -c lmopt -n %s -l help -d 'show the commands'", first)
  say("complete -c lmopt -n %s -l version -d 'print the version'", first)
  for _, command in ipairs(commands) do
    if command.path ~= "help" then fish_command(command) end
  end
end

if not write[shell] then error("usage: lmopt run packaging/completions.lua -- bash|zsh|fish", 0) end
write[shell]()
io.write(table.concat(lines, "\n"), "\n")
os.exit(true) -- nothing is optimised here
