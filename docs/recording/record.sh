#!/bin/sh
# Records an install on a fresh emulated box, as a person at a terminal of 80
# columns sees it, into docs/recording/install.svg: `make recording`.
#
#   record.sh --tools          only see whether all is here that it takes
#   record.sh PROGRAM CONFIG
#
# Secrets are in the environment, where the program takes them from; none of them
# is ever printed. Nothing is shown that was not printed: time runs SPEED times as
# fast (20), what came within a quarter of a shown second becomes one picture, and
# what a command said at its end stands for two seconds.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for tool in asciinema:asciinema jq:jq npx:npm; do
  command -v "${tool%:*}" >/dev/null || { echo "record.sh: no ${tool%:*} here: apt install ${tool#*:}" >&2; exit 1; }
done
# It works with no other locale. Without a terminal of one's own TERM says what
# the recorded one is.
export LC_ALL=C.UTF-8 TERM=xterm-256color
case $(asciinema --version) in
"asciinema 2."*) ;;
*) echo "record.sh: $(asciinema --version) writes another format: use 2.x, which Debian 12 and 13 have" >&2; exit 1 ;;
esac
[ "$1" != --tools ] || exit 0

program=$1 config=$2 speed=${SPEED:-20}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cat >"$work/show" <<SHOW
#!/bin/sh
say() {
  printf '\033[1m\$ ssg-bootstrap %s\033[0m\n' "\$*"
  "$program" --config "$config" "\$@" && sleep $((2 * speed))
}
say install --host oldpc && say install --host oldpc && say status --host oldpc
echo \$? >"$work/exit"
SHOW
chmod +x "$work/show"
asciinema rec --quiet --overwrite --cols 80 --rows 30 --command "$work/show" "$work/cast" </dev/null
[ "$(cat "$work/exit")" = 0 ] || { echo "record.sh: the run failed:" >&2; tail -n 20 "$work/cast" >&2; exit 1; }
grep -q ' is ready: ' "$work/cast" || { echo "record.sh: the box was installed already: \`make lab-reset\`, then again" >&2; exit 1; }

jq -cn --argjson speed "$speed" 'input, ([inputs | select(.[1] == "o") | .[0] /= $speed]
  | group_by(.[0] * 4 | floor)[] | [.[-1][0], "o", (map(.[2]) | add)])' <"$work/cast" >"$work/thin"
# The last picture stands until the next event.
jq -cn --slurpfile all "$work/thin" '[$all[-1][0] + 2, "o", "\r\n"]' >>"$work/thin"
npx --yes svg-term-cli@2.1.1 --in "$work/thin" --out "$work/install.svg" --window --no-cursor
size=$(wc -c <"$work/install.svg")
[ "$size" -le 1048576 ] || { echo "record.sh: $size bytes are too many for the repository: SPEED=$((2 * speed)) make recording" >&2; exit 1; }
mv "$work/install.svg" "$here/install.svg"
chmod 644 "$here/install.svg"
echo "$here/install.svg: $size bytes"
