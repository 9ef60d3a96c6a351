"""What is wrong with a configuration, in one line."""


class ConfigError(ValueError):
    """A mistake in the configuration, told in one line, whatever is quoted in it."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Text on one line; what no terminal should be sent, such as escape sequences, becomes `?`."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))


def first_line(error: BaseException) -> str:
    """The first line of a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def plain_words(error: Exception) -> str:
    """The sentence in a library's message of several lines; of a resolver's error, the resolver's own."""
    sentence = str(error).split("\n    full_key:")[0]
    return " ".join(sentence.rpartition("raised while resolving interpolation: ")[2].split())
