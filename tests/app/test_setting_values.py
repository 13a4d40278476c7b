import re
from ipaddress import ip_network

import pytest

from app.setting_values import in_quotes, key_fault, network, origin, path_prefix


@pytest.mark.parametrize(
    "given",
    [
        *("*", "null", "https://a.example", "http://localhost:5173", "https://xn--mnchen-3ya.example"),
        *("http://[::1]:3000", "chrome-extension://abcdef", "capacitor://localhost"),
    ],
)
def test_an_origin_is_what_a_browser_sends(given):
    assert origin(given) == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("https://a.example/", "write https://a.example$"),
        ("https://a.example/page", "write https://a.example$"),
        ("https://A.example", "write https://a.example$"),
        ("https://a.example:443", "write https://a.example$"),
        ("http://a.example:80/", "write http://a.example$"),
        ("https://münchen.example", "write https://xn--mnchen-3ya.example$"),
        ('["https://a.example"', "without brackets"),
        ("[https://a.example]", "without brackets"),
        ('"https://a.example"', "without brackets, quotes"),
        ("https://*.a.example", "and wildcards"),
        ("a.example", "such as https://example.com"),
        ("https://", "such as https://example.com"),
        ("https://a b.example", "such as https://example.com"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_with_what_to_write(given, message):
    with pytest.raises(ValueError, match=message):
        origin(given)


@pytest.mark.parametrize(
    ("given", "prefix"), [("", ""), ("/", ""), ("/siglip", "/siglip"), ("/a/b-1.2_~/", "/a/b-1.2_~")]
)
def test_a_path_prefix_has_no_slash_at_its_end(given, prefix):
    assert path_prefix(given) == prefix


@pytest.mark.parametrize("given", ["siglip", "//evil.example", "/a b", "/a?b", "https://a.example/b", "/a//b"])
def test_a_path_prefix_that_is_not_a_plain_path_is_refused(given):
    with pytest.raises(ValueError, match="such as /siglip"):
        path_prefix(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("10.0.0.7", "10.0.0.7/32"), ("10.0.0.7/8", "10.0.0.0/8"), ("::1", "::1/128"), ("fd00::/8", "fd00::/8")],
)
def test_a_network_is_an_address_or_a_range(given, expected):
    assert network(given) == ip_network(expected)
    assert network(ip_network(expected)) == ip_network(expected)


def test_a_name_is_not_a_network():
    with pytest.raises(ValueError, match=r"such as 10\.0\.0\.7 or 10\.0\.0\.0/8"):
        network("nginx")


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("secret", None),
        ("clé 鍵", None),
        ('"secret"', "quotes"),
        ("'secret'", "quotes"),
        ("\ufeffsecret", r"a byte order mark \(U\+FEFF\)"),
        ("sec\u200bret", r"an invisible character \(U\+200B\)"),
        ("sec\tret", r"U\+0009"),
    ],
)
def test_a_key_that_no_client_could_send_has_a_fault_without_the_key(key, fault):
    found = key_fault(key)
    assert (found is None) == (fault is None)
    assert not found or (re.search(fault, found) and "secret" not in found)


@pytest.mark.parametrize(("text", "expected"), [('"a"', True), ("''", True), ('"', False), ("\"a'", False)])
def test_quotes_are_around_a_text_if_both_ends_have_the_same(text, expected):
    assert in_quotes(text) is expected
