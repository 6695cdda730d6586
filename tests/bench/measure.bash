# Measures one run of a program against PostgreSQL, and what pairs of runs amount to. To be sourced, after
# tests/support/postgres.bash; wants a running server, its number of processes at rest in $quiet, and the folder $work.

# Peak memory is exact with GNU time; without it the peak is the last one seen.
gnu_time=
if /usr/bin/time --version 2>/dev/null | grep -q GNU; then
    gnu_time=/usr/bin/time
fi

# The processes of the server, and the ticks that those of them which have ended took.
processes() { wc -w <"/proc/$POSTGRES_PID/task/$POSTGRES_PID/children"; }
ended_processes() { awk '{ sub(/.*\) /, ""); print $14 + $15 }' "/proc/$POSTGRES_PID/stat"; }

# Waits until the server has only the processes that serve nobody: `quiet` of them.
await_quiet() {
    while [ "$(processes)" -gt "$quiet" ]; do
        sleep 0.05
    done
}

# measure FILE COMMAND…: runs a command and appends to FILE a line of wall clock, CPU of the program (user + system)
# and CPU of the server's processes that served it, in seconds, and the peak memory in KiB.
measure() {
    local file=$1 before after
    shift
    await_quiet
    before=$(ended_processes)
    TIMEFORMAT='%R %U %S'
    { time peak_of "$@"; } 2>"$work/time" || return
    await_quiet
    after=$(ended_processes)
    awk -v server=$((after - before)) -v tick="$(getconf CLK_TCK)" -v peak="$(tail -n 1 "$work/peak")" \
        'NF == 3 { print $1, $2 + $3, server / tick, peak }' "$work/time" >>"$file"
}

# Runs a command, its output in $work/output, its peak memory in $work/peak.
peak_of() {
    if [ -n "$gnu_time" ]; then
        "$gnu_time" --output="$work/peak" --format='%M' "$@" >"$work/output" 2>&1
        return
    fi
    "$@" >"$work/output" 2>&1 &
    local process=$!
    : >"$work/peak"
    while sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$process/status" >"$work/last" 2>/dev/null && [ -s "$work/last" ]; do
        cp "$work/last" "$work/peak"
        sleep 0.05
    done
    wait "$process"
}

# Sizes of the files below a folder by inode, SQLite's apart: a renamed file counts once, a replaced one anew.
sizes() { find "$1" -type f ! -name '*.db*' -printf '%i %s %f\n' 2>/dev/null || true; }

# written FOLDER COMMAND…: runs a command and prints how many bytes it wrote below FOLDER, by kind. The folder is looked
# at every 20 ms: what is written and deleted in between is missed, as are scratch files, which have no names.
written() {
    local folder=$1 watcher code=0
    shift
    sizes "$folder" >"$work/before"
    : >"$work/during"
    (while sleep 0.02; do sizes "$folder" >>"$work/during"; done) &
    watcher=$!
    "$@" >"$work/output" 2>&1 || code=$?
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    sizes "$folder" >>"$work/during"
    [ "$code" = 0 ] || return "$code"
    awk 'FILENAME ~ /before$/ { was[$1] = $2; next }
        $2 > most[$1] { most[$1] = $2 }
        { name[$1] = $3 }
        END {
            for (file in most) {
                kind = "other"
                if (name[file] ~ /^plan/) kind = "plan"
                if (name[file] ~ /^log/) kind = "log"
                if (name[file] ~ /^(MANIFEST|base-|segment-)/) kind = "snapshot"
                if (most[file] > was[file]) bytes[kind] += most[file] - was[file]
            }
            printf "plan %d, log %d, snapshot %d, other %d\n", bytes["plan"], bytes["log"], bytes["snapshot"], bytes["other"]
        }' "$work/before" "$work/during"
}

# compare OURS PSQL ROWS: first quartile, median and third quartile of what `measure` wrote for both, and of the ratios
# of the pairs.
compare() {
    awk -v rows="$3" '
        function quartile(list, n, q,    at, low) {
            at = 1 + (n - 1) * q
            low = int(at)
            return list[low] + (at - low) * (list[low < n ? low + 1 : n] - list[low])
        }
        function sorted(from, to, n,    i, j, v) {
            for (i = 1; i <= n; i++) {
                v = from[i]
                for (j = i - 1; j >= 1 && to[j] > v; j--) to[j + 1] = to[j]
                to[j + 1] = v
            }
        }
        function show(values, n, format,    s) {
            delete s
            sorted(values, s, n)
            median = quartile(s, n, 0.5)
            spread = median > 0 ? (quartile(s, n, 0.75) - quartile(s, n, 0.25)) / median : 0
            printf format, quartile(s, n, 0.25), median, quartile(s, n, 0.75)
        }
        FNR == NR { wall[FNR] = $1; cpu[FNR] = $2; server[FNR] = $3; if ($4 > peak) peak = $4; next }
        {
            n = FNR
            psql_wall[n] = $1; psql_cpu[n] = $2; psql_server[n] = $3
            wall_ratio[n] = wall[n] / $1
            cpu_ratio[n] = cpu[n] / ($2 > 0 ? $2 : 0.01)
            sum_ratio[n] = (cpu[n] + server[n]) / ($2 + $3 > 0 ? $2 + $3 : 0.01)
        }
        END {
            seconds = "  %8.2f %8.2f %8.2f"
            printf "  %-10s  %-25s  %-25s  %s\n", "", "wall s: q1, median, q3", "client CPU s", "server CPU s"
            printf "  %-10s", "backhaul"
            show(wall, n, seconds); show(cpu, n, seconds); a_row = median / rows * 1e6; show(server, n, seconds)
            printf "\n  %-10s", "psql"
            show(psql_wall, n, seconds); noise = spread; show(psql_cpu, n, seconds); show(psql_server, n, seconds)
            printf "\n  %-10s", "ratio"
            show(wall_ratio, n, seconds); show(cpu_ratio, n, seconds)
            printf "   client + server"
            show(sum_ratio, n, "  %.2f %.2f %.2f")
            printf "\n  client CPU %.3f µs a row of the table, peak memory %.1f MiB\n", a_row, peak / 1024
            if (noise > 0.15) printf "  psql'\''s own wall clock spreads by %.0f %%: measure again on a quieter machine\n", noise * 100
        }' "$1" "$2"
}
