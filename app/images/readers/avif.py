"""Reads AVIF files with Pillow (libavif).

Pillow gives the rotation and the mirroring that the file declares as orientation. As the standard says, the orientation
in EXIF is ignored: encoders store the same rotation in both places.
"""

import struct
from io import BytesIO

from PIL import ExifTags, Image, features
from PIL.AvifImagePlugin import AvifImageFile

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.raster import Header, Raster, ReadOptions
from app.images.readers.boxes import Box, find_property
from app.images.readers.containers import Container, Track, read_colours, read_container, with_image_alone

AV1 = b"av01"


def read_header(data: bytes, _frame: int = 0) -> Header:
    """Returns the header. The frames are those of an image sequence.

    Raises:
        UnsupportedMediaType: The image is not coded with AV1, or Pillow was built without libavif.
        InvalidImage: The file contains no image.
    """
    if not features.check("avif"):
        raise UnsupportedMediaType("AVIF needs a Pillow with libavif on the server. Send JPEG or PNG.")
    container = read_container(data)
    if track := sequence(container):
        return Header(track.width, track.height, track.samples)
    codec = b"" if container.primary is None else container.codec(container.primary)
    if container.primary is None or not codec:
        raise InvalidImage("The AVIF is damaged: it contains no image.")
    if codec != AV1:
        name = codec.decode("latin-1")
        raise UnsupportedMediaType(f"AVIF with images of the kind {name} is not supported. Send JPEG or PNG.")
    return Header(*container.size(container.primary))


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns a frame.

    Raises:
        EOFError: The file is truncated.
    """
    container = read_container(data)
    primary = container.primary or 0
    track = sequence(container)
    properties = track.properties if track else container.properties.get(primary, [])
    described = track.properties if track else container.described(primary)
    container.check_complete(primary, len(data))
    file = AvifImageFile(BytesIO(with_image_alone(data, container, primary, b"avis" if track else b"avif")))
    if options.frame:
        file.seek(options.frame)
    file.load()
    image = cropped(file, properties)
    configuration = find_property(described, b"av1C")
    has_many_bits = configuration is not None and configuration[2] & 0x40
    return Raster(
        image,
        *image.size,
        notes=("reduced_from_16_bit",) if has_many_bits else (),
        colour_space=read_colours(described),
        orientation=file.getexif().get(ExifTags.Base.Orientation, 1),
    )


def sequence(container: Container) -> Track | None:
    """Returns the image sequence that libavif reads, or None if it reads the still image."""
    if container.brand == b"avif":
        return None
    return next((track for track in container.tracks if track.codec == AV1), None)


def cropped(image: Image.Image, properties: list[Box]) -> Image.Image:
    """Returns the part of an image that the file declares as the one to show (`clap`). libavif does not crop.

    A part that is not inside the image is ignored, as browsers do.
    """
    clap = find_property(properties, b"clap")
    if clap is None:
        return image
    (w, w_unit, h, h_unit), (x, x_unit, y, y_unit) = (
        struct.unpack_from(">4I", clap),
        struct.unpack_from(">iIiI", clap, 16),
    )
    if not (w_unit and h_unit and x_unit and y_unit):
        return image
    width, height = round(w / w_unit), round(h / h_unit)
    # The offsets are those of the part's centre from the image's centre.
    left, top = (image.width - width) / 2 + x / x_unit, (image.height - height) / 2 + y / y_unit
    inside = 0 <= left <= image.width - width and 0 <= top <= image.height - height
    if not (inside and width and height and left.is_integer() and top.is_integer()):
        return image
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))
