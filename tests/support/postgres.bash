# A throw-away PostgreSQL server for tests and benchmarks. To be sourced.
#
# start_postgres sets POSTGRES_URL (a superuser's) and POSTGRES_BIN; stop_postgres ends that very server by its
# process id and removes its folder. The server listens on 127.0.0.1 alone, asks for a password, and does not sync
# to disk: nothing in it is worth keeping.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# The newest installed server's folder, or nothing.
find_postgres() {
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql*/ 2>/dev/null | sort -V | tail -n 1) || true
    if [ -n "$found" ] && [ -x "$found/postgres" ]; then
        printf '%s\n' "${found%/}"
    elif command -v postgres >/dev/null && command -v initdb >/dev/null; then
        dirname "$(readlink -f "$(command -v postgres)")"
    fi
}

install_postgres() {
    local -a as_root=()
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            say "PostgreSQL is missing, and only root may install it."
            say "Install its server (Debian, Ubuntu: postgresql; Fedora: postgresql-server; Alpine: postgresql) and run this again."
            return 1
        fi
        as_root=(sudo -n)
    fi
    say "PostgreSQL is missing: installing it with the system's package manager"
    if command -v apt-get >/dev/null; then
        # Without this, Debian would also make and start a cluster of its own.
        "${as_root[@]}" mkdir -p /etc/postgresql-common
        if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
            printf 'create_main_cluster = false\n' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
        fi
        "${as_root[@]}" apt-get update -qq >&2
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >&2
    elif command -v dnf >/dev/null; then
        "${as_root[@]}" dnf install -y -q postgresql-server >&2
    elif command -v apk >/dev/null; then
        "${as_root[@]}" apk add -q postgresql >&2
    else
        say "None of apt-get, dnf and apk is here: install a PostgreSQL server and run this again."
        return 1
    fi
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 20000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return
        fi
    done
    say "no free port was found"
    return 1
}

start_postgres() {
    POSTGRES_BIN=$(find_postgres)
    if [ -z "$POSTGRES_BIN" ]; then
        install_postgres
        POSTGRES_BIN=$(find_postgres)
        [ -n "$POSTGRES_BIN" ] || { say "PostgreSQL was installed but its server is not to be found"; return 1; }
    fi
    local port password
    POSTGRES_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/backhaul-postgres.XXXXXX")
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s\n' "$password" >"$POSTGRES_FOLDER/password"
    if [ "$(id -u)" = 0 ]; then
        chown -R postgres "$POSTGRES_FOLDER"
    fi
    (cd "$POSTGRES_FOLDER" && as_postgres "$POSTGRES_BIN/initdb" --no-sync --auth=scram-sha-256 --username=backhaul \
        --pwfile="$POSTGRES_FOLDER/password" --encoding=UTF8 --locale=C --pgdata="$POSTGRES_FOLDER/data") \
        >"$POSTGRES_FOLDER/initdb.log" 2>&1 || { cat "$POSTGRES_FOLDER/initdb.log" >&2; return 1; }
    port=$(free_port)
    (cd "$POSTGRES_FOLDER" && as_postgres "$POSTGRES_BIN/pg_ctl" start --silent --wait --timeout=60 \
        --pgdata="$POSTGRES_FOLDER/data" --log="$POSTGRES_FOLDER/server.log" --options="-p $port -k '$POSTGRES_FOLDER' \
        -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
        -c max_connections=200 ${POSTGRES_OPTIONS:-}") \
        || { cat "$POSTGRES_FOLDER/server.log" >&2; return 1; }
    # The first line of this file is the server's process id: pg_ctl has waited until this very server answered.
    POSTGRES_PID=$(head -n 1 "$POSTGRES_FOLDER/data/postmaster.pid")
    POSTGRES_URL="postgres://backhaul:$password@127.0.0.1:$port/postgres"
    say "PostgreSQL $("$POSTGRES_BIN/postgres" --version | grep -o '[0-9][0-9.]*' | head -n 1) on port $port, process $POSTGRES_PID"
}

stop_postgres() {
    if [ -n "${POSTGRES_PID:-}" ]; then
        # SIGINT: a fast shutdown.
        kill -INT "$POSTGRES_PID" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 "$POSTGRES_PID" 2>/dev/null || break
            sleep 0.1
        done
        POSTGRES_PID=
    fi
    if [ -n "${POSTGRES_FOLDER:-}" ]; then
        rm -rf "$POSTGRES_FOLDER"
        POSTGRES_FOLDER=
    fi
}
