"""Small tools for texts."""


def slug(text):
    """The text as it may stand in an address."""
    return "-".join(text.lower().split())


def tally(text):
    """How often each word occurs."""
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def initials(name):
    """The first letters of a name."""
    return "".join(part[0] for part in name.split(" "))


def shorten(text, length):
    """The text, cut to a length, with an ellipsis where it was cut."""
    if len(text) <= length:
        return text
    return text[:length] + "..."
