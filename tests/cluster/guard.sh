# Keeps one PostgreSQL: sh -c THIS guard BIN FOLDER. Does what it is told a line at a time, answers each with a code, and
# when nobody can tell it anything any more (also because they were killed) leaves nothing behind.
bin=$1 folder=$2
# Nobody may be there to read an answer; what is said last is not worth dying for.
trap '' PIPE

start() {
  "$bin/pg_ctl" -D "$folder/data" -w -t 60 -l "$folder/log" -o "$1" start
}

# As when the machine loses it: nothing is said to anybody, and no session answers once more. Stopped first, so that it
# makes no further processes while we look for those it has.
crash() {
  kill -STOP "$1" || return
  children=$(grep -l "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status | cut -d / -f 3)
  # One that is gone by now is as good.
  kill -9 $children
  kill -9 "$1"
}

while read -r verb options; do
  case $verb in
    init) "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --no-locale --no-sync --no-instructions ;;
    start) start "$options" ;;
    # What is left of the one that was killed goes by itself, but not at once.
    again) for _ in 1 2 3 4 5 6 7 8 9; do start "$options" && break || sleep 0.3; done || start "$options" ;;
    stop) "$bin/pg_ctl" -D "$folder/data" -w -t 60 -m "$options" stop ;;
    kill) crash "$(head -n 1 "$folder/data/postmaster.pid")" ;;
    *) false ;;
  esac </dev/null >"$folder/said" 2>&1
  echo $?
done
"$bin/pg_ctl" -D "$folder/data" -w -t 60 -m immediate stop </dev/null >/dev/null 2>&1
rm -rf "$folder"
