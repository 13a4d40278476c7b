import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from app.evaluation.comparison import compare
from app.evaluation.evaluation import Evaluation, evaluate
from app.evaluation.report import render_report
from tests.app.evaluation.synthetic import scores

BY = {"model_fingerprint": "abc123", "versions": {"siglip-service": "9.8.7"}}


def thumbnail(color: str = "teal") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (60, 40), color).save(written, "JPEG")
    return written.getvalue()


def evaluated(labels: int = 5, several: float = 0.0, **options) -> Evaluation:
    logits, truth, names = scores(images=60 * labels, labels=labels, several=several)
    result = evaluate(logits, truth, names, **BY, **options)
    noisy = logits + np.random.default_rng(0).normal(size=logits.shape).astype(np.float32)
    return replace(result, comparisons=[compare(logits, noisy, truth, ("float32", "int8"))])


class Balance(HTMLParser):
    """Finds elements that are closed in another order than opened."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_has_all_parts():
    result = evaluated(goal=0.9, calibrate_by="set", settings={"templates": ["a {}."]})
    html = render_report(result, {answer.image: thumbnail() for answer in result.mistakes[:3]}, "My images")
    assert "<h1>My images</h1>" in html
    headings = re.findall(r"<h[23]>(.*?)</h[23]>", html)
    assert headings == [
        "Thresholds", "Comparisons", "Plots", "Confusions", "Matrix", "Labels", "The most confident mistakes",
        "The most doubtful images", "What was evaluated",
    ]  # fmt: skip
    assert html.count("<svg") == 4
    shown = {answer.image for answer in result.mistakes[:3]}
    assert html.count("<img") == sum(answer.image in shown for answer in result.mistakes + result.doubtful)
    assert f"<b>{result.summary.top1.value:.3f}</b>" in html
    assert f"{result.thresholds.with_set_threshold.precision.value:.3f}" in html
    for text in ("abc123", "9.8.7", "a {}.", "int8 compared with float32"):
        assert text in html


def test_a_report_is_one_well_formed_file_without_addresses_or_scripts():
    html = render_report(evaluated(goal="f1", calibrate_by="label"))
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert set(re.findall(r"https?://[^\"]+", html)) == {"http://www.w3.org/2000/svg"}
    assert "<script" not in html
    assert "style=" not in html


def test_the_policy_allows_the_style_sheet_by_its_hash_and_nothing_from_outside():
    html = render_report(evaluated())
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)[1]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_every_text_is_escaped():
    nasty = "</style><script>alert('$body')</script>"
    logits, truth, _ = scores(images=100, labels=3)
    result = evaluate(
        logits,
        truth,
        [nasty, "$title", nasty],
        model_fingerprint=nasty,
        versions={nasty: nasty},
        settings={nasty: [nasty]},
        names=[nasty] * 100,
        goal=0.9,
    )
    result = replace(result, comparisons=[compare(logits, logits, truth, (nasty, nasty))])
    html = render_report(result, title=nasty)
    assert "<script" not in html
    assert html.count("</style>") == 1
    assert "&lt;/style&gt;&lt;script&gt;alert(&#x27;$body&#x27;)" in html


def test_a_thumbnail_is_inside_the_file():
    result = evaluated()
    data = thumbnail()
    html = render_report(result, {result.mistakes[0].image: data})
    assert f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}"' in html


def test_a_thumbnail_that_is_not_a_jpeg_is_refused():
    with pytest.raises(ValueError, match="image 3 is not a JPEG"):
        render_report(evaluated(), {2: b"<svg onload='alert(1)'>"})


def test_sections_without_content_are_left_out():
    result = evaluate(np.eye(2), np.eye(2, dtype=bool), ["a", "b"], **BY)
    html = render_report(result)
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["Plots", "Labels", "The most doubtful images", "What was evaluated"]
    assert "There are only 2 images" in html


def test_several_labels_an_image_have_no_matrix():
    html = render_report(evaluated(several=0.4))
    assert "<h2>Confusions</h2>" in html
    assert "<h3>Matrix</h3>" not in html
    assert "each label with a sigmoid of at least 0.5" in html


def test_images_of_none_alone_have_a_report():
    html = render_report(evaluate(np.zeros((2, 1)), np.zeros((2, 1), dtype=bool), ["a"], **BY, goal=0.9))
    assert "none of these" in html


def test_what_the_matrix_leaves_out_is_said():
    true = np.repeat(np.arange(300), 2)
    best = true.copy()
    best[:20:2] = 299
    result = evaluate(np.eye(300)[best], np.eye(300, dtype=bool)[true], [f"label {i}" for i in range(300)], **BY)
    html = render_report(replace(result, confusions_left_out=7))
    assert "Only the 11 labels with the most mistakes are shown." in html
    assert "7 rare pairs of labels are left out." in html
