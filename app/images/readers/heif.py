"""Reads HEIF files, such as HEIC photos from phones, with pi-heif (libheif and libde265).

libheif applies the crop, the rotation and the mirroring that the file declares. As the standard says, the orientation
in EXIF is ignored: phones store the same rotation in both places.
"""

import numpy as np
import pi_heif
from PIL import Image

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.raster import Header, Raster, ReadOptions
from app.images.readers import avif
from app.images.readers.boxes import find_property
from app.images.readers.containers import Container, read_colours, read_container, with_image_alone

# The service decodes several images at the same time already. Thumbnails, depth and other maps are not used.
pi_heif.options.DECODE_THREADS = 1
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False

DECODED, AV1 = b"hvc1", b"av01"
OTHER_CODECS = {
    b"avc1": "H.264",
    b"evc1": "EVC",
    b"j2k1": "JPEG 2000",
    b"jpeg": "JPEG",
    b"lhv1": "layered HEVC",
    b"unci": "uncompressed",
    b"vvc1": "VVC",
}


def read_header(data: bytes, frame: int = 0) -> Header:
    """Returns the header of an image. The frames are the images, the primary one first, or those of the track.

    Raises:
        UnsupportedMediaType: The file has no still image, or one with another codec.
        InvalidImage: The primary image is missing.
    """
    container = read_container(data)
    if codec(container) == AV1:
        return avif.read_header(data)
    images = container.images()
    frames = max(len(images), *(track.samples for track in container.tracks), 1)
    return Header(*container.size(images[frame if frame < len(images) else 0]), frames)


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns an image, upright.

    Raises:
        UnsupportedMediaType: The file is an image sequence without a still image of this number, has another codec,
            or uses a feature that libheif does not have.
        EOFError: The file is truncated.
        InvalidImage: The primary image is missing or damaged.
    """
    container = read_container(data)
    if codec(container) == AV1:
        return avif.read(data, options)
    images = container.images()
    if options.frame >= len(images):
        raise UnsupportedMediaType(
            "Only the still images of a HEIC image sequence are supported. Send the frame as JPEG or PNG."
        )
    number = images[options.frame]
    container.check_complete(number, len(data))
    try:
        # Kept in a variable: pi-heif 1.4 lets the pixels of an image point to freed memory after the file is gone.
        file = pi_heif.open_heif(with_image_alone(data, container, number, b"heic"))
        found = file[file.primary_index]
        image = found.to_pillow()
    except SyntaxError as error:
        raise UnsupportedMediaType(
            f"This kind of HEIF is not supported ({str(error).strip()}). Send JPEG or PNG."
        ) from error
    if not found.info["primary"]:
        raise InvalidImage("The HEIF is damaged: it does not contain the image that it declares as the primary one.")
    notes = ["reduced_from_16_bit"] if found.info["bit_depth"] > 8 else []
    if image.mode == "I;16":  # libheif reduces colour images only
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if is_turned(container, number):
        notes.append("exif_orientation_applied")
    width, height = image.size
    return Raster(image, width, height, tuple(notes), read_colours(container.described(number)))


def codec(container: Container) -> bytes:
    """Returns the codec of the image to show: `hvc1` or `av01`.

    Raises:
        UnsupportedMediaType: The file has no still image, or one with another codec.
        InvalidImage: The primary image is missing.
    """
    if container.primary is None:
        if container.tracks:
            if container.tracks[0].codec == AV1:
                return AV1
            raise UnsupportedMediaType("A HEIC image sequence is not supported. Send one frame as JPEG or PNG.")
        raise InvalidImage("The HEIF contains no image.")
    kind = container.codec(container.primary)
    if not kind:
        raise InvalidImage("The HEIF is damaged: it does not contain the image that it declares as the primary one.")
    if kind not in (DECODED, AV1):
        name = OTHER_CODECS.get(kind, kind.decode("latin-1"))
        raise UnsupportedMediaType(f"HEIF with images of the kind {name} is not supported. Send JPEG or PNG.")
    return kind


def is_turned(container: Container, image: int) -> bool:
    """Returns whether the file declares that an image is to be rotated or mirrored."""
    properties = container.properties.get(image, [])
    rotation = find_property(properties, b"irot")
    return bool(rotation and rotation[0] & 3) or find_property(properties, b"imir") is not None
