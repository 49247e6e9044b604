#!/bin/sh
# Installs what tests/browser needs, a Chromium and its driver, where this machine lets us: `sh tools/browser.sh`.
# Where it does not, this says why and ends well: those tests then skip, and say so too.
set -u

if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
  echo "browser: $(chromium --version 2>/dev/null) is here"
  exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "browser: no Chromium with its driver, and no apt-get as root to install it: tests/browser will be skipped"
  exit 0
fi
echo "browser: installing chromium and chromium-driver with apt-get"
export DEBIAN_FRONTEND=noninteractive
if apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null; then
  echo "browser: installed $(chromium --version 2>/dev/null)"
else
  echo "browser: apt-get could not install it: tests/browser will be skipped"
fi
