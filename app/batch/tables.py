"""Images in `.parquet` files: a column of files' bytes, or of paths and URLs.

| type of the column                     | image                                    | its name in the results          |
|----------------------------------------|------------------------------------------|----------------------------------|
| binary                                 | the bytes                                | the column `path`, or TABLE#ROW  |
| a struct with `bytes` (Hugging Face's) | its `bytes`                              | its `path`, or TABLE#ROW         |
| text                                   | the file; relative to the table's folder | its path                         |

Rows count from 0.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple, Self

from app.batch import BatchMistake
from app.batch.files import MAX_FILE_BYTES, NotScored
from app.batch.inputs import Source, located
from app.batch.storage import FAULTS_OF_A_FILE, as_storage_error, opened_file, reason_of

COLUMNS = ("image", "bytes", "path")  # the first one that a table has
PATH = "path"
ROWS_AT_ONCE = 64


class TableError(Exception):
    """A table cannot be read. The message says why."""


class TableImage(NamedTuple):
    """An image in a row of a table."""

    path: str
    row: int


def image_column(schema: Any, column: str | None, name: str) -> str:
    """Returns the column with the images.

    Raises:
        BatchMistake: The table has no such column.
    """
    wanted = [column] if column else COLUMNS
    for one in wanted:
        if one in schema.names:
            return str(one)
    raise BatchMistake(f"{name} has no column {' or '.join(wanted)}: name it with --column. It has: {schema.names}")


def table_images(source: Source, column: str | None) -> Iterator[TableImage | Source]:
    """Yields the images of a table, or the files that it names. No image is read.

    Raises:
        BatchMistake: It has no column with images.
        TableError: It is not a table.
        OSError: It cannot be opened.
        BatchError: The storage fails.
    """
    from pyarrow import ArrowException, types

    with ExitStack() as stack:
        try:
            table = opened_table(source.file, stack)
            name = image_column(table.schema_arrow, column, source.path)
            kind = table.schema_arrow.field(name).type
            folder, row = source.file.rpartition("/")[0], 0
            if types.is_string(kind) or types.is_large_string(kind):
                for values in column_values(table, name):
                    for value in values:
                        missing = Source(f"{source.path}#{row}", source.file, "The row has no path.")
                        yield located(value, folder) if value else missing
                        row += 1
                return
            if types.is_struct(kind) and "bytes" in [field.name for field in kind]:
                named = f"{name}.{PATH}" if PATH in [field.name for field in kind] else None
            elif types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
                named = PATH if PATH in table.schema_arrow.names and name != PATH else None
            else:
                raise BatchMistake(f"{source.path}: the column {name} has neither files nor paths, but {kind}")
            names = column_values(table, named) if named else without_names(table.metadata.num_rows)
            for values in names:
                for value in values:
                    given = value.get(PATH) if isinstance(value, dict) else value
                    yield TableImage(str(given) if given else f"{source.path}#{row}", row)
                    row += 1
        except ArrowException as error:
            raise TableError(f"The file cannot be read as a table: {error}") from None


def opened_table(file: str, stack: ExitStack) -> Any:
    """Returns an open `.parquet` file."""
    from pyarrow.parquet import ParquetFile

    # The columns of a group of rows are read as they are needed: a group may have gigabytes of images.
    return ParquetFile(stack.enter_context(opened_file(file)), pre_buffer=False)


def column_values(table: Any, name: str) -> Iterator[list[Any]]:
    """Yields the values of a column, in order."""
    for batch in table.iter_batches(columns=[name]):
        yield batch.column(0).to_pylist()


def without_names(count: int) -> Iterator[list[None]]:
    """Yields rows without names."""
    for _ in range(count):
        yield [None]


class Rows:
    """Reads the images of tables row by row. Rows in order are read once."""

    def __init__(self, column: str | None) -> None:
        self._column = column
        self._stack = ExitStack()
        self._file = ""
        self._values: Iterator[Any] = iter(())
        self._next = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def content(self, file: str, row: int) -> bytes | NotScored:
        """Returns the bytes in a row, or why there are none.

        Raises:
            BatchError: The storage fails.
        """
        from pyarrow import ArrowException

        try:
            with as_storage_error(file):
                try:
                    if file != self._file or row < self._next:
                        self._open(file, row)
                    while self._next <= row:
                        value = next(self._values)
                        self._next += 1
                except (ArrowException, StopIteration) as error:
                    self._file = ""
                    return NotScored(f"The table cannot be read: {error}")
        except FAULTS_OF_A_FILE as error:
            self._file = ""
            return NotScored(reason_of(error))
        if isinstance(value, dict):
            value = value["bytes"]
        if value is None:
            return NotScored("The row has no image.")
        if len(value) > MAX_FILE_BYTES:
            return NotScored(f"The file has {len(value):,} bytes; at most {MAX_FILE_BYTES:,} are read.")
        return bytes(value)

    def _open(self, file: str, row: int) -> None:
        self._stack.close()
        self._stack = ExitStack()
        table = opened_table(file, self._stack)
        name = image_column(table.schema_arrow, self._column, file)
        group = first = 0
        sizes = [table.metadata.row_group(index).num_rows for index in range(table.metadata.num_row_groups)]
        while group < len(sizes) and first + sizes[group] <= row:
            first += sizes[group]
            group += 1
        batches = table.iter_batches(ROWS_AT_ONCE, row_groups=list(range(group, len(sizes))), columns=[name])
        self._values = (value for batch in batches for value in batch.column(0).to_pylist())
        self._file, self._next = file, first
