"""What the gpu image has beyond the cpu image. Whether a GPU likes it can be seen only on one."""

import json
import re

import pytest

from tests.containers.engine import ROOT, docker, in_container

pytestmark = [pytest.mark.containers, pytest.mark.slow]

SIZE_BUDGET = 9 * 2**30  # bytes, uncompressed; CUDA's libraries are two thirds of it

PROBE = """
import json, torch, triton
from torch import distributed
weight = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.AdamW([weight], fused=True)
weight.sum().backward()
optimizer.step()
print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "nccl": distributed.is_nccl_available(),
    "nccl_version": torch.cuda.nccl.version(), "architectures": torch._C._cuda_getArchFlags(),
    "moved": weight.tolist() != [1, 1, 1]}))
"""


def test_torch_is_the_cuda_build_with_nccl_and_the_fused_optimizer(gpu_image: str) -> None:
    run = in_container(gpu_image, "python3", "-c", PROBE)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["torch"].endswith("+cu130")
    assert found["nccl"]
    assert found["nccl_version"][0] >= 2
    assert {"sm_80", "sm_90"} <= set(found["architectures"].split())
    assert found["moved"]


def test_all_other_packages_are_those_of_the_lock(gpu_image: str) -> None:
    bill = json.loads(in_container(gpu_image, "cat", "/sbom.cdx.json").stdout)
    packages = [c for c in bill["components"] if c["purl"].startswith("pkg:pypi/")]
    listed = {re.sub(r"[-_.]+", "-", c["name"]): c["version"] for c in packages}
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().split())
    normal = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in locked.items() if name != "torch"}
    assert {name: listed.get(name) for name in normal} == normal
    brought = set(listed) - set(normal) - {"torch", "setuptools"}
    assert {name for name in brought if not name.startswith(("nvidia-", "cuda-"))} == {"triton"}


def test_the_image_keeps_to_its_budget(gpu_image: str) -> None:
    (image,) = json.loads(docker("image", "inspect", gpu_image).stdout)
    assert image["Size"] <= SIZE_BUDGET
    assert image["Config"]["User"] == "10001:10001"
