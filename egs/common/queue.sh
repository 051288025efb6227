# shellcheck shell=bash
# Jobs of a study, several side by side, with the time that is left.  Needs lib.sh, and bash 5.1.
#
#   add_job COST FUNCTION WORD...     puts "FUNCTION WORD..." into the queue; COST says how long it takes beside others
#   skip_job                          counts a job that is done already
#   run_queue JOBS DIR AFTER          runs them, each with its output in DIR/WORD..._.log, and AFTER behind each
#
# A job that fails does not stop the others; run_queue then ends with status 1 and names it.  A signal stops all jobs.

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) || die "studies need bash 5.1 or later, and this is $BASH_VERSION"
queue_costs=() queue_commands=() queue_skipped=0

add_job() {
  queue_costs+=("$1")
  shift
  queue_commands+=("$*") # words without blanks
}

skip_job() { queue_skipped=$((queue_skipped + 1)); }

run_queue() {
  local most=$1 dir=$2 after=$3 next=0 pid status name words
  local total=${#queue_commands[@]} finished=0 cost_done=0 cost_left=0 began=$SECONDS cost
  local -A running=() failed=()
  for cost in "${queue_costs[@]}"; do cost_left=$((cost_left + cost)); done
  log "$total jobs to do, $queue_skipped done before; $most side by side; their output: $dir"
  trap 'stop_jobs INT 2' INT
  trap 'stop_jobs TERM 15' TERM
  trap 'stop_jobs HUP 1' HUP
  while ((next < total || ${#running[@]})); do
    while ((next < total && ${#running[@]} < most)); do
      split_words words "${queue_commands[next]}"
      name=$(IFS=_ && echo "${words[*]:1}")
      set -m # a process group of its own, which can be ended as a whole
      ("${words[@]}") >>"$dir/$name.log" 2>&1 </dev/null &
      running[$!]=$next
      set +m
      log "started: ${words[*]:1}"
      next=$((next + 1))
    done
    status=0
    wait -n -p pid "${!running[@]}" || status=$?
    cost=${queue_costs[running[$pid]]}
    split_words words "${queue_commands[running[$pid]]}"
    unset "running[$pid]"
    finished=$((finished + 1)) cost_done=$((cost_done + cost)) cost_left=$((cost_left - cost))
    if ((status)); then
      name=$(IFS=_ && echo "${words[*]:1}")
      failed[$name]=$status
      log "failed (status $status): ${words[*]:1}; its last lines, of $dir/$name.log:"
      tail -n 5 "$dir/$name.log" | sed 's/^/    /'
    else
      "$after" || log "the tables could not be written: see above"
      # Of what was done at this pace; jobs that still run count as not begun.
      log "done: ${words[*]:1}; $finished of $total, about $(duration $(((SECONDS - began) * cost_left / cost_done))) left"
    fi
  done
  trap - INT TERM HUP
  ((${#failed[@]} == 0)) || die "${#failed[@]} of $total jobs failed: ${!failed[*]}; the same command tries them again"
}

# stop_jobs NAME NUMBER: ends the jobs, and this shell with them.  A recipe gives its command a minute to save, and none
# after a second signal.  (Sees the variables of run_queue.)
stop_jobs() {
  local pid
  trap '' PIPE HUP # as in the recipe
  trap tell_jobs INT TERM
  tell_jobs
  for pid in "${!running[@]}"; do
    while kill -0 -- "-$pid" 2>/dev/null; do sleep 0.1 || true; done
  done
  trap '' INT TERM
  log "stopped by SIG$1; the same command goes on from here" >&2 || true
  exit $((128 + $2))
}

tell_jobs() {
  local pid
  for pid in "${!running[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
}
