# shellcheck shell=bash disable=SC2034,SC2154  # variables of the recipe and of its steps
# Looking before working: --dry-run says which steps would run, and why; --clean-old removes folders kept by earlier runs.

upkeep_options() {
  flag dry-run "say which steps of the stages asked for would run, and why, and do nothing"
  flag clean-old "list the *.old-DATE folders of models that a changed configuration left behind, and remove them when you agree"
  flag yes "with --clean-old: remove them without asking"
}

declare -A would_run=()

# dry_run_of_stages: goes through the stages with steps that only say what they would do.
dry_run_of_stages() {
  local n
  stage_now=$stage
  choose_decoders "$exp/conf_$tag"
  if [[ -x ${DUALMODE_VENV:-$root/tools/venv}/bin/python ]]; then
    DUALMODE_VENV=${DUALMODE_VENV:-$root/tools/venv} set_environment
    mkdir -p "$done_dir" "$log_dir"
    start_guard
    check_configs
  else
    echo "(configurations are not looked at: there is no Python environment yet)"
  fi
  for ((n = stage; n <= stop_stage; n++)); do
    stage_now=$n
    "stage_$n"
  done
  echo "${#would_run[@]} steps would run; nothing was done (--dry-run)"
}

# foresee COMMAND...: prints whether the step would run, and why.  (It sees the variables of step.)
foresee() {
  local before file why='' missing=''
  for before in "${after[@]}"; do
    [[ -n ${would_run[$before]:-} || -f $done_dir/$before ]] || missing=$before
    [[ -z ${would_run[$before]:-} ]] || why=": $before would run before it"
  done
  for file in "${inputs[@]}"; do [[ -n $why || -f $file ]] || why=": $file is not there yet"; done
  if [[ -n $missing ]]; then
    why=": it needs the step '$missing', which is not done and not asked for (--stage)"
  elif [[ -z $why ]]; then
    recipe=$(ingredients meaning "$@")
    by_bytes=$(ingredients digest "$@")
    why=$(why_again)
    why=${why/: starting/: it has not been done yet}
  fi
  if [[ -z $why ]]; then
    echo "  done       stage $stage_now: $what"
    return
  fi
  would_run[$name]=true
  echo "  would run  stage $stage_now: $what$why"
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
  if [[ $yes != true ]]; then
    [[ -t 0 ]] || die "nothing was removed: say --yes as well where nobody can be asked"
    read -r -p "Remove these ${#found[@]} folders? [y/N] " answer
    [[ $answer == [yY]* ]] || { echo "nothing was removed"; return; }
  fi
  lock "${work_dir:-$corpus_dir}/.run.lock"
  rm -rf -- "${found[@]}"
  echo "removed ${#found[@]} folders"
}
