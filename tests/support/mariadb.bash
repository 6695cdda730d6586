# A throw-away MariaDB server for tests. To be sourced after postgres.bash, whose `say` and `free_port` it uses.
#
# start_mariadb sets MARIADB_URL (an administrator's), or leaves it empty where there is no server and none may be
# installed; stop_mariadb ends that very server by its process id and removes its folder. The server listens on
# 127.0.0.1 alone and does not sync to disk: nothing in it is worth keeping.

find_mariadb() {
    command -v mariadbd || ls /usr/sbin/mariadbd /usr/libexec/mariadbd 2>/dev/null | head -n 1 || true
}

install_mariadb() {
    local -a as_root=()
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || return 0
        as_root=(sudo -n)
    fi
    command -v apt-get >/dev/null || return 0
    say "MariaDB is missing: installing it with apt-get"
    "${as_root[@]}" apt-get update -qq >&2 || true
    # Debian would start a server of its own: a policy that says no for this one call.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod +x "$policy"
    else
        policy=
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server >&2 || true
    [ -z "$policy" ] || "${as_root[@]}" rm -f "$policy"
}

# Root would have to be asked for; the package's own user is there.
as_mariadb() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u mysql -- "$@"
    else
        "$@"
    fi
}

start_mariadb() {
    MARIADB_URL=
    local server port password install
    server=$(find_mariadb)
    if [ -z "$server" ]; then
        install_mariadb
        server=$(find_mariadb)
    fi
    if [ -z "$server" ]; then
        say "no MariaDB server: tests of the destination mariadb are skipped (Debian, Ubuntu: mariadb-server)"
        return 0
    fi
    MARIADB_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/backhaul-mariadb.XXXXXX")
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf "CREATE USER backhaul@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO backhaul@'%%' WITH GRANT OPTION;\n" \
        "$password" >"$MARIADB_FOLDER/init.sql"
    if [ "$(id -u)" = 0 ]; then
        chown -R mysql "$MARIADB_FOLDER"
    fi
    install=$(command -v mariadb-install-db || command -v mysql_install_db)
    as_mariadb "$install" --no-defaults --auth-root-authentication-method=normal --skip-test-db \
        --datadir="$MARIADB_FOLDER/data" >"$MARIADB_FOLDER/install.log" 2>&1 \
        || { cat "$MARIADB_FOLDER/install.log" >&2; return 1; }
    port=$(free_port)
    as_mariadb "$server" --no-defaults --datadir="$MARIADB_FOLDER/data" --bind-address=127.0.0.1 --port="$port" \
        --socket="$MARIADB_FOLDER/socket" --pid-file="$MARIADB_FOLDER/pid" --init-file="$MARIADB_FOLDER/init.sql" \
        --skip-name-resolve --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=64M \
        --max-connections=200 --max-allowed-packet=1M >"$MARIADB_FOLDER/server.log" 2>&1 &
    # Its pid file comes once it listens: this very server has answered.
    for _ in $(seq 300); do
        [ ! -s "$MARIADB_FOLDER/pid" ] || break
        sleep 0.1
    done
    [ -s "$MARIADB_FOLDER/pid" ] || { cat "$MARIADB_FOLDER/server.log" >&2; return 1; }
    MARIADB_PID=$(cat "$MARIADB_FOLDER/pid")
    MARIADB_URL="mariadb://backhaul:$password@127.0.0.1:$port"
    say "MariaDB $("$server" --version | grep -o '[0-9][0-9.]*-MariaDB' | head -n 1) on port $port, process $MARIADB_PID"
}

stop_mariadb() {
    if [ -n "${MARIADB_PID:-}" ]; then
        kill -TERM "$MARIADB_PID" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 "$MARIADB_PID" 2>/dev/null || break
            sleep 0.1
        done
        MARIADB_PID=
    fi
    if [ -n "${MARIADB_FOLDER:-}" ]; then
        rm -rf "$MARIADB_FOLDER"
        MARIADB_FOLDER=
    fi
}
