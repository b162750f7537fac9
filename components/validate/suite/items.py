"""The items: ids, texts, tags, images."""

from components.validate.suite.rule import Between, Distinct, Empty, Filled, Rule, none

ITEMS = (
    Rule(
        "item-ids-distinct",
        "items",
        Distinct("item_id"),
        "stop",
        "item_feature has one row an item",
        "Of two rows the later one would win in silence.",
    ),
    Rule(
        "item-ids-valid",
        "items",
        Between("item_id", low=0, high="max_item_id"),
        "stop",
        "item ids are small whole numbers",
        "The item table has one row for each id up to the largest.",
    ),
    Rule(
        "item-levels-range",
        "items",
        none("level_out_of_range"),
        "stop",
        "an item's levels lie in 0..10",
        "Levels index an embedding table of 11 rows.",
    ),
    Rule(
        "titles-filled",
        "items",
        Filled("item_title", mostly="min_titles"),
        "stop",
        "items have a title",
        "The text encoder gives every empty title the same vector.",
    ),
    Rule(
        "titles-differ",
        "items_whole",
        Between("top_title_share", high="max_same_title"),
        "stop",
        "titles differ from item to item",
        "One title for all is a placeholder or a broken join.",
    ),
    Rule(
        "tags-present",
        "items",
        Between("tags", low=1, mostly="min_tagged"),
        "stop",
        "items have a tag",
        "A lost join with the tag table leaves the lists empty.",
    ),
    Rule(
        "tags-known",
        "items",
        none("bad_tags"),
        "stop",
        "tags are positive ids, or texts that are not empty",
        "Tags index an embedding table: a negative or blank one belongs to no tag.",
    ),
    Rule(
        "tags-differ",
        "items_whole",
        Between("top_tags_share", high="max_same_tags"),
        "stop",
        "tags differ from item to item",
        "The same tags for all say nothing about any.",
    ),
    Rule(
        "content-fits-items",
        "content",
        Between("coherence", low="min_coherence"),
        "stop",
        "items clicked one after another are more alike than items drawn at random",
        "When titles, tags or vectors were handed to the wrong items nothing else shows it: every value is valid.",
    ),
)

IMAGES = (
    Rule(
        "images-present",
        "items",
        Between("has_image", low=1, mostly="min_images"),
        "stop",
        "items have a picture",
        "A missing shard leaves a whole range of items without one.",
    ),
    Rule(
        "images-whole",
        "images",
        Empty("problem"),
        "warn",
        "every picture can be decoded to its last line",
        "The embedding step gives such an item an average picture.",
    ),
    Rule(
        "images-decodable",
        "images",
        Empty("problem", mostly="min_decodable"),
        "stop",
        "nearly all pictures can be decoded",
        "A cut transfer damages many, and an error page that was saved as a picture repeats.",
    ),
    Rule(
        "images-differ",
        "images_whole",
        Between("top_image_share", high="max_same_image"),
        "stop",
        "pictures differ from item to item",
        "A placeholder in place of pictures has one and the same vector.",
    ),
)
