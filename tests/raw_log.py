"""Small raw logs, as a team has them: clicks.csv, items.csv and a features.yaml that names their columns."""

from pathlib import Path

import numpy as np

COLUMNS = "log: {user: visitor, item: sku, time: at, label: clicked}\n"
FEATURES = """\
features:
  - {name: device, of: row, kind: category}
  - {name: hour_of_day, of: row, kind: number, encoding: buckets}
  - {name: price, of: item, kind: number}
  - {name: brand, of: item, kind: category}
  - {name: materials, of: item, kind: categories}
log: {user: visitor, item: sku, time: at, label: clicked, title: name}
"""
ITEMS = 30


def write_clicks(folder: Path, events: int = 600, seed: int = 0) -> Path:
    """Twenty visitors; each moment has two events."""
    rng = np.random.default_rng(seed)
    lines = [
        f"v{rng.integers(20)},sku-{rng.integers(ITEMS)},{1_700_000_000 + 1800 * (k // 2)},{int(rng.random() < 0.4)},"
        f"{rng.choice(['phone', 'desktop', ''])}"
        for k in range(events)
    ]
    rng.shuffle(lines)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clicks.csv").write_text("visitor,sku,at,clicked,device\n" + "\n".join(lines) + "\n")
    return folder / "clicks.csv"


def write_items(folder: Path) -> Path:
    lines = [f'sku-{k},"Thing {k}, large",{k * 2.5},{["Acme", "Birch", ""][k % 3]},wool|oak' for k in range(ITEMS)]
    (folder / "items.csv").write_text("sku,name,price,brand,materials\n" + "\n".join(lines) + "\n")
    return folder / "items.csv"


def write_features(folder: Path, text: str = FEATURES) -> Path:
    (folder / "features.yaml").write_text(text)
    return folder / "features.yaml"
