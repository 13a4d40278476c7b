"""JSON from outside, read so that it means one thing."""

import json
from typing import Any

from app.errors import InvalidRequest


def parse_json(content: str | bytes, what: str) -> Any:
    """Returns the value of strict JSON.

    Args:
        content: Text, or its UTF-8.
        what: Whose content it is, for the error: "The body".

    Raises:
        InvalidRequest: It is not JSON, or not JSON that means one thing: NaN, a key twice, half a character, or deeper
            than Python can follow.
    """

    def refuse(_constant: str) -> None:
        raise InvalidRequest(f"{what} is not JSON: NaN and Infinity are not numbers.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise InvalidRequest(f"{what} has a key twice.")
        return dict(pairs)

    try:
        text = content if isinstance(content, str) else content.decode()
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"{what} is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{what} is not JSON: it is not UTF-8.") from None
    except UnicodeEncodeError:
        raise InvalidRequest(f"{what} has half of a surrogate pair, which is no character.") from None
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        raise InvalidRequest(f"{what} is not JSON that can be read: too deep, or a number too long.") from None
    return value
