"""The features of the public challenge: what a data set has that brings no features.yaml."""

from components.schema.encoder import Encoder, FittedFeature

LIKES, VIEWS = "likes_level", "views_level"
LEVELS = 11  # 0 is unknown, 1 to 10 are deciles
TAGS, MAX_TAGS = "item_tags", 5

# The challenge's solutions use the levels of the row alone, so the items' own have no place until a config names one.
CHALLENGE = Encoder(
    row=tuple(FittedFeature(name, "category", levels=LEVELS) for name in (LIKES, VIEWS)),
    item=tuple(FittedFeature(name, "category", levels=LEVELS, place=None, of="item") for name in (LIKES, VIEWS)),
)
