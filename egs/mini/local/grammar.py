"""The closed grammar of the mini corpus: things one says to a house, from about 100 words.

turn on the kitchen lights
set the bedroom heater to twenty five degrees please
play jazz in the living room tomorrow morning
"""

import random

ROOMS = ("kitchen bedroom bathroom hallway garage office garden basement attic nursery").split() + ["living room"]
DEVICES = ("lights lamp fan heater radio television speaker camera kettle oven dishwasher vacuum").split()
OPENINGS = ("door window blinds curtains gate").split()
DOORS = ("door", "window")
MACHINES = ("vacuum", "dishwasher", "oven", "kettle", "camera")
DIMMABLE = ("lights", "lamp")
VOLUME = ("radio", "television", "speaker")
MUSIC = ("jazz", "rock", "music", "news", "stories")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
UNITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SMALL = (*UNITS[1:], "ten", "eleven", "twelve", "fifteen")
TIMES = ("now", "later", "tonight", "tomorrow", "tomorrow morning", "this evening", "after breakfast", "before dinner")
MAX_WORDS = 11


def _number(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(SMALL)
    if kind < 0.7:
        return rng.choice(TENS)
    return f"{rng.choice(TENS)} {rng.choice(UNITS)}"


def _command(rng: random.Random) -> str:
    room = rng.choice(ROOMS)
    place = f"the {room}"
    choices = (
        lambda: f"{rng.choice(('turn', 'switch'))} {rng.choice(('on', 'off'))} {place} {rng.choice(DEVICES)}",
        lambda: f"set {place} heater to {_number(rng)} degrees",
        lambda: f"{rng.choice(('dim', 'brighten'))} {place} {rng.choice(DIMMABLE)} to {_number(rng)} percent",
        lambda: f"{rng.choice(('open', 'close', 'lock', 'unlock'))} {place} {rng.choice(OPENINGS)}",
        lambda: f"{rng.choice(('play', 'stop', 'pause'))} {rng.choice(MUSIC)} in {place}",
        lambda: f"turn {rng.choice(('up', 'down'))} {place} {rng.choice(VOLUME)} by {_number(rng)} percent",
        lambda: f"set {rng.choice(('a timer', 'an alarm'))} for {_number(rng)} {rng.choice(('minutes', 'hours'))}",
        lambda: f"start {place} {rng.choice(MACHINES)} in {_number(rng)} minutes",
        lambda: f"is {place} {rng.choice(DOORS)} {rng.choice(('open', 'closed', 'locked'))}",
        lambda: f"what is the temperature in {place}",
        lambda: f"{rng.choice(('show me', 'check'))} {place} {rng.choice(('camera', 'door', 'temperature', 'window'))}",
    )
    return rng.choice(choices)()


def sentence(rng: random.Random) -> str:
    """Draw one sentence of 4 to MAX_WORDS words."""
    while True:
        text = _command(rng)
        if text.startswith("is "):
            return text
        # Without a time there are too few of these: the test sets would take them all, and training would have none.
        if rng.random() < (0.8 if text.startswith("what ") else 0.3):
            text = f"{text} {rng.choice(TIMES)}"
        if text.startswith("what "):
            return text
        if rng.random() < 0.25:
            text = f"please {text}" if rng.random() < 0.5 else f"{text} please"
        if rng.random() < 0.15:
            text = f"{text} and {_command(rng)}"
        if len(text.split()) <= MAX_WORDS:
            return text


def sentences(count: int, seed: str, without: frozenset[str] = frozenset(), distinct: bool = False) -> list[str]:
    """Draw ``count`` sentences, none of them in ``without``; ``distinct`` forbids repetitions as well."""
    rng = random.Random(seed)
    drawn: list[str] = []
    taken = set(without)
    while len(drawn) < count:
        text = sentence(rng)
        if text not in taken:
            drawn.append(text)
            if distinct:
                taken.add(text)
    return drawn
