#!/bin/sh
# .env.example with the secrets that have no default, made here: deploy/env.sh >.env
set -eu
umask 077
while IFS= read -r line; do
  case $line in
    [A-Z]*=) line=$line$(openssl rand -hex 32) ;;
  esac
  printf '%s\n' "$line"
done <"$(dirname "$0")/../.env.example"
