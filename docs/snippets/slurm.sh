#!/bin/bash
#SBATCH --job-name=mfsweep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --exclusive
#SBATCH --time=1-00:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
set -euo pipefail
source /shared/mfsweep/.venv/bin/activate
export MFSWEEP_STORE=/shared/mfsweep-store      # the store outlives the job: what is queued again goes on from it
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
sweep=$(mktemp)      # the number of the sweep's process, which runs on this node, the first

# Slurm queues the job again where it takes its nodes away (--requeue). Five minutes before its end the job does so
# itself, once the sweep has saved the state of its stages.
again() {
    if kill -TERM "$(cat "$sweep")" 2> /dev/null; then
        for _ in {1..120}; do
            kill -0 "$(cat "$sweep")" 2> /dev/null || break
            sleep 1
        done
    fi
    scontrol requeue "$SLURM_JOB_ID"
}
trap again USR1

# Starts Ray on every node, the sweep on the first, and ends Ray again. In the background: while bash waits, it answers
# signals.
srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus "$SLURM_CPUS_PER_TASK" \
    -- bash -c 'echo $$ > "$0"; exec "$@"' "$sweep" env RAY_ADDRESS=auto mfsweep run /shared/specs/first.yaml &
wait $!
