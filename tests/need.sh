#!/usr/bin/env bash
# Finds what a command needs, installs what it may, and names the command that mends the rest.
#   tests/need.sh build     a C compiler and make, for the Kafka client library
#   tests/need.sh servers   Java and Maven for Apache Kafka, Python for a public Salesforce client
#   tests/need.sh browser   Chromium and Node.js, for the pages
# Postgres is found, or fetched as a package, by the servers that use it.
set -euo pipefail

missing=()

# Packages of this machine are installed only by root with apt-get; everybody else is told the command.
install() { # what, apt packages...
  local what=$1
  shift
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "need: installing $what ($*)"
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >/tmp/concord-need.log 2>&1; then
      tail -n 5 /tmp/concord-need.log >&2
      missing+=("$what: apt-get install $* failed, see above")
    fi
  else
    missing+=("$what is missing; install it with: sudo apt-get install -y $*")
  fi
}

for part in "$@"; do
  case $part in
    build)
      command -v cargo >/dev/null || missing+=("cargo is missing; install Rust with: curl --proto '=https' -sSf https://sh.rustup.rs | sh")
      command -v cc >/dev/null && command -v make >/dev/null && command -v c++ >/dev/null || install "a C and C++ compiler" build-essential
      ;;
    servers)
      command -v java >/dev/null || install "Java" openjdk-17-jre-headless
      command -v mvn >/dev/null || install "Maven" maven
      python3 -c 'import venv' 2>/dev/null || install "Python with venv" python3 python3-venv
      ;;
    browser)
      command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || install "Chromium" chromium
      command -v node >/dev/null && command -v npm >/dev/null || install "Node.js" nodejs npm
      ;;
    *)
      echo "need: unknown part $part (build, servers, browser)" >&2
      exit 2
      ;;
  esac
done

if [ ${#missing[@]} -gt 0 ]; then
  printf 'need: %s\n' "${missing[@]}" >&2
  exit 1
fi
