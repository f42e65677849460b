#!/bin/bash
#SBATCH --job-name=mfsweep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --exclusive
#SBATCH --time=24:00:00
set -euo pipefail
source /shared/mfsweep/.venv/bin/activate
export MFSWEEP_STORE=/shared/mfsweep-store      # the store outlives the job: submit again to go on
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# Starts Ray on every node, the sweep on the first, and ends Ray again.
srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus "$SLURM_CPUS_PER_TASK" \
    -- env RAY_ADDRESS=auto mfsweep run /shared/specs/first.yaml
