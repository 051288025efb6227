# shellcheck shell=bash
# What every shell script of the recipes shares: messages, the lock, free disk space.

# log TEXT: a line with date, time and the place in the recipe (not in the machinery of steps.sh).
log() {
  local i=1
  while [[ ${BASH_SOURCE[i]-} == */steps.sh ]]; do i=$((i + 1)); done
  printf '%(%F %T)T (%s:%s) %s\n' -1 "${BASH_SOURCE[i]##*/}" "${BASH_LINENO[i - 1]}" "$*"
}

# split_words ARRAY TEXT: sets the array named ARRAY to the words of TEXT, of all of its lines.
split_words() {
  read -r -d '' -a "$1" <<<"$2" || true # 1 at the end of the text
}

# die TEXT: one sentence for a mistake that the user can repair, status 2.
die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# quote WORD...: the words as a command line, with quotes only where they are needed, and a space before each.
quote() {
  local word
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then printf ' %s' "$word"; else printf ' %s' "${word@Q}"; fi
  done
}

# cores: how many this process may use; nproc alone would take OMP_NUM_THREADS for an answer.
cores() {
  env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc
}

# duration SECONDS: as people say it, 3 min 20 s.
duration() {
  if (($1 < 60)); then echo "$1 s"; elif (($1 < 3600)); then echo "$(($1 / 60)) min $(($1 % 60)) s"; else
    echo "$(($1 / 3600)) h $(($1 % 3600 / 60)) min"
  fi
}

# note_commit DIR: adds to $notes at which commit a corpus is, where DIR is a clone of its repository.
note_commit() {
  local top commit
  top=$(git -C "$1" rev-parse --show-toplevel 2>/dev/null) || return 0
  [[ $top == "$(realpath -- "$1")" ]] || return 0 # of what is around it
  commit=$(git -C "$1" rev-parse HEAD 2>/dev/null) || return 0
  notes+=("The corpus is that of commit ${commit:0:12} of its repository.")
}

# make_folder DIR...: makes folders that can be written to.
make_folder() {
  local dir why
  for dir in "$@"; do
    why=$(LC_ALL=C mkdir -p -- "$dir" 2>&1) || die "cannot make the folder $dir (${why##*: }): use another --work-dir"
    [[ -w $dir ]] || die "cannot write to the folder $dir: change its permissions, or use another --work-dir"
  done
}

# lock FILE [shared [ADVICE]]: makes this process the only one with FILE, until it ends in whatever way; descriptor 9 holds
# it.  With "shared", others may share it, but none has it alone.  ADVICE ends the message that another run is at work.
lock() {
  command -v flock >/dev/null || die "flock was not found: apt install util-linux"
  { exec 9<>"$1"; } 2>/dev/null || die "cannot write to $1: change its permissions, or use another --work-dir"
  locked "$1" ${2:+"--$2"} 9 ||
    die "another run is at work in ${1%/*} (process $(holders "$1")): wait for it, stop it, or use another --work-dir${3:-}"
  if [[ -z ${2:-} ]]; then echo "$$ on $HOSTNAME"; fi >"$1" # who has it alone, or nothing
}

# share_lock FILE: from now on, others may share what lock gave this process alone.  Between the two another one may have
# taken it, which is waited for.
share_lock() {
  if ! locked "$1" -s 9; then
    log "waiting for another run in ${1%/*} (process $(holders "$1"))"
    flock -s 9 & # in the background: signals are acted on while it waits
    wait $! || die "there is no shared lock to have on $1: use another --work-dir"
  fi
  : >"$1"
}

# holders FILE: prints who has FILE: the process that has it alone, or else those of the experiments that share it.
holders() {
  local file names=() all
  if [[ -s $1 ]]; then
    cat "$1"
    return
  fi
  for file in "${1%/*}"/exp/.lock_*; do
    [[ ! -s $file ]] || flock -n "$file" true || names+=("$(<"$file")")
  done
  printf -v all ', %s' "${names[@]:-unknown}"
  echo "${all#, }"
}

# lock_experiment FILE: the same with descriptor 6, for one of the experiments that share a work folder.
lock_experiment() {
  { exec 6>>"$1"; } 2>/dev/null || die "cannot write to $1: change its permissions, or use another --work-dir"
  locked "$1" 6 || die "another run is at work in this experiment, $1 (process $(cat "$1")): wait for it, or use another --tag"
  echo "$$ on $HOSTNAME" >"$1"
}

# locked FILE WORD...: whether flock gave this process the lock; stops where the file system has none to give.
locked() {
  local file=$1 status=0
  shift
  flock -n "$@" || status=$?
  ((status <= 1)) || die "the file system of $file has no locks, without which two runs could write to one folder (flock ended \
with status $status): have it mounted with them (Lustre: -o flock), or use another --work-dir"
  return "$status"
}

# check_disk DIR GB: stops if DIR's disk has less than GB free.
check_disk() {
  local free_kb
  free_kb=$(df -k --output=avail -- "$1" | sed -n 2p)
  log "disk: $((free_kb / 1000000)) GB free in $1, about $2 GB needed"
  ((free_kb > $2 * 1000000)) || die "there is too little disk space in $1, $((free_kb / 1000000)) of about $2 GB: free some, or use another --work-dir"
}
