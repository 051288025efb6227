# shellcheck shell=bash disable=SC2154  # variables of the recipe
# Steps that are done once.  A step leaves a marker, $done_dir/NAME, with all that its result depends on:
#
#   command python -m dualmode.bin.prune --config conf/tuning/prune.yaml ...     its words
#   file conf/tuning/prune.yaml 5f3a...                                          its small input files, by what they say
#   step pretrain_base 77c0...                                                   the markers of the steps before it
#   finished 1795417872.123                                                      when; steps that follow depend on it
#   finished 1795417872.123 as 97e6...                                           the same, where it left what the marker
#                                                                                of that digest stood for
#
# While the lines above "finished" mean the same (a configuration is what it says, not what it is called) and the outputs
# exist, the step is skipped.  Beside the marker are NAME.watched, digests of more inputs, which markers of the first
# versions do not know, and NAME.sizes, of what the step left.
# Uses $done_dir, $log_dir, $force, $dry_run; sees $stage_now, and $on_failure, a function that is called with a command's
# status and log when it fails.

# step NAME WHAT [--after STEP...] [--inputs FILE...] [--watched FILE...] [--outputs PATH...] [--folder DIR]
#      [--uncounted WORD...] [--launcher WORD... ::] [--intact PATH...] [--compared DIR] [--quiet] -- COMMAND...
#   --watched FILE    an input too, which may be missing
#   --folder DIR      belongs to this step alone, which goes on in it when it was interrupted.  A DIR made with another
#                     configuration is moved aside.  It gets run.sh, which replays the command.
#   --uncounted       words added to the command that do not change its result (--jobs 4)
#   --launcher        words put before the command that do not change its result (a job wrapper)
#   --intact PATH     done again when a file in that folder, or of that pattern, is gone or has another size than it was
#                     left with
#   --compared DIR    has a folder for each set: where the same command leaves the same lists there again, as after a run
#                     with other options that failed, or of a later version that only reads the audio, what follows stays done
#   --quiet           what the command prints goes to its log only
step() {
  local name=$1 what=$2 list='' folder='' compared='' quiet='' recipe by_bytes reason marker=$done_dir/$1
  local -a after=() inputs=() watched=() intact=() outputs=() uncounted=() launcher=()
  shift 2
  while [[ $1 != -- ]]; do
    case $list:$1 in
      *:--after | *:--inputs | *:--watched | *:--outputs | *:--folder | *:--intact | *:--uncounted | *:--compared) list=${1#--} ;;
      *:--launcher) # its words may look like options of ours
        shift
        while [[ $1 != :: ]]; do
          launcher+=("$1")
          shift
        done
        ;;
      *:--quiet) quiet=true ;;
      after:*) after+=("$1") ;;
      inputs:*) inputs+=("$1") ;;
      watched:*) watched+=("$1") ;;
      outputs:*) outputs+=("$1") ;;
      folder:*) folder=$1 ;;
      intact:*) intact+=("$1") ;;
      compared:*) compared=$1 ;;
      uncounted:*) uncounted+=("$1") ;;
    esac
    shift
  done
  shift

  if [[ $dry_run == true ]]; then
    foresee "$@"
    return
  fi
  require "${after[@]}"
  recipe=$(ingredients meaning "$@")
  by_bytes=$(ingredients digest "$@")
  reason=$(why_again)
  if [[ -z $reason ]]; then
    [[ -f $marker.watched ]] || watch
    [[ -z $compared || -f $marker.lists ]] || lists_of "$compared" >"$marker.lists"
    log "stage $stage_now: $what: done already (${folder:-${outputs[0]}}), skipping"
    return
  fi
  log "stage $stage_now: $what$reason"
  if [[ $force == true ]]; then rm -f "$marker" "$marker.before"; elif [[ -f $marker ]]; then mv "$marker" "$marker.before"; fi
  rm -f "$marker.watched" "$marker.sizes"
  watch
  [[ -z $folder ]] || prepare_folder "${launcher[@]}" "$@" "${uncounted[@]}"
  run_logged "$name" "${launcher[@]}" "$@" "${uncounted[@]}"
  [[ -z $(missing_output) ]] || die "stage $stage_now: $what ended well but left no $(missing_output): see $log_dir/$name.log"
  ((${#intact[@]} == 0)) || sizes_of "${intact[@]}" >"$marker.sizes"
  printf '%s\nfinished %s\n' "$recipe" "$(when_finished)" >"$marker.tmp"
  mv "$marker.tmp" "$marker"
  rm -f "$marker.before"
}

# when_finished: prints what the marker says: now, or, where the same lists were left by the same command before, then; or,
# where only its code is another and all of the audio is from elsewhere and as long as it was, now, and which marker it
# stands for.
when_finished() {
  local now lists same_as='' before=$marker.before
  now=$(date +%s.%N)
  if [[ -n $compared ]]; then
    lists=$(lists_of "$compared")
    if [[ -n $lists && -f $before && $lists == "$(cat "$marker.lists" 2>/dev/null)" ]]; then
      if [[ $(sed '$d' "$before") == "$recipe" ]]; then
        now=$(sed -n '$s/^finished //p' "$before") same_as=before
      elif [[ $(sed '$d' "$before" | but_code) == "$(but_code <<<"$recipe")" ]] && audio_is_elsewhere "$compared" &&
        durations_are_as_validated "$compared"; then
        same_as=$(stands_for "$before")
        now+=" as $same_as"
      fi
    fi
    [[ -z $same_as ]] || log "stage $stage_now: $what: as it was before, and what follows stays done" >&2
    printf '%s\n' "$lists" >"$marker.lists"
  fi
  echo "$now"
}

# stands_for MARKER: prints the digest by which the steps that follow know it: of the first one with the same result.
stands_for() {
  local first
  first=$(sed -nE '$s/^finished .* as ([0-9a-f]{16})$/\1/p' "$1")
  echo "${first:-$(digest "$1")}"
}

# but_code: leaves out the lines of a marker that are about programs.
but_code() { sed -E '/^file .*\.py [0-9a-f]+$/d'; }

# durations_are_as_validated DIR: whether the recordings of the sets in it are as long as when they were validated.
durations_are_as_validated() {
  local list
  for list in "$1"/*/utt2dur; do
    [[ ! -f $list ]] || grep -qsxF -- "file $list $(meaning "$list")" "$done_dir"/validate_*.watched || return
  done
}

# audio_is_elsewhere DIR: whether no recording of the sets in it was written by the recipe, which may have changed it.
audio_is_elsewhere() {
  local own real
  own=$(realpath -m -- "$(dirname -- "$1")")/ real=$(realpath -m -- "$1")/
  find -L "$1" -mindepth 2 -maxdepth 2 -name wav.scp -exec cat {} + | OWN=$own REAL=$real awk '
    {sub(/^[^ \t]+[ \t]+/, "")}
    !/^\// || index($0, ENVIRON["OWN"]) == 1 || index($0, ENVIRON["REAL"]) == 1 {inside = 1}
    END {exit inside}'
}

# lists_of DIR: prints digests of the lists of the sets in it.
lists_of() {
  find -L "$1" -mindepth 2 -maxdepth 2 '(' -name wav.scp -o -name text -o -name utt2spk ')' -exec sha256sum {} + | sort
}

# require STEP...: stops if one of the steps before was never finished.
require() {
  local before
  for before in "$@"; do
    [[ -f $done_dir/$before ]] || die "stage $stage_now needs $done_dir/$before, the mark of a step that is not done yet: begin with an earlier --stage (--dry-run lists the steps)"
  done
}

digest() { sha256sum <"$1" | cut -c 1-16; }

# meaning FILE: a digest of what a file says: comments, blank lines and trailing spaces of YAML are not counted.
# Behind a quote # may be text, and in block scalars anywhere: comments are counted there.
meaning() {
  local spelling=()
  if [[ $1 == *.yaml ]] && ! grep -qE '(^|[ :-])[|>][-+0-9]*[[:space:]]*(#.*)?$' "$1"; then
    spelling=(-e "s/^([^\"'#]*[[:space:]])?#.*/\\1/" -e 's/[[:space:]]+$//' -e '/^$/d')
  fi
  sed -E -e '' "${spelling[@]}" -- "$1" | sha256sum | cut -c 1-16
}

# same TEXT: whether these lines mean the step's, also those of a marker from when YAML was counted by its bytes.
same() {
  local lines
  lines=$(unnamed "$1")
  [[ $lines == "$(unnamed "$recipe")" || $lines == "$(unnamed "$by_bytes")" ]]
}

# unnamed TEXT: a marker's lines with the digests of configurations for their names, and without what leaves the same lists, or
# none, whatever it is: the share of its utterances that an import may leave out, where archives are downloaded from, and the
# seed of a training that it has without one, too.
unnamed() {
  local line text=$1
  while read -r line; do
    [[ $line =~ ^file\ (.*\.yaml)\ ([0-9a-f]+)$ ]] || continue
    text=${text//"${BASH_REMATCH[1]@Q}"/"${BASH_REMATCH[2]}"}
    text=${text//"${BASH_REMATCH[1]}"/"${BASH_REMATCH[2]}"}
  done <<<"$1"
  sed -E -e '/^command .*dualmode\.bin\.import_data /s/ --max-rejected [^ ]+//g' \
    -e '/^command python local\/prepare\.py /s/ --mirror [^ ]+//g' \
    -e "${inputs:+$(without_seed "${inputs[0]}")}" <<<"$text"
}

# without_seed CONFIG: prints what takes --seed 0 from a training's command, unless its configuration names another seed.
without_seed() {
  grep -sE "^[\"']?seed\b" "$1" | grep -qvE '^seed: *0 *(#.*)?$' ||
    printf '%s\n' '/^command .*dualmode\.bin\.(pretrain|asr_train) /s/ --seed 0( |$)/\1/'
}

# watch: notes what the watched inputs say now.
watch() {
  ((${#watched[@]} == 0)) || { what_is_watched >"$marker.watched.tmp" && mv "$marker.watched.tmp" "$marker.watched"; }
}

what_is_watched() {
  local item
  for item in "${watched[@]}"; do
    if [[ -f $item ]]; then echo "file $item $(meaning "$item")"; else echo "file $item none"; fi
  done
}

# unlike_watched: prints the first watched input that says something else than when the step was done, or nothing.
unlike_watched() {
  local item
  if [[ -f $marker.watched ]]; then
    comm -13 <(sort "$marker.watched") <(what_is_watched | sort) | sed -nE '1s/^file (.*) [^ ]*$/\1/p'
  else # of a version that did not watch: what is older than the marker was there
    for item in "${watched[@]}"; do [[ ! $item -nt $marker ]] || { echo "$item"; return; }; done
  fi
}

# ingredients DIGEST COMMAND...: prints the marker's lines but the last, with files told apart by the function DIGEST.
# (This and what follows see the variables of step.)
ingredients() {
  local item of=$1
  shift
  printf 'command%s\n' "$(quote "$@")"
  for item in "${inputs[@]}"; do
    [[ -f $item ]] || die "stage $stage_now: there is no file $item: run an earlier --stage first"
    printf 'file %s %s\n' "$item" "$("$of" "$item")"
  done
  for item in "${after[@]}"; do printf 'step %s %s\n' "$item" "$(stands_for "$done_dir/$item")"; done
}

# why_again: prints why the step has to be done (what follows its name in the log), or nothing if it has not.
why_again() {
  local changes
  changes=$(unlike_watched)
  if [[ ! -f $marker ]]; then
    echo ": starting"
  elif [[ $force == true ]]; then
    echo ": again, as --force says"
  elif ! same "$(sed '$d' "$marker")"; then
    changes=$(printf '%s\n' "$(sed '$d' "$marker")" "$recipe" | sort | uniq -u | named_lines | sort -u | paste -sd, | sed 's/,/, /g')
    echo ": again, since this changed: $changes"
  elif [[ -n $changes ]]; then
    echo ": again, since this changed: file $changes"
  elif [[ -n $(missing_output) ]]; then
    echo ": again, since $(missing_output) is not there"
  elif [[ -f $marker.sizes ]] && [[ -n $(unlike_sizes) ]]; then
    echo ": again, since $(unlike_sizes) is not as it was left"
  fi
}

# named_lines: of lines of a marker, prints what they are about: the command, a file, or the marker of a step before.
named_lines() {
  local kind name
  while read -r kind name; do
    case $kind in
      command) echo "the command" ;;
      file) echo "file ${name% *}" ;;
      step) echo "file $done_dir/${name% *}" ;;
    esac
  done
}

# sizes_of PATH...: prints size and name of every file in a folder, and of every file that a pattern fits.
sizes_of() {
  local item file
  for item in "$@"; do
    if [[ -d $item ]]; then
      find -H "$item" -type f -printf '%s %P\n'
    else
      for file in "${item%/*}"/${item##*/}; do [[ ! -f $file ]] || stat -L -c '%s %n' -- "$file"; done
    fi
  done | sort
}

# unlike_sizes: prints the first file that has another size than it was left with, or nothing.
unlike_sizes() { comm -23 "$marker.sizes" <(sizes_of "${intact[@]}") | sed -n '1s/^[0-9]* //p'; }

# missing_output: prints the first of $outputs that does not exist, or nothing.
missing_output() {
  local output
  for output in "${outputs[@]}"; do [[ -e $output ]] || { echo "$output"; return; }; done
}

# prepare_folder COMMAND...: makes $folder ready to start, or to go on in.
prepare_folder() {
  local aside
  if [[ -e $folder ]]; then
    if [[ $force != true && -f $folder/.started ]] && same "$(<"$folder/.started")"; then
      log "stage $stage_now: going on in $folder, where an interrupted run left off"
    else
      printf -v aside '%s.old-%(%Y%m%d-%H%M%S)T' "$folder" -1
      log "stage $stage_now: $folder was made by another configuration or run; it is kept as $aside"
      mv "$folder" "$aside"
    fi
  fi
  mkdir -p "$folder"
  printf '%s\n' "$recipe" >"$folder/.started"
  {
    echo '#!/usr/bin/env bash'
    echo "# Replays stage $stage_now, which made this folder, and goes on from its last checkpoint."
    printf 'cd %q || exit\n' "$PWD"
    printf 'PATH=%q:"%s" PYTHONPATH=%q exec' "$environment/bin" "\$PATH" "$root:$root/runtime"
    quote "$@"
    echo " \"\$@\""
  } >"$folder/run.sh"
  chmod +x "$folder/run.sh"
}

# --- running a command -----------------------------------------------------------------------------------------------

child='' stage_now='' on_failure=failed

# start_guard: from now on the running command dies with this shell, together with the processes that it started, even
# if the shell is killed with SIGKILL.  The guard reads the number of the process group that runs; when the shell is
# gone, its end of the pipe (descriptor 7) is closed.  Its own session keeps it out of reach of what kills the shell.
start_guard() {
  # shellcheck disable=SC2016  # another shell expands it
  local guard='while read -r line; do group=$line; done
    if [[ -n ${group:-} ]]; then kill -KILL "$group"; kill -KILL -- "-$group"; fi'
  exec 7> >(exec setsid bash -c "$guard" &>/dev/null 6>&- 9>&-)
  trap 'interrupted INT 2' INT
  trap 'interrupted TERM 15' TERM
  trap 'interrupted HUP 1' HUP
}

# run_logged NAME COMMAND...: runs it in a process group of its own; what it prints goes to the terminal and to its log.
run_logged() {
  local name=$1 log_file=$log_dir/$1.log status=0 writer=''
  shift
  { printf '# %(%F %T)T\n' -1; quote "$@" | fold -s -w 110 | sed 's/^/#   /'; echo; } >>"$log_file"
  if [[ $quiet == true ]]; then
    exec 8>>"$log_file"
  else
    exec 8> >(exec tee -ip -a "$log_file" 7>&- 6>&- 9>&-)
    writer=$!
  fi
  # The command names itself to the guard before it starts, so that there is no moment in which it is unguarded.
  (
    echo "$BASHPID" >&7
    exec setsid "$@" </dev/null >&8 2>&1 7>&- 8>&- 6>&- 9>&-
  ) &
  child=$!
  exec 8>&-
  wait "$child" || status=$?
  # Its helpers, should it have died without them, would keep the log open.
  kill -KILL -- "-$child" 2>/dev/null || true
  child=''
  echo >&7
  [[ -z $writer ]] || wait "$writer" || true
  ((status == 0)) || "$on_failure" "$status" "$log_file"
}

# last_run LOG: prints what the last command that wrote to this log said.
last_run() {
  awk '/^# [0-9][0-9][0-9][0-9]-/ {text = ""; next} /^#   / && text == "" {next} {text = text $0 "\n"} END {printf "%s", text}' "$1"
}

# failed STATUS LOG
failed() {
  {
    log "stage $stage_now failed (status $1); log: $2"
    last_run "$2" | tail -n 5 | sed 's/^/    /'
  } >&2
  exit "$1"
}

patience_s=60 # for what is told to stop to save its state: an update of a large model, and its checkpoint

# interrupted NAME NUMBER: stops the command and this shell on a signal; a second INT or TERM does not wait for the command.
# Who reads what this says may be gone: the terminal, which hangs up twice, or a tee that had the same Ctrl-C.
interrupted() {
  local began=$SECONDS told='' again="the same command"
  trap '' PIPE HUP
  trap 'began=-$patience_s' INT TERM
  if [[ -n $child ]]; then
    kill -TERM -- "-$child" 2>/dev/null || true
    while kill -0 -- "-$child" 2>/dev/null && ((SECONDS - began < patience_s)); do
      if [[ -z $told ]] && ((SECONDS - began >= 2)); then
        told=true
        log "SIG$1: waiting for the command to save where it is, at most $patience_s s; once more ends it at once" >&2 || true
      fi
      sleep 0.1 || true # which Ctrl-C ends as well
    done
    kill -KILL -- "-$child" 2>/dev/null || true
  fi
  trap '' INT TERM
  [[ $force != true ]] || again+=" without --force"
  log "stopped by SIG$1${stage_now:+ in stage $stage_now}; $again goes on from here" >&2 || true
  exit $((128 + $2))
}
