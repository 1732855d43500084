#!/bin/sh
# Records an install on the emulated box, as a person at a terminal of 80 columns
# sees it, into docs/recording/install.svg: `make recording`.
#
#   record.sh PROGRAM CONFIG
#
# Secrets are in the environment, where the program takes them from; none of them
# is ever printed. Nothing is shown that was not printed: what came within five
# seconds becomes one picture, and time runs 20 times as fast.
set -eu
program=$1 config=$2
here=$(cd "$(dirname "$0")" && pwd)
for tool in tmux:tmux asciinema:asciinema jq:jq npx:npm; do
  command -v "${tool%:*}" >/dev/null || { echo "record.sh: no ${tool%:*} here: apt install ${tool#*:}" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/show" <<SHOW
#!/bin/sh
say() { printf '\033[1m\$ ssg-bootstrap %s\033[0m\n' "\$*"; "$program" --config "$config" "\$@"; }
say install --host oldpc && say install --host oldpc && say status --host oldpc
echo \$? >"$work/exit"
SHOW
chmod +x "$work/show"
# tmux lends the terminal that a run without a person lacks.
tmux -L recording new-session -d -x 80 -y 30 "asciinema rec --quiet --overwrite --cols 80 --rows 30 --command '$work/show' '$work/cast'; tmux -L recording wait-for -S ended"
tmux -L recording wait-for ended
[ "$(cat "$work/exit")" = 0 ] || { echo "record.sh: the run failed:" >&2; tail -n 20 "$work/cast" >&2; exit 1; }

jq -cn --argjson window 5 --argjson speed 20 'input, ([inputs | select(.[1] == "o")]
  | group_by(.[0] / $window | floor)[] | [.[-1][0] / $speed, "o", (map(.[2]) | add)])' <"$work/cast" >"$work/thin"
npx --yes svg-term-cli@2.1.1 --in "$work/thin" --out "$here/install.svg" --window --no-cursor
ls -l "$here/install.svg"
