#!/usr/bin/env bash
# One round of the loop on mini-ani, from nothing, in an empty folder: bash /path/to/mfsweep/docs/snippets/loop.sh
# `lab.h5` stands for the one who computes CC labels: it has all of them, and is asked for a few.
set -euo pipefail
clone=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export MFSWEEP_STORE=loop-store
cell='{"pretrain_size": 300, "finetune_size": 240, "seed": 0}'
key="import json, sys; print(next(row['key'] for row in json.load(sys.stdin)['stages'] if row['values'] == json.loads(sys.argv[1])))"
small='{architecture: mace, channels: 16, max_L: 0, max_ell: 2, correlation: 2, radial_hidden: [32, 32]}'
ani=$clone/mfsweep/data/bundled/mini-ani.h5

# The pool: DFT labels of all structures, CC labels of the first 4,000, which are about half of the formulae.
mfsweep data import "$ani" lab.h5 --labels cc=ani1ccx.energy --labels dft=ani1x.energy,ani1x.forces
mfsweep data import "$ani" pool.h5 --labels dft=ani1x.energy,ani1x.forces
mfsweep data export lab.h5 lab.xyz --labels cc
mfsweep data import lab.xyz@:4000 bought.h5 --labels cc=cc_energy
mfsweep data add pool.h5 bought.h5 --labels cc

# A first spec, with a smaller model and smaller sizes than it proposes, and its sweep.
mfsweep init pool.h5 -o first.yaml --target cc
sed -i -e 's/^  pretrain_size: .*/  pretrain_size: [0, 60, 300]/' -e 's/^  finetune_size: .*/  finetune_size: [60, 240]/' \
    -e 's/^  split_seed: .*/  seed: [0, 1, 2]/' -e "s/^model: .*/model: $small/" first.yaml
mfsweep run first.yaml

# 60 structures whose CC labels would help the best cell most; the lab labels them; they come back beside the old ones.
stage=$(mfsweep status first.yaml --json | python -c "$key" "$cell")
mfsweep select pool.h5 --method cc --n 60 --by "$stage" --how committee --out chosen
mfsweep data add chosen.h5 lab.h5 --labels cc
mfsweep data add pool.h5 chosen.h5 --labels cc --as cc_2

# The second spec: one label method and one set more. Pre-trainings are those of the first.
sed -e 's/^  splits:/    cc_2: {energy: "cc_2.energy"}   # cc, and what was bought\n  splits:/' \
    -e 's/labels: cc, subset: a, size: "${finetune_size}"}/labels: cc_2, subset: a, size: "${finetune_size}"}, {labels: cc_2, subset: b, size: labelled}/' \
    -e 's/^  pretrain_size: .*/  pretrain_size: [300]/' -e 's/^  finetune_size: .*/  finetune_size: [240]/' \
    -e 's/{labels: cc, subset: t}/{labels: cc_2, subset: t}/' -e 's/test\.cc\./test.cc_2./' -e '/^fits:/,/^  transfer:/d' \
    -e 's/^name: .*/name: second/' first.yaml > second.yaml
mfsweep plan second.yaml
mfsweep run second.yaml
