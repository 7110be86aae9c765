# Watches over one private server. Standard input is a pipe from the process that wants the server; while that
# process lives the pipe is open. Lines on it are orders; its end, however it comes about, means: stop the server,
# remove its directory, go.
# Arguments: the directory to make, the signal that stops the server at once, then the server's command.
umask 077
dir=$1
final=$2
shift 2
pid=
trap : INT TERM HUP

stop() {
    [ -n "$pid" ] || return 0
    kill -s "$1" "$pid" 2>/dev/null
    kill -s CONT "$pid" 2>/dev/null
    (
        waited=0
        while [ "$waited" -lt 100 ]; do
            kill -0 "$pid" 2>/dev/null || exit 0
            sleep 0.1
            waited=$((waited + 1))
        done
        kill -s KILL "$pid" 2>/dev/null
    ) >/dev/null 2>&1 </dev/null &
    watcher=$!
    wait "$pid" 2>/dev/null
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    pid=
}

mkdir "$dir" || exit 1
echo made
while read -r order signal; do
    case $order in
    start)
        "$@" </dev/null >>"$dir/server.log" 2>&1 &
        pid=$!
        echo "$pid"
        ;;
    stop)
        stop "$signal"
        echo stopped
        ;;
    signal)
        kill -s "$signal" "$pid"
        echo sent
        ;;
    esac
done
stop "$final"
tries=0
until rm -rf "$dir" || [ "$tries" -ge 20 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
