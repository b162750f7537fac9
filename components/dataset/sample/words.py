"""What titles are made of: eight topics, each with its own things, doings and tags, and shapes of sentences."""

TOPICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cooking": (
        ("sourdough bread", "tomato soup", "roast chicken", "chocolate cake", "fresh pasta", "vegetable curry"),
        ("baking", "recipe", "kitchen", "dinner", "chef"),
    ),
    "football": (
        ("penalty kick", "cup final", "goalkeeper save", "league match", "free kick", "midfield pass"),
        ("goal", "stadium", "league", "striker", "referee"),
    ),
    "astronomy": (
        ("ring of Saturn", "lunar eclipse", "distant galaxy", "comet tail", "space telescope", "Mars rover"),
        ("planet", "rocket", "orbit", "stars", "telescope"),
    ),
    "pets": (
        ("sleepy kitten", "rescue puppy", "talking parrot", "clumsy hamster", "house cat", "playful dog"),
        ("cats", "dogs", "paws", "vet", "animals"),
    ),
    "cars": (
        ("electric sedan", "rally engine", "vintage convertible", "gearbox repair", "racing tyres", "pickup truck"),
        ("engine", "driving", "garage", "race", "motor"),
    ),
    "gardening": (
        ("rose bush", "vegetable bed", "compost heap", "apple tree", "herb garden", "greenhouse seedling"),
        ("plants", "flowers", "soil", "harvest", "seeds"),
    ),
    "music": (
        ("guitar solo", "piano sonata", "drum rehearsal", "jazz concert", "violin lesson", "choir song"),
        ("melody", "band", "concert", "singer", "rhythm"),
    ),
    "money": (
        ("stock market", "savings account", "mortgage rate", "tax return", "pension fund", "household budget"),
        ("finance", "investing", "bank", "economy", "income"),
    ),
}

SENTENCES = (
    "The {word} nobody expected: {thing}",
    "{thing} explained in five minutes",
    "My first {thing}, and what I learned about {word}",
    "Why every {word} lover talks about this {thing}",
    "A long day with a {thing}",
    "Seven facts about {word} and the {thing}",
    "{thing}: a beginner's guide to {word}",
    "What {word} experts say about the {thing}",
)

COMMON_TAGS = ("daily", "short", "popular", "new", "story", "howto")
