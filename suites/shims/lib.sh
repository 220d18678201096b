# What uv and uvx share. `shims` is the folder of these scripts.

site=$shims/site

# Ends unless every package of a list is there, in the version asked for.
need_all() {
  local list one
  IFS=, read -ra list <<<"$1"
  for one in "${list[@]}"; do need "$one"; done
}

need() {
  local name=${1%%[=<>!~;]*} version= wanted found
  name=${name%%\[*}
  case $1 in *==*) version=${1##*==} ;; esac
  wanted=$(printf %s "$name" | tr 'A-Z.-' 'a-z__')
  for found in "$site"/*.dist-info; do
    found=${found##*/}
    found=${found%.dist-info}
    if [ "$(printf %s "${found%%-*}" | tr 'A-Z.-' 'a-z__')" = "$wanted" ]; then
      [ -z "$version" ] || [ "${found#*-}" = "$version" ] && return
      echo "uv: $name is here as ${found#*-}, not $version" >&2
      exit 1
    fi
  done
  echo "uv: the package $name is not among those that were prepared" >&2
  exit 1
}

# Says so when another Python is asked for than the one there is.
want_python() {
  local here
  here=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  case $1 in
    "$here" | "$here".* | 3 | python3 | "python$here") ;;
    *) echo "uv: Python $1 was not prepared; this is $here" >&2 ;;
  esac
}

# Runs a program of a package, a script, or whatever else there is.
run_program() {
  local program=${1-}
  [ $# -gt 0 ] || { echo "uv: nothing to run" >&2; exit 2; }
  export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1
  shift
  case $program in
    *.py) exec python3 "$program" "$@" ;;
    python | python3 | python3.*) exec python3 "$@" ;;
  esac
  if [ -f "$site/bin/$program" ]; then
    exec python3 "$site/bin/$program" "$@"
  fi
  exec "$program" "$@"
}
