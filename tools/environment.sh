#!/bin/sh
# Brings .venv up to date for one job: `sh tools/environment.sh base` or `sh tools/environment.sh dev`.
# Needs a Python of 3.11 or newer and nothing else; run it from the project's root (the Makefile does).
set -eu

profile=${1:?usage: environment.sh base|dev}
case $profile in
  base) what='.' size='about a minute' ;;
  dev) what='.[dev]' size='a few minutes: torch is large' ;;
  *) echo "environment.sh: unknown profile '$profile'; known: base, dev" >&2; exit 2 ;;
esac

# A name on PATH may be a shim for a version that is not there, so each candidate has to run.
is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if is_new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  found=$(${PYTHON:-python3} -V 2>/dev/null || echo 'no Python')
  echo "umekomi needs Python 3.11 or newer and found $found: install one, or name it: make PYTHON=/path/to/python3.12" >&2
  return 2
}

# Environments that other tools made may lack pip; they are used all the same.
has_pip() {
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null 2>&1
}

if ! is_new_enough .venv/bin/python || ! has_pip; then
  python=$(find_python)
  echo "==> creating .venv with $("$python" -V)"
  # --clear: what is there is half an environment, or one whose Python is gone.
  "$python" -m venv --clear .venv || {
    echo "this Python cannot make environments: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2
    exit 2
  }
fi

echo "==> installing umekomi ($profile) into .venv, $size"
# The environment variables reach the build of packages too, under the name that each version of pip reads.
PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
  .venv/bin/python -m pip install -qq --editable "$what"

touch .venv/.installed-base
if [ "$profile" = dev ]; then touch .venv/.installed-dev; fi
