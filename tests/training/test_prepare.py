"""The data preparation, with small tables and hand-made art. It needs no network and only the rendering packages."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from training import art, concepts, contact_sheet, english, prepare, render, vocabulary

GROUPS = {
    "groups": {"0": "smileys-emotion", "3": "animals-nature", "9": "flags"},
    "subgroups": {"14": "heart", "34": "animal-mammal", "98": "country-flag"},
}
TWO_SHAPES = art.Icon(
    '<path fill="#fc0" d="M8 8h16v16H8z"/><circle cx="16" cy="16" r="4" fill="#000"/>', (0, 0, 32, 32)
)


def row(emoji: str, hexcode: str, group: int, subgroup: int) -> dict[str, object]:
    return {"emoji": emoji, "hexcode": hexcode, "group": group, "subgroup": subgroup}


def texts(*names_and_keywords: tuple[str, list[str]]) -> list[dict[str, dict[str, object]]]:
    return [{"en": {"name": name, "keywords": keywords}} for name, keywords in names_and_keywords]


def keywords_of(pruned: list[dict[str, dict[str, object]]]) -> list[object]:
    return [concept["en"]["keywords"] for concept in pruned]


@pytest.mark.parametrize(
    ("hexcode", "expected"),
    [
        ("2764-FE0F", "2764"),
        ("0023-20E3", "23-20e3"),
        ("1F43B-200D-2744-FE0F", "1f43b-200d-2744"),
        ("1f436", "1f436"),
    ],
)
def test_code_points_are_compared_without_case_zeros_and_variation_selectors(hexcode, expected):
    assert concepts.normalise_hexcode(hexcode) == expected


def test_candidates_are_whole_subgroups_without_exceptions_and_single_chosen_emoji():
    table = [
        row("🐶", "1F436", 3, 34),
        row("🦮", "1F9AE", 3, 34),
        row("❤️", "2764-FE0F", 0, 14),
        row("💛", "1F49B", 0, 14),
        row("🇫🇷", "1F1EB-1F1F7", 9, 98),
        {"emoji": "🇦", "hexcode": "1F1E6"},
    ]
    chosen = concepts.candidates(table, GROUPS)
    assert [(concept.plain, concept.hexcode, concept.group, concept.subgroup) for concept in chosen] == [
        ("🐶", "1f436", "animals-nature", "animal-mammal"),
        ("❤", "2764", "smileys-emotion", "heart"),
    ]


def test_a_concept_without_a_name_in_one_of_the_languages_is_refused():
    dog = concepts.Concept("🐕️", "1f415", "animals-nature", "animal-mammal")
    annotations = {language: {"🐕": {"tts": ["dog"], "default": ["pet"]}} for language in concepts.LANGUAGES}
    assert concepts.texts_of(dog, annotations)["ko"] == {"name": "dog", "keywords": ["pet"]}
    assert concepts.texts_of(dog, annotations | {"ko": {}}) is None


def test_a_keyword_shared_by_too_many_concepts_is_dropped():
    many = texts(*((f"beast {number}", ["animal", f"word {number}"]) for number in range(9)))
    assert keywords_of(concepts.drop_useless_keywords(many)) == [[f"word {number}"] for number in range(9)]
    assert "animal" in keywords_of(concepts.drop_useless_keywords(many[:8]))[0]


def test_a_shared_keyword_is_kept_if_the_name_contains_it():
    many = texts(("red heart", ["heart"]), *((f"face {number}", ["heart"]) for number in range(9)))
    assert keywords_of(concepts.drop_useless_keywords(many)) == [["heart"], *[[]] * 9]


def test_duplicate_and_meaningless_keywords_are_dropped():
    pruned = concepts.drop_useless_keywords(texts(("T-shirt", ["tshirt", "Top", "top", "x", "!!", "衣"])))
    assert keywords_of(pruned) == [["Top", "衣"]]


def test_everyday_words_come_first_and_slang_and_misleading_words_are_removed():
    hot_dog = concepts.Concept("🌭", "1f32d", "food-drink", "food-prepared")
    car = concepts.Concept("🚗", "1f697", "travel-places", "transport-ground")
    assert concepts.everyday(hot_dog, ["dog", "sausage", "yolo"]) == ["sausage"]
    assert concepts.everyday(car, ["vehicle", "car"]) == ["car", "vehicle"]


def test_english_tables_contain_only_emoji_that_the_rules_can_choose():
    named = set(" ".join([*concepts.CHOSEN_CONCEPTS.values()]).split())
    left_out = set(" ".join([*concepts.WHOLE_SUBGROUPS.values()]).split())
    assert not named & left_out
    assert not (set(english.ALIASES) | set(english.MISLEADING)) & left_out


@pytest.mark.parametrize("transform", [art.outlined, art.line_art])
def test_line_art_is_valid_svg_and_differs_from_the_flat_art(transform):
    flat, lined = TWO_SHAPES.svg(), transform(TWO_SHAPES).svg()
    ET.fromstring(lined)  # noqa: S314 - our own SVG
    assert not np.array_equal(render.render(flat), render.render(lined))


def test_an_outline_is_black_outside_and_keeps_the_colour_inside():
    image = render.render(art.outlined(TWO_SHAPES).svg())
    middle = render.IMAGE_SIZE // 2
    edge = np.flatnonzero(image[middle, :, 3])[1]
    assert image[middle, edge].tolist() == [0, 0, 0, 255]
    assert image[middle, edge + 8].tolist() == [255, 204, 0, 255]


def test_line_art_is_black_and_white_and_dark_shapes_stay_dark():
    image = render.render(art.line_art(TWO_SHAPES).svg())
    middle = render.IMAGE_SIZE // 2
    edge = np.flatnonzero(image[middle, :, 3])[0]
    assert image[middle, edge + 8].tolist() == [255, 255, 255, 255]
    assert image[middle, middle].tolist() == [0, 0, 0, 255]


def test_clips_masks_shadows_and_unpainted_shapes_get_no_outline():
    body = (
        '<defs><clipPath id="a"><path d="M0 0h9v9H0z"/></clipPath></defs><mask id="b"><path d="M0 0h9v9H0z"/></mask>'
        '<path opacity=".2" d="M0 0h9v9H0z"/><path fill="none" d="M0 0h9v9H0z"/><g fill="#111"><path d="M0 0h9"/></g>'
    )
    assert "stroke" not in art.outlined(art.Icon(body, (0, 0, 32, 32))).body


def test_an_outline_has_the_same_width_inside_a_scaled_group():
    body = '<g transform="scale(4)"><path fill="#fc0" d="M0 0h9v9H0z"/></g>'
    outlined = ET.fromstring(art.outlined(art.Icon(body, (0, 0, 100, 100)), 0.04).body)  # noqa: S314 - our own SVG
    (path,) = (element for element in outlined.iter() if element.tag.endswith("path"))
    assert path.get("stroke-width") == "1"


def test_art_is_centred_and_fills_90_percent_of_the_image():
    image = render.render('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M1 1h4v2H1z"/></svg>')
    rows, columns = (np.flatnonzero(image[..., 3].any(axis=axis)) for axis in (1, 0))
    assert (image.shape, image.dtype) == ((96, 96, 4), np.uint8)
    assert (columns[0], columns[-1]) == (5, 90)
    assert (rows[0], rows[-1]) == (26, 68)


@pytest.mark.parametrize("svg", ["<svg", '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>'])
def test_invalid_and_blank_art_gives_none(svg):
    assert render.render(svg) is None


def test_art_that_crashes_its_process_does_not_lose_other_images():
    nested = "<g clip-path='none'>" * 1000 + "<path d='M0 0h9v9H0z' opacity='.5'/>" + "</g>" * 1000
    crashing = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{nested}</svg>'
    first, second = render.render_all([TWO_SHAPES.svg(), crashing])
    assert np.array_equal(first, render.render(TWO_SHAPES.svg()))
    assert second is None


def test_icons_are_matched_without_hyphens_and_a_mirrored_alias_is_mirrored(tmp_path):
    (tmp_path / "icons.json").write_text(
        '{"icons": {"dogface": {"body": "<path d=\'M0 0h4L0 4z\'/>"}}, "width": 16, "height": 16,'
        ' "aliases": {"godface": {"parent": "dogface", "hFlip": true}}}'
    )
    icons = art.IconSet(tmp_path)
    assert art.match_names(icons, ["dog", "dog-face"]) == "dogface"
    assert art.match_names(icons, ["cat"]) is None
    mirrored, original = (render.render(icons[name].svg()).astype(int) for name in ("godface", "dogface"))
    assert np.abs(mirrored - original[:, ::-1]).mean() < 1  # only edges differ, by rounding
    assert np.abs(mirrored - original).mean() > 10


def test_a_contact_sheet_has_a_row_per_concept_and_a_column_per_variant():
    images = np.full((2, 4, 4, 4), 255, np.uint8)
    rows = [{"concept": 7, "set": "a", "variant": "original"}, {"concept": 9, "set": "a", "variant": "line"}]
    sheet = np.asarray(contact_sheet.contact_sheet(images, rows, [7, 9]))
    assert sheet.shape == (8, 8, 3)
    assert (sheet[:4, :4] == 255).all()
    assert (sheet[4:, 4:] == 255).all()
    assert (sheet[:4, 4:] == contact_sheet.BACKGROUND).all()


def test_a_word_that_is_not_part_of_another_word_is_a_seed():
    seeds = dict(vocabulary.seeds(["a photo of elephant", "an elephant"]))
    assert seeds["▁elephant"] == 2
    assert "▁photo" not in seeds


def test_a_file_gets_its_name_only_when_it_is_complete(tmp_path):
    def fail():
        with prepare.whole(tmp_path / "a.json") as path:
            path.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert not (tmp_path / "a.json").exists()
    prepare.write_json(tmp_path / "a.json", ["ü"])
    assert prepare.read_json(tmp_path, "a.json") == ["ü"]
