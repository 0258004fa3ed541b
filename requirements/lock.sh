#!/bin/sh
# Renew the lock files: run.txt and server.txt are subsets of dev.txt, so all of them agree.
set -eu
uv=$1
compile() {
  "$uv" pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
    --custom-compile-command "make lock" "$@"
}
compile pyproject.toml requirements/build.in --group dev --extra server --extra embedded -o requirements/dev.txt
compile pyproject.toml requirements/build.in --extra server --extra embedded -c requirements/dev.txt -o requirements/run.txt
compile pyproject.toml --extra server -c requirements/dev.txt -o requirements/server.txt
compile requirements/uv.in -o requirements/uv.txt
