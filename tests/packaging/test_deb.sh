#!/bin/sh
# make deb: the packages, installed below a root of their own by dpkg, and used from there.
. "$(dirname "$0")/tap.sh"

if ! command -v dpkg-shlibdeps >/dev/null 2>&1; then
  skip "make deb" "there is no dpkg-dev"
  conclude
  exit
fi

root=$work/root
prefix=$root/usr
packages="liblmopt-dev lmopt lua-lmopt"

check "make deb" run_make deb
(cd "$BUILD/deb" && ls) >"$work/actual"
for package in $packages; do echo "${package}_$version-1_$(dpkg --print-architecture).deb"; done >"$work/expected"
check "three packages, and nothing else" same "$work/expected" "$work/actual"

(cd "$BUILD/deb" && cksum ./*.deb) >"$work/expected"
run_make deb >/dev/null
(cd "$BUILD/deb" && cksum ./*.deb) >"$work/actual"
check "the same bytes again" same "$work/expected" "$work/actual"

# --- what they say of themselves ---

field() { dpkg-deb -f "$BUILD/deb/$1_"*.deb "$2"; }
depends() { field "$1" "${3:-Depends}" | grep -Eq "(^|, )$2( |,|\$)"; }
for library in libc6 libsqlite3-0 libcurl4 ca-certificates; do
  case $library in
    libc6 | ca-certificates) pattern=$library ;;
    *) pattern="$library(t64)?" ;;
  esac
  check "lmopt depends on $library" depends lmopt "$pattern"
  check "lua-lmopt depends on $library" depends lua-lmopt "$pattern"
done
check "lua-lmopt depends on lua5.4" depends lua-lmopt lua5.4
for package in $packages; do
  check "$package names what is inside it" depends "$package" lua5.4 Built-Using
done
# Whoever installs liblmopt-dev can build.
for name in $(PKG_CONFIG_PATH=$BUILD/stage/lib/pkgconfig pkg-config --print-requires lmopt); do
  owner=$(dpkg-query -S "$(pkg-config --variable=pcfiledir "$name")/$name.pc" | cut -d : -f 1)
  check "liblmopt-dev depends on $owner, for $name" depends liblmopt-dev "$owner"
done

# --- installed ---

mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/triggers"
: >"$root/var/lib/dpkg/status"
if [ "$(id -u)" = 0 ]; then
  check "dpkg installs them" dpkg --root="$root" --log="$work/log" --force-depends -i "$BUILD"/deb/*.deb
  check "dpkg finds every file as it was packed" nothing dpkg --root="$root" --verify
else
  unpack() { for package in "$BUILD"/deb/*.deb; do dpkg-deb -x "$package" "$root" || return 1; done; }
  check "dpkg-deb unpacks them" unpack
fi

check "lmopt runs" sh -c '"$1" version | grep -qxF "lmopt $2"' sh "$prefix/bin/lmopt" "$version"
check "lmopt optimises" "$prefix/bin/lmopt" run examples/objective.lua --trials 5 --quiet --storage "$work/study.db"
check "lmopt asks its model" "$prefix/bin/lmopt" run examples/model.lua --trials 1 --quiet --lm offline

cat >"$work/module.lua" <<'END'
local lmopt = require "lmopt"
local study = lmopt.load_study { storage = arg[1], name = lmopt.list_studies(arg[1])[1].name }
assert(#study.trials == 5)
END
module() { # where the package's Lua looks, below the root
  env -i PATH="$PATH" LUA_PATH= LUA_CPATH="$prefix/lib/$multiarch/lua/5.4/?.so" "${LUA:-lua5.4}" "$@"
}
check "require \"lmopt\" works" module "$work/module.lua" "$work/study.db"
check "the module is where Debian's Lua looks" sh -c '"$1" -e "print(package.cpath)" | tr ";" "\n" | grep -qx "$2"' sh \
  "${LUA:-lua5.4}" "/usr/lib/$multiarch/lua/5.4/?.so"

printf '#include <lmopt.h>\nint main(void) { return lmopt_version()[0] == 0; }\n' >"$work/host.c"
host() {
  # shellcheck disable=SC2046 # a list of words
  ${CC:-cc} -o "$work/host" "$work/host.c" $(PKG_CONFIG_PATH=$prefix/lib/$multiarch/pkgconfig \
    pkg-config --define-variable=prefix="$prefix" --cflags --libs lmopt) && "$work/host"
}
check "a program builds with liblmopt-dev, and runs" host
check "the manual is there" sh -c 'gzip -dc "$1" | grep -q "^\.Dt LMOPT 1"' sh "$prefix/share/man/man1/lmopt.1.gz"

documented() { [ -s "$prefix/share/doc/$1/copyright" ] && gzip -dc "$prefix/share/doc/$1/changelog.Debian.gz" | head -n 1 | grep -q "$version"; }
for package in $packages; do check "$package has its copyright and changelog" documented "$package"; done
check "no folder of this machine in any file" nothing grep -rlF -e "$PWD" -e "$BUILD" "$prefix"

conclude
