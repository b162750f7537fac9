"""`make check-infra`: builds every overlay, and every optional part, and says everything that is wrong with it.

python -m infra.check
"""

import sys

import yaml

from infra.check.build import COMPONENTS, K8S, OVERLAYS, Manifest, build, build_with, title
from infra.check.neighbours import neighbour_errors
from infra.check.policies import policy_errors
from infra.check.schemas import schema_errors

BY_HAND = ("trainjob.yaml", "overlays/prod/profile.yaml")


def errors_of(manifests: list[Manifest]) -> list[str]:
    found = [f"{title(manifest)}: {error}" for manifest in manifests for error in schema_errors(manifest)]
    return found + policy_errors(manifests) + neighbour_errors(manifests)


def main() -> int:
    failed = False
    overlays = [(name, build(K8S / "overlays" / name)) for name in OVERLAYS]
    optional = [(f"prod with {name}", build_with(name)) for name in COMPONENTS]
    by_hand = [(path, [yaml.safe_load((K8S / path).read_text())]) for path in BY_HAND]
    for name, manifests in [*overlays, *optional, *by_hand]:
        errors = errors_of(manifests)
        print(f"{name}: {len(manifests)} objects, {len(errors) or 'no'} errors")
        for error in errors:
            print(f"  {error}")
        failed = failed or bool(errors)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
