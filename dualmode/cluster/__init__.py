"""Commands as jobs, on this machine or on a Slurm cluster, with the command line of Kaldi's and ESPnet's wrappers.

tools/cluster/run.pl   --max-jobs-run 4          JOB=1:8 log/fbank.JOB.log  python -m ... --part JOB/8
tools/cluster/slurm.pl --mem 4G --num-threads 2  JOB=1:8 log/fbank.JOB.log  python -m ... --part JOB/8

Both block until all tasks have ended and succeed if all of them did.  The words of the command are run as they are, by
no shell: whoever wants a pipe writes  bash -c '... | ...'.
"""
