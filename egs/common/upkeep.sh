# shellcheck shell=bash disable=SC2034,SC2154  # variables of the recipe and of its steps
# Looking before working: --dry-run says which steps would run, and why; --clean-old removes folders kept by earlier runs.

upkeep_options() {
  flag dry-run "say which steps of the stages asked for would run, and why, and do nothing"
  flag clean-old "list the *.old-DATE folders of models that a changed configuration left behind, and remove them when you agree"
  flag yes "with --clean-old: remove them without asking"
}

declare -A would_run=() # what the steps that would run do, by their names
scratch=''              # folder for what a dry run has to write
made_otherwise=''
# Cells of the table, row by row.
foreseen=('' stage step "marked done by" why)

# dry_run_of_stages: goes through the stages with steps that only say what they would do.
dry_run_of_stages() {
  local n
  scratch=$(mktemp -d) || die "there is no room for temporary files: free some, or name another folder with TMPDIR"
  trap 'rm -rf -- "$scratch"' EXIT
  choose_decoders "$scratch/conf_$tag"
  check_device_decode
  if [[ -x ${DUALMODE_VENV:-$root/tools/venv}/bin/python ]]; then
    DUALMODE_VENV=${DUALMODE_VENV:-$root/tools/venv} set_environment
    start_guard
    log_dir=$scratch check_configs
  else
    echo "(configurations are not looked at: there is no Python environment yet)"
  fi
  tell_skipped
  for ((n = stage; n <= stop_stage; n++)); do
    stage_now=$n
    "stage_$n"
  done
  print_foreseen
  n=${#would_run[@]}
  echo "$n step$( ((n == 1)) || echo s) would run; nothing was done (--dry-run)"
}

# tell_skipped: warns of what stages before --stage made by another command than they would be given now: it is used as it
# is.  Sets $made_otherwise to its names, for the results.
tell_skipped() {
  made_otherwise=''
  ((stage > 0)) || return 0
  made_otherwise=$(dry_run=true made_by_others 2>/dev/null | paste -sd , | sed 's/,/, /g') || made_otherwise=''
  [[ -z $made_otherwise ]] || log "warning: made by other commands before, and used as they are, since --stage is $stage: $made_otherwise"
}

# made_by_others: prints the names of these steps, a line each.  For a shell of its own: it changes what a dry run does.
made_by_others() {
  local n
  # shellcheck disable=SC2329  # step calls it
  foresee() {
    local words=("$@")
    [[ -z $scratch ]] || words=("${words[@]/#"$scratch/"/"$exp/"}")
    [[ ! -f $marker || $(sed -n 's/^command//p' "$marker" | lasting) == $(quote "${words[@]}" | lasting) ]] || echo "$what" >&8
  }
  for ((n = 0; n < stage; n++)); do
    stage_now=$n
    "stage_$n" 8>&1 >/dev/null
  done
}

# lasting: leaves out of a command what no result depends on: where things are, and how much may be rejected.
lasting() {
  local name leave=()
  for name in "${places[@]}" max-rejected; do leave+=(-e "s/ --$name ('[^']*'|[^ ]+)//g"); done
  sed -E "${leave[@]}"
}

# foresee COMMAND...: notes whether the step would run, and why.  (It sees the variables of step.)
foresee() {
  local before file why='' missing=''
  for before in "${after[@]}"; do
    [[ -n ${would_run[$before]:-} || -f $done_dir/$before ]] || missing=$before
    [[ -z ${would_run[$before]:-} ]] || why="${would_run[$before]} would run before it"
  done
  for file in "${inputs[@]}"; do [[ -n $why || -f $file ]] || why="$file is not there yet"; done
  if [[ -n $missing ]]; then
    why="it needs $done_dir/$missing, which is not there: begin with an earlier --stage"
  elif [[ -z $why ]]; then
    recipe=$(foreseen_ingredients meaning "$@")
    by_bytes=$(foreseen_ingredients digest "$@")
    why=$(why_again)
    why=${why#: }
    [[ $why != starting ]] || why="it has not been done yet"
  fi
  [[ -z $why ]] || would_run[$name]=$what
  local verdict=${why:+would run}
  foreseen+=("${verdict:-done}" "$stage_now" "$what" "$marker" "$why")
}

# foreseen_ingredients DIGEST COMMAND...: what a run would note, whose configurations are in $exp.
foreseen_ingredients() {
  local lines of=$1
  shift
  lines=$(ingredients "$of" "${@/#"$scratch/"/"$exp/"}")
  printf '%s\n' "${lines//"file $scratch/"/"file $exp/"}"
}

# print_foreseen: prints the table of the steps.
print_foreseen() {
  local i step=0 mark=0
  for ((i = 0; i < ${#foreseen[@]}; i += 5)); do
    ((${#foreseen[i + 2]} < step)) || step=${#foreseen[i + 2]}
    ((${#foreseen[i + 3]} < mark)) || mark=${#foreseen[i + 3]}
  done
  printf "%-9s  %-5s  %-${step}s  %-${mark}s  %s\n" "${foreseen[@]}" | sed 's/ *$//'
}

# clean_old_folders: lists what was moved aside, by the names that steps give it, and removes it.
clean_old_folders() {
  local folder answer found=()
  for folder in "$exp"/*.old-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]; do
    [[ ! -d $folder || -L $folder ]] || found+=("$folder")
  done
  if ((${#found[@]} == 0)); then
    echo "there are no *.old-DATE folders in $exp"
    return
  fi
  du -sch -- "${found[@]}"
  [[ $dry_run == false ]] || { echo "nothing was removed (--dry-run)"; return; }
  if [[ $yes != true ]]; then
    [[ -t 0 ]] || die "nothing was removed: say --yes as well where nobody can be asked"
    read -r -p "Remove these ${#found[@]} folders? [y/N] " answer
    [[ $answer == [yY]* ]] || { echo "nothing was removed"; return; }
  fi
  lock "${work_dir:-$corpus_dir}/.run.lock"
  rm -rf -- "${found[@]}"
  echo "removed ${#found[@]} folders"
}
