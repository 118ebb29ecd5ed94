#!/bin/sh
# Create .venv and install the locked packages, with uv if available, else with pip.
# Does nothing if no requirements file has changed since the last run. Other make targets call this script.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.installed
state=$(cat requirements.lock requirements-torch.txt pyproject.toml scripts/install.sh | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ]; then exit 0; fi

fail() { printf '%s\n' "$*" >&2; exit 2; }

find_python() {
  for name in ${PYTHON:-} python3 python3.12 python3.13 python3.11 python; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$name"; return
    fi
  done
  fail "vigie needs Python 3.11, 3.12 or 3.13 on the PATH (or set one: make PYTHON=/path/to/python3.12)"
}

# uv does not read pip's configuration, so a mirror or a folder of wheels set there is passed on.
pip_config() { "$python" -m pip config get "global.$1" 2>/dev/null || true; }

python=$(find_python)
started=$(date +%s)
if command -v uv >/dev/null 2>&1; then
  uv=uv
  "$uv" venv --quiet --allow-existing --python "$python" .venv
else
  [ -x .venv/bin/python ] || "$python" -m venv .venv ||
    fail "'$python -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv"
  uv=.venv/bin/uv
  [ -x "$uv" ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep -m1 -o '^uv==[^ ]*' requirements.lock)" || uv=
fi

if [ -n "$uv" ]; then
  export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(pip_config index-url)}}"
  [ -n "$UV_DEFAULT_INDEX" ] || unset UV_DEFAULT_INDEX
  install() { "$uv" pip install --quiet --python .venv "$@"; }
else
  install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }
fi

echo "Installing the locked packages (about 2.5 GB on disk) ..."
install --require-hashes -r requirements.lock

torch_is_there() { .venv/bin/python -I -c 'import importlib.metadata as m, re, sys
want = re.search(r"^torch==(\S+)", open("requirements-torch.txt").read(), re.M)[1]
sys.exit(m.version("torch").split("+")[0] != want)' 2>/dev/null; }

install_torch() {
  wheels="${PIP_FIND_LINKS:-${UV_FIND_LINKS:-$(pip_config find-links)}}"
  case "$(uname -s)" in
    Linux)
      if [ -n "$wheels" ] && install --no-index --no-deps --find-links "$wheels" -r requirements-torch.txt 2>/dev/null; then
        echo "torch: installed the wheel from $wheels"; return; fi
      echo "Looking for the CPU build of torch (200 MB) ..."
      if [ -n "$uv" ] && install --torch-backend=cpu -r requirements-torch.txt 2>/dev/null; then
        echo "torch: installed the CPU build"; return; fi
      if [ -z "$uv" ] && install --index-url https://download.pytorch.org/whl/cpu -r requirements-torch.txt 2>/dev/null; then
        echo "torch: installed the CPU build"; return; fi
      echo "torch: the index of CPU builds does not answer; installing the CUDA build of the package index (3.5 GB more on disk) ..." ;;
  esac
  install -r requirements-torch.txt
}
torch_is_there || install_torch

install --no-deps --no-build-isolation -e .
printf '%s' "$state" > "$stamp"
echo "Installed in $(($(date +%s) - started)) s: $(du -sh .venv | cut -f1) in .venv"
