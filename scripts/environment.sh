# Sourced by the other scripts: find a Python, and make a virtual environment from a lock.

find_python() { # print the first Python that is new enough; PYTHON=… chooses one
  local candidate
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo 'sketch-migrate needs Python 3.11 or newer, and none was found on the path.' >&2
  echo 'Install one, or name it: PYTHON=/path/to/python3.12' "$0" >&2
  return 2
}

make_environment() { # DIRECTORY LOCK: reused as long as the lock stays the same
  local directory=$1 lock=$2 python stamp
  python=$(find_python) || return
  stamp="$("$python" --version) $(cksum <"$lock") $PWD"
  if [[ -f $directory/made-from && $(<"$directory/made-from") == "$stamp" ]]; then
    return
  fi
  echo "Making $directory from $lock (once; it downloads) …" >&2
  rm -rf "$directory"
  if ! "$python" -m venv "$directory" >/dev/null 2>&1; then
    echo "$python cannot make virtual environments." >&2
    echo "On Debian and Ubuntu: apt-get install python3-venv. Then run $0 again." >&2
    rm -rf "$directory"
    return 2
  fi
  local pip=("$directory/bin/python" -m pip install --quiet --disable-pip-version-check --no-input)
  "${pip[@]}" --require-hashes -r "$lock"
  "${pip[@]}" --no-deps --no-build-isolation --editable .
  echo "$stamp" >"$directory/made-from"
}
