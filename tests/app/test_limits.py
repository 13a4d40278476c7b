import pytest

LIMIT_BYTES = 20_000_000
HEAD = b"POST /classify?labels=cat HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


def test_a_declared_length_is_refused_before_the_body_is_read(raw):
    status, headers, problem = raw(HEAD + b"Content-Length: 20000001\r\n\r\n")  # and not a byte of it
    assert (status, problem["error_type"]) == (413, "body_too_large")
    assert headers["connection"] == "close"
    assert problem["detail"] == "The body is larger than the 20,000,000 bytes that this service accepts."
    assert headers["x-request-id"] == problem["request_id"]


def test_a_chunked_body_is_counted_as_it_arrives(raw):
    chunk = b"f4240\r\n" + bytes(1_000_000) + b"\r\n"
    status, headers, problem = raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20 + b"1\r\nx\r\n")  # no end
    assert (status, problem["error_type"]) == (413, "body_too_large")
    assert headers["connection"] == "close"


PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'


@pytest.mark.parametrize(
    ("media_type", "start"),
    # A form is parsed as it arrives, so it must be well formed up to the limit.
    [("image/png", b""), ("application/json", b""), ("multipart/form-data; boundary=x", PART)],
)
def test_every_body_is_counted(running, media_type, start):
    with running(max_body_bytes=1000) as client:
        url = "/classify?labels=cat" if media_type == "image/png" else "/classify"
        answer = client.post(url, content=iter([start, bytes(600), bytes(600)]), headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["error_type"]) == (413, "body_too_large")


def test_a_body_at_the_limit_is_read(client):
    answer = client.post("/classify?labels=cat", content=bytes(LIMIT_BYTES), headers={"Content-Type": "image/png"})
    assert answer.json()["error_type"] == "unsupported_media_type"  # read, and seen to be no image


def test_a_path_that_reads_no_body_is_not_held_up_by_one(client):
    assert client.request("GET", "/health/live", content=b"x").status_code == 200
