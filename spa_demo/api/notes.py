"""The API's small domain: a list of notes that all users share. In memory, bounded, pure."""

from dataclasses import dataclass
from itertools import count
from typing import Any

MAX_TEXT_CHARS = 500


class NoteInvalid(ValueError):
    """The body of the request is not a note."""


class NotTheAuthor(Exception):
    """A user may not delete the note of another one."""


@dataclass(frozen=True, slots=True)
class Note:
    """`created_at` is in epoch seconds."""

    id: int
    text: str
    author: str
    created_at: float

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "text": self.text,
            "author": self.author,
            "created_at": self.created_at,
        }


class Notes:
    """All notes, oldest first; past `capacity` the oldest goes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids = count(1)
        self._notes: dict[int, Note] = {}

    def all(self) -> list[Note]:
        return list(self._notes.values())

    def add(self, text: str, author: str, now: float) -> Note:
        note = Note(next(self._ids), text, author, now)
        self._notes[note.id] = note
        while len(self._notes) > self._capacity:
            self._notes.pop(next(iter(self._notes)))
        return note

    def delete(self, note_id: int, author: str) -> bool:
        """False when there is no such note.

        Raises: NotTheAuthor.
        """
        note = self._notes.get(note_id)
        if note is None:
            return False
        if note.author != author:
            raise NotTheAuthor
        del self._notes[note_id]
        return True


def read_text(document: Any) -> str:
    """The text of `{"text": ...}`.

    Raises: NoteInvalid.
    """
    text = document.get("text") if isinstance(document, dict) else None
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT_CHARS:
        raise NoteInvalid
    return text.strip()
