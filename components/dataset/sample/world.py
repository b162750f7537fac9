"""How the data are generated: what items are, what users like, and which items they click.

An item has a topic, which its title and tags tell, and a colour, shape and texture, which its cover shows. A user has a
liking for each of them. A user's next click is item i, among those not clicked yet, with probability

    proportional to  popularity_i * exp(liking of topic_i + colour_i + shape_i + texture_i).

Items alike in all four are one kind: likings are worked out for each kind and not for each item, which is what makes
the challenge's 91,717 items and 900,000 users a matter of minutes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.dataset.layout import MAX_TAGS
from components.dataset.sample.spec import SampleSpec
from components.dataset.sample.words import COMMON_TAGS, SENTENCES, TOPICS
from components.dataset.tables import deciles

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COLOURS, SHAPES, TEXTURES = 6, 4, 3
ATTRIBUTES = (len(TOPICS), COLOURS, SHAPES, TEXTURES)
LIKING = (2.2, 1.8, 1.3, 0.9)  # standard deviation of a user's liking of a topic, colour, shape and texture
_POPULARITY = 1.0  # standard deviation of an item's log popularity


@dataclass(frozen=True)
class World:
    """Arrays over items; entry 0 is item 1."""

    attributes: Ints  # [items, 4]: topic, colour, shape, texture
    popularity: Floats
    likes: Ints
    views: Ints
    titles: list[str]
    tags: list[list[int]]
    new: npt.NDArray[np.bool_]  # these items appear in test only

    @property
    def items(self) -> int:
        return len(self.popularity)


def make_world(spec: SampleSpec) -> World:
    rng = np.random.default_rng([spec.seed, 0])
    n = spec.items
    attributes = np.stack([rng.integers(0, count, n) for count in ATTRIBUTES], axis=1)
    log_popularity = rng.normal(0.0, _POPULARITY, n)
    new = np.zeros(n, dtype=bool)
    new[rng.choice(n, round(n * spec.new_items), replace=False)] = True
    texts = [_title_and_tags(int(topic), rng) for topic in attributes[:, 0]]
    return World(
        attributes=attributes,
        popularity=np.exp(log_popularity),
        likes=deciles(log_popularity + rng.normal(0.0, 0.8, n)),
        views=deciles(log_popularity + rng.normal(0.0, 0.5, n)),
        titles=[title for title, _ in texts],
        tags=[tags for _, tags in texts],
        new=new,
    )


def _title_and_tags(topic: int, rng: np.random.Generator) -> tuple[str, list[int]]:
    things, words = list(TOPICS.values())[topic]
    sentence = SENTENCES[rng.integers(len(SENTENCES))]
    title = sentence.format(thing=things[rng.integers(len(things))], word=words[rng.integers(len(words))])
    own = 1 + topic * len(words) + rng.choice(len(words), int(rng.integers(1, MAX_TAGS)), replace=False)
    common = 1 + len(TOPICS) * len(words) + rng.choice(len(COMMON_TAGS), 1)
    return title[0].upper() + title[1:], [int(tag) for tag in (*own, *common)]
