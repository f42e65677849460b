#!/usr/bin/env bash
# The loop from nothing, in an empty folder: bash /path/to/mfsweep/docs/snippets/loop.sh [mini-ani | mini-ccx]
# `lab.h5` stands for the one who computes CC labels, and is asked for a few: of mini-ani it has all, of mini-ccx a part.
set -euo pipefail
data=${1:-mini-ani}
bundled=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/mfsweep/data/bundled/$data.h5
export MFSWEEP_STORE=loop-store
case $data in # keys in the file; structures of which the CC labels are known; sizes; labels to buy; prices as they were measured
mini-ani)
    keys=(--labels cc=ani1ccx.energy --labels dft=ani1x.energy,ani1x.forces) first=4000
    pretrain=30,100,300 finetune=60,240 number=60
    money=(--budget 6000 --unit core-seconds --cost cc=45 --cost dft=13.7) ;;
mini-ccx)
    keys=(--labels 'cc=ccsd(t)_631gd.energy' --labels dft=wb97x_631gd.energy,wb97x_631gd.forces) first=4500
    pretrain=20,60,180 finetune=20,60 number=20
    money=(--budget 100 --unit core-seconds --cost cc=1.15 --cost dft=2.89) ;;
*) echo "$data: expected mini-ani or mini-ccx" >&2; exit 2 ;;
esac

# The pool: DFT labels of all structures that have them, CC labels of the first ones, of about half of the formulae.
mfsweep data import "$bundled" lab.h5 "${keys[@]}"
mfsweep data import "$bundled" pool.h5 "${keys[@]:2}"
mfsweep data export lab.h5 lab.xyz --labels cc
mfsweep data import "lab.xyz@:$first" known.h5 --labels cc=cc_energy
mfsweep data add pool.h5 known.h5 --labels cc

# 1. What are these labels good for? The spec that comes with the answer, with a smaller model and grid than it proposes.
mfsweep advise pool.h5 --target cc --name first --output first.yaml --json > advice.json
sed -i -e "s/^  pretrain_size: .*/  pretrain_size: [0, $pretrain]/" -e "s/^  finetune_size: .*/  finetune_size: [$finetune]/" \
    -e 's/^  fold: .*/  fold: [0, 1, 2]/' -e 's/    max_steps: .*/    max_steps: 4000/' \
    -e 's/^model: .*/model: {architecture: mace, channels: 16, max_L: 0, max_ell: 2, correlation: 2, radial_hidden: [32, 32]}/' first.yaml

# 2. As much of it as it takes for the decision, and the decision.
mfsweep run first.yaml --until "budget.regret < 5 %" "${money[@]}" --json > run.json
mfsweep budget first.yaml "${money[@]}" --json > decision.json

# 3. The structures whose CC labels would help the best stage most. The lab labels them; they come back beside the old ones.
mfsweep select pool.h5 --method cc --n "$number" --best result.test.cc.energy_mae --out chosen --json > selection.json
mfsweep data add chosen.h5 lab.h5 --labels cc
mfsweep data add pool.h5 chosen.h5 --labels cc --as cc_2

# 4. The second spec: one label method and one set more, at the largest sizes. Its pre-trainings are those of the first.
sed -e 's/^  splits:/    cc_2: {energy: "cc_2.energy"}   # cc, and what was bought\n  splits:/' \
    -e 's/labels: cc, subset: a, size: "${finetune_size}"}/labels: cc_2, subset: a, size: "${finetune_size}"}, {labels: cc_2, subset: b, size: labelled}/' \
    -e "s/^  pretrain_size: .*/  pretrain_size: [${pretrain##*,}]/" -e "s/^  finetune_size: .*/  finetune_size: [${finetune##*,}]/" \
    -e 's/{labels: cc, subset: t}/{labels: cc_2, subset: t}/' -e '/^fits:/,/^  transfer:/d' -e 's/^name: first/name: second/' \
    first.yaml > second.yaml
mfsweep run second.yaml --json > second.json

# 5. What the rest of the grid would have said.
mfsweep run first.yaml --json > rest.json
mfsweep budget first.yaml "${money[@]}" --against decision.json --json > whole.json
mfsweep budget first.yaml "${money[@]}" --against decision.json

# 6. What the bought labels have brought: the test errors of each fold, at the largest sizes.
python - <<'PY'
import mfsweep

for name, method in ("first", "cc"), ("second", "cc_2"):
    frame = mfsweep.Sweep(f"{name}.yaml", "loop-store").frame()
    sizes = frame[["pretrain_size", "finetune_size"]]
    errors = frame[(sizes == sizes.max()).all(axis=1)][f"result.test.{method}.energy_mae"]
    print(f"{name}:", ", ".join(f"{error:.1f}" for error in errors), "meV/atom")
PY
