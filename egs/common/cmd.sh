# shellcheck shell=bash disable=SC2034,SC2154  # variables of the recipe
# Where the long commands of a recipe run: say  cmd_backend=slurm ./run.sh --stage 0 --stop-stage 6  or put a cmd.sh of your
# own beside the corpus's run.sh, which then counts instead of this one.
#
#   local   in processes of the recipe: features by --jobs of them, training on --ngpu GPUs of this machine
#   slurm   features and decoding as arrays of --nj jobs, training on --num-nodes machines with --ngpu GPUs each and two
#           cores a GPU, or, without any, as many cores as OMP_NUM_THREADS says, else four
#
# conf/slurm.conf says which flags of sbatch the options below become; partitions and accounts belong there.
cmd_backend=${cmd_backend:-local}
case $cmd_backend in
  local) ;;
  slurm)
    slurm=$(printf %q "$root/tools/cluster/slurm.pl")
    feature_cmd="$slurm --mem 4G --time 4:00:00 --max-jobs-run 64"
    decode_cmd="$slurm --mem 8G --num-threads 2 --time 4:00:00 --max-jobs-run 64"
    train_cmd="$slurm --mem 64G --time 48:00:00"
    ;;
  *) die "cmd_backend is '$cmd_backend': it must be local or slurm (egs/common/cmd.sh)" ;;
esac
