"""cluster.yaml against the schema that Ray ships, and against what mfsweep asks of a cluster."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cluster() -> dict:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_the_file_fits_rays_schema(cluster):
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)


def test_rays_launcher_takes_it_with_its_defaults(cluster):
    from ray.autoscaler._private import util

    prepared = util.prepare_config(cluster)
    util.validate_config(prepared)
    assert prepared["docker"]["head_image"]


def test_the_head_trains_nothing_and_workers_offer_four_gpus(cluster):
    types = cluster["available_node_types"]
    head = types[cluster["head_node_type"]]
    assert head["resources"]["CPU"] == head["resources"]["GPU"] == 0
    assert "--num-cpus=0 --num-gpus=0" in cluster["head_start_ray_commands"][-1]
    workers = [kind for name, kind in types.items() if name != cluster["head_node_type"]]
    assert any(kind["resources"]["GPU"] == 4 and kind["min_workers"] == 0 for kind in workers)


def test_the_largest_cluster_serves_a_four_gpu_stage_at_once_on_each_worker(cluster):
    from ray.autoscaler._private.util import prepare_config

    gpu4 = prepare_config(cluster)["available_node_types"]["gpu4"]
    assert 0 < gpu4["max_workers"] <= cluster["max_workers"]


def test_the_images_and_the_constraints_name_the_same_ray(cluster):
    version = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert version
    for image in (cluster["docker"]["head_image"], cluster["docker"]["worker_image"]):
        assert image.startswith(f"rayproject/ray:{version[1]}-py311")


def test_the_files_it_installs_from_exist(cluster):
    mounted = [local for local in cluster["file_mounts"].values() if not local.startswith("~")]
    assert "pyproject.toml" in mounted
    assert [local for local in mounted if not (ROOT / local).exists()] == []


@pytest.mark.parametrize(
    ("path", "uploaded"),
    [
        ("mfsweep/cli/main.py", True),
        ("mfsweep/data/bundled/mini-ccx.h5", True),
        ("search_spaces/quickstart.yaml", True),
        ("ani1x-release.h5", False),
        ("mfsweep-store/stages/k/checkpoints/last.pt", False),
        (".venv/bin/python", False),
    ],
)
def test_a_submitted_job_uploads_the_code_and_no_data(path, uploaded):
    from ray._private.runtime_env.packaging import get_excludes_from_ignore_files

    left_out = get_excludes_from_ignore_files(ROOT, include_gitignore=True)
    assert len(left_out) == 2, ".gitignore and .rayignore"
    assert uploaded != any(is_excluded(ROOT / path) for is_excluded in left_out)
