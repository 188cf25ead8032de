# Fills @SYNOPSIS@ of lmopt.3.in with the declarations of lmopt.h:
#   awk -f synopsis.awk src/lmopt.h packaging/man/lmopt.3.in

function flush(  open, type, name, arguments, list, count, i) {
  gsub(/[ \t\n]+/, " ", declaration)
  sub(/^ *LMOPT_API */, "", declaration)
  open = index(declaration, "(")
  type = substr(declaration, 1, open - 1)
  arguments = substr(declaration, open + 1)
  sub(/\) *;.*$/, "", arguments)
  name = type
  sub(/^.*[ *]/, "", name)
  type = substr(type, 1, length(type) - length(name))
  sub(/ +$/, "", type)
  synopsis = synopsis ".Ft \"" type "\"\n.Fo " name "\n"
  count = split(arguments, list, /, */)
  for (i = 1; i <= count; i++) synopsis = synopsis ".Fa \"" list[i] "\"\n"
  synopsis = synopsis ".Fc\n"
  declaration = ""
}

FNR == NR {
  line = $0
  if (line ~ /^LMOPT_API /) inside = 1
  if (inside) {
    gsub(/\/\*.*\*\//, "", line)
    declaration = declaration " " line
    if (line ~ /;/) { flush(); inside = 0 }
  }
  next
}

/^@SYNOPSIS@$/ { printf "%s", synopsis; next }
{ print }
