#!/usr/bin/env bash
# Runs a command with the servers that the tests talk to: those that are installed and do not run yet are started before,
# at their usual ports of this machine, and ended after. What is missing is told, and the tests say what they skip.
set -euo pipefail

say() { printf '==> %s\n' "$*" >&2; }

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

comes_up() {
    for _ in $(seq 1200); do
        if answers "$1"; then return 0; fi
        sleep 0.1
    done
    say "$2 was started and does not answer at port $1"
    return 1
}

home=$(mktemp -d)
ends=()
end_all() {
    local each
    for each in "${ends[@]:-}"; do [ -z "$each" ] || eval "$each" >/dev/null 2>&1 || true; done
    rm -rf "$home"
}
trap end_all EXIT

start_redis() {
    redis-server --port 6379 --bind 127.0.0.1 --save "" --appendonly no --daemonize yes --dir "$home" >/dev/null
    ends+=("redis-cli -p 6379 shutdown nosave")
    comes_up 6379 Redis
}

start_rabbitmq() {
    rabbitmq-server -detached >/dev/null 2>&1
    ends+=("rabbitmqctl stop")
    comes_up 5672 RabbitMQ
}

start_postgres() {
    local programs as
    programs=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
    # Postgres refuses to run as root.
    as=(env)
    if [ "$(id -u)" = 0 ]; then
        as=(runuser -u postgres --)
        mkdir "$home/postgres" && chown postgres "$home/postgres" && chmod 755 "$home"
    fi
    "${as[@]}" "$programs/initdb" -D "$home/postgres/data" -U root -A trust >/dev/null
    # The processes of one chaos case take some 35 connections, and there are as many cases at once as cores.
    "${as[@]}" "$programs/pg_ctl" -D "$home/postgres/data" -l "$home/postgres/log" -w \
        -o "-p 5432 -h 127.0.0.1 -k $home/postgres -N 500" start >/dev/null
    ends+=("${as[*]} $programs/pg_ctl -D $home/postgres/data -m fast stop")
    comes_up 5432 Postgres
}

try() {
    local name=$1 port=$2 program=$3 start=$4
    if answers "$port"; then return 0; fi
    if compgen -G "$program" >/dev/null || command -v "$program" >/dev/null; then
        say "Starting $name for the tests"
        "$start" || say "$name could not be started: what needs it is skipped"
    else
        say "$name is not installed: what needs it is skipped (apt-get install $5)"
    fi
}

try Redis 6379 redis-server start_redis redis-server
try RabbitMQ 5672 rabbitmq-server start_rabbitmq rabbitmq-server
try Postgres 5432 "/usr/lib/postgresql/*/bin/initdb" start_postgres postgresql

"$@"
